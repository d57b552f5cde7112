"""A Python callable as a model, for anything that no other backend runs.

    backend = "python"
    callable = "my_model:classify"      # called with each request
    load = "my_model:load"              # optional, called once, before anything is measured

With only ``callable``, it is called as ``classify(text)``. With only ``load``, the object that
``load()`` returns is called. With both, it is called as ``classify(loaded, text)``. A
general-purpose model is called with the prompt and the tuple of choices instead of the text. The
answer is the label (a str), or an :class:`~permille.workload.outputs.Output`.

For other tasks: a prompt is passed unchanged and answered with a str of any length; a question is
passed with its context as ``answer(question, context)``; a chat as a tuple of (role, content); an
embedding is a sequence of numbers. Words are passed as a tuple and answered with as many tags; a
masked text is passed as ``guess(before, after)`` and answered with words, the most likely first; an
image or a recording is passed as the bytes of its file and answered with a label, a text, or for
object-detection ``[{"label": …, "score": …, "bbox": [x, y, width, height]}]`` in pixels. A
generated image is not examined, but must not be None.

An inference ends when its answer is complete: a generator is consumed, a coroutine or a future is
awaited, an array that a device is still computing is waited for (``permille.finishing``), all of it
within the measured call. Pieces of a str are joined.

This is the only backend that runs code of the study's author, because the study names it. Its
exceptions propagate.
"""

from permille.backends.python.plugin import PythonBackend, backend

__all__ = ["PythonBackend", "backend"]
