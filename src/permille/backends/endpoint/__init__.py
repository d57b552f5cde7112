"""An OpenAI-compatible HTTP server: vLLM, llama.cpp's, Ollama, TGI and others.

    backend = "endpoint"
    url = "http://127.0.0.1:8080/v1"
    serve = "llama-server -m model.gguf --port 8080"    # optional: started, waited for, stopped
    concurrency = 16                                    # or rate_per_s = 4.0; one at a time if not

Only what is measured on this machine is known: a server elsewhere is refused unless ``remote =
true``, and the device then says that its own energy is not in the figures. Tokens are those of the
server's ``usage``. Decoding is greedy (temperature 0). Most servers keep a cache of prompts and
answer a repeated one from it; ``extra`` goes into every request, to switch that off where the
server knows how: ``extra = { cache_prompt = false }`` for llama.cpp's.

A choice among labels is generated, and read out of the text: other than logits, words are all
that this interface gives. An answer in which no label, or more than one, is found is unreadable.
"""

from permille.backends.endpoint.plugin import EndpointBackend, backend

__all__ = ["EndpointBackend", "backend"]
