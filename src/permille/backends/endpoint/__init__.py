"""An OpenAI-compatible HTTP server: vLLM, llama.cpp's, Ollama, TGI and others.

    backend = "endpoint"
    url = "http://127.0.0.1:8080/v1"
    serve = "llama-server -m model.gguf --port 8080"    # optional: started, waited for, stopped
    concurrency = 16                                    # or rate_per_s = 4.0; one at a time if not

A server on another machine is measured by ``permille agent`` there (``meter``). Without, it is
refused unless ``remote = true``, and the device then says that the server's energy is not included.
Token counts are those in the server's ``usage``. Decoding is greedy (temperature 0). Most servers
cache prompts and answer repeated ones from the cache; ``extra`` is added to every request, to
disable that where the server supports it: ``extra = { cache_prompt = false }`` for llama.cpp.

A choice among labels is generated and then read from the text, because this API returns words and
not logits. An answer with no label, or with more than one, is unreadable.
"""

from permille.backends.endpoint.plugin import EndpointBackend, backend

__all__ = ["EndpointBackend", "backend"]
