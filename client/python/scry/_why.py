"""What explain_text and explain_image send, and what becomes of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._calls import Call, image_items, in_parts, is_pandas, text_items
from ._errors import from_status
from .imageanalysis.v1 import imageanalysis_pb2, imageanalysis_pb2_grpc
from .sentiment.v1 import sentiment_pb2, sentiment_pb2_grpc
from .server.v1 import server_pb2

_TEXTS = 20  # of one message: each asks the model for hundreds
_IMAGES = 4


def explain_text(data: Any, lim: server_pb2.Limits, *, target: str, model: str, version: str, max_evaluations: int,
                 ids: Sequence[str] | None, errors: str) -> Call[Any]:
    envelope = sentiment_pb2.ExplainTextRequest(model=model, version=version, target=target, max_evaluations=max_evaluations,
                                                offsets=sentiment_pb2.OFFSET_UNIT_CODE_POINTS)
    return in_parts(sentiment_pb2_grpc.SentimentServiceStub, "ExplainText", envelope, "texts", text_items(data, ids), _TEXTS, lim, errors,
                    (lambda results: _words(results, list(data), data.index)) if is_pandas(data, "Series") else None)


def _words(results: Sequence[sentiment_pb2.TextExplanation], texts: Sequence[Any], index: Any) -> Any:
    """A DataFrame with a row for each word, under its text's index; one without a word for a text that failed."""
    import pandas as pd

    rows, places = [], []
    for i, (r, text) in enumerate(zip(results, texts)):
        if isinstance(text, (bytes, bytearray)):
            text = bytes(text).decode("utf-8", "replace")
        failure = str(from_status(r.error)) if r.error.code else None
        for w in r.words or [None]:
            word = {"word": text[w.span.begin:w.span.end], "begin": w.span.begin, "end": w.span.end,
                    "contribution": w.contribution} if w else {"word": None, "begin": -1, "end": -1, "contribution": float("nan")}
            rows.append({**word, "value": float("nan") if failure else r.value, "prediction_id": r.prediction_id or None,
                         "error": failure})
            places.append(i)
    columns = ["word", "begin", "end", "contribution", "value", "prediction_id", "error"]
    out = pd.DataFrame(rows, columns=columns, index=index.take(places))
    out.attrs["target"] = next((r.target for r in results if r.target), "")
    return out


def explain_image(data: Any, lim: server_pb2.Limits, *, head: str, label: str, model: str, version: str, max_evaluations: int,
                  ids: Sequence[str] | None, errors: str) -> Call[list[Any]]:
    envelope = imageanalysis_pb2.ExplainImageRequest(model=model, version=version, head=head, label=label,
                                                     max_evaluations=max_evaluations)
    return in_parts(imageanalysis_pb2_grpc.ImageAnalysisServiceStub, "ExplainImage", envelope, "images", image_items(data, ids), _IMAGES,
                    lim, errors)
