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

    def encode(sentences: Any, *arguments: Any, **settings: Any) -> Any:
        number = len(sentences) if isinstance(sentences, list | tuple) else 1
        with rec.span(name, inferences=number or None):
            vectors = model.encode(sentences, *arguments, **settings)
            wait_for(vectors)
        return vectors

    return encode
