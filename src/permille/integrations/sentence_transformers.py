"""sentence-transformers: spans around ``encode``.

::

    with permille.record() as rec:
        encode = encode_with_spans(rec, SentenceTransformer("…"))
        encode(["good", "bad"])
    print(rec["encode"].kwh_per_1000)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from permille.api.session import Session
from permille.finishing import wait_for


def encode_with_spans(rec: Session, model: Any, *, name: str = "encode") -> Callable[..., Any]:
    """``model.encode``, each call of which is a span with the number of its sentences.

    Raises (at the call):
        UsageError: as :meth:`permille.Session.span`.
    """

    def encode(*arguments: Any, **settings: Any) -> Any:
        if not arguments:
            # The keyword is `sentences` up to version 5 and `inputs` from version 6 on; by its
            # place, every version takes it.
            keyword = "inputs" if "inputs" in settings else "sentences"
            arguments = (settings.pop(keyword),) if keyword in settings else ()
        if not arguments:
            return model.encode(**settings)  # says what is missing
        sentences = arguments[0]
        number = 1 if _is_single(model, sentences) else len(sentences)
        with rec.span(name, inferences=number or None):
            vectors = model.encode(*arguments, **settings)
            wait_for(vectors)
        return vectors

    return encode


def _is_single(model: Any, sentences: Any) -> bool:
    # Arrays and columns of sentences are batches, too, and a dictionary may be one input of several
    # kinds (image and text). Newer versions of the library say themselves what a single input is.
    if hasattr(model, "is_singular_input"):
        return bool(model.is_singular_input(sentences))
    return isinstance(sentences, str) or not hasattr(sentences, "__len__")
