"""What explain_text and explain_image send, and what becomes of the answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from . import _values
from ._calls import _SLACK, Call, _items, _names, _parts, _picture, _settled, check_errors, is_pandas
from ._errors import from_status
from .imageanalysis.v1 import imageanalysis_pb2, imageanalysis_pb2_grpc
from .sentiment.v1 import sentiment_pb2, sentiment_pb2_grpc
from .server.v1 import server_pb2

_TEXTS = 20  # of one message: each asks the model for hundreds
_IMAGES = 4


def explain_text(data: Any, lim: server_pb2.Limits, *, target: str, model: str, version: str, max_evaluations: int,
                 ids: Sequence[str] | None, errors: str) -> Call[Any]:
    check_errors(errors)
    if isinstance(data, (str, bytes)):
        raise TypeError("texts are a sequence of strings; put a single one into a list")
    envelope = sentiment_pb2.ExplainTextRequest(model=model, version=version, target=target, max_evaluations=max_evaluations,
                                                offsets=sentiment_pb2.OFFSET_UNIT_CODE_POINTS)
    texts = list(data)

    def item(place: int, name: str, text: Any) -> sentiment_pb2.TextItem:
        if isinstance(text, str):
            return sentiment_pb2.TextItem(id=name, text=text)
        if isinstance(text, (bytes, bytearray)):
            return sentiment_pb2.TextItem(id=name, text_bytes=bytes(text))
        if _values.value(text) is None:  # the server says so in the item's own error
            return sentiment_pb2.TextItem(id=name)
        raise TypeError(f"text {place} is a {type(text).__name__}, want str or bytes")

    def request(part: list[Any]) -> sentiment_pb2.ExplainTextRequest:
        out = sentiment_pb2.ExplainTextRequest(texts=part)
        out.MergeFrom(envelope)
        return out

    def join(responses: list[Any]) -> Any:
        if not is_pandas(data, "Series"):
            return _items(responses, errors)
        results = _items(responses, "return")
        failed = {i: from_status(r.error) for i, r in enumerate(results) if r.error.code}
        return _settled(_words(results, texts, data.index), failed, len(results), errors)

    items = (item(i, name, text) for i, (name, text) in enumerate(zip(_names(ids, len(texts)), texts)))
    return Call(sentiment_pb2_grpc.SentimentServiceStub, "ExplainText",
                (request(part) for part in _parts(items, _TEXTS, lim.max_message_bytes - _SLACK - envelope.ByteSize())), join)


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
    check_errors(errors)
    if isinstance(data, (str, bytes, os.PathLike)):
        raise TypeError("images are a sequence; put a single one into a list")
    envelope = imageanalysis_pb2.ExplainImageRequest(model=model, version=version, head=head, label=label,
                                                     max_evaluations=max_evaluations)
    images = list(data)

    def request(part: list[Any]) -> imageanalysis_pb2.ExplainImageRequest:
        out = imageanalysis_pb2.ExplainImageRequest(images=part)
        out.MergeFrom(envelope)
        return out

    items = (imageanalysis_pb2.ImageItem(id=name, content=_picture(i, image))
             for i, (name, image) in enumerate(zip(_names(ids, len(images)), images)))
    return Call(imageanalysis_pb2_grpc.ImageAnalysisServiceStub, "ExplainImage",
                (request(part) for part in _parts(items, _IMAGES, lim.max_message_bytes - _SLACK - envelope.ByteSize())),
                lambda responses: _items(responses, errors))
