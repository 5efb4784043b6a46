"""What calls send and what becomes of the answers, whoever sends them: the plain client or the asyncio one."""

from __future__ import annotations

import io
import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from . import _values
from ._errors import Error, ItemErrors, from_status
from .imageanalysis.v1 import imageanalysis_pb2, imageanalysis_pb2_grpc
from .scoring.v1 import choosing_pb2, instance_pb2, scoring_pb2, scoring_pb2_grpc
from .sentiment.v1 import sentiment_pb2, sentiment_pb2_grpc
from .server.v1 import server_pb2

MAX_MESSAGE = 64 << 20
_SLACK = 64 << 10  # of a message, for what is not counted
_TABLE_ROWS = 20_000  # of one message: enough to make its cost small, few enough to answer soon and to run several at once
_EXPLAINED = 20  # rows of one message that are explained: each asks the model for thousands
_SCALES: dict[str, scoring_pb2.Scale] = {"": scoring_pb2.SCALE_UNSPECIFIED, "raw_score": scoring_pb2.SCALE_RAW_SCORE,
                                         "probability": scoring_pb2.SCALE_PROBABILITY, "log_odds": scoring_pb2.SCALE_LOG_ODDS}

T = TypeVar("T")


@dataclass
class Call(Generic[T]):
    """The requests of one call, the stub's method that takes them, and what to make of the responses, in order."""

    stub: Callable[[Any], Any]
    method: str
    requests: Iterator[Any]
    join: Callable[[list[Any]], T]


def limits(info: server_pb2.GetServerInfoResponse | None) -> server_pb2.Limits:
    """The server's limits within the contract's; the contract's where it tells none."""
    told = info.limits if info else server_pb2.Limits()
    within = {"max_message_bytes": MAX_MESSAGE, "max_instances": 10_000, "max_table_rows": 1_000_000, "max_texts": 10_000,
              "max_images": 1_000}
    return server_pb2.Limits(**{name: min(getattr(told, name) or most, most) for name, most in within.items()})


def check_errors(errors: str) -> None:
    if errors not in ("raise", "return"):
        raise ValueError(f"errors is {errors!r}, want 'raise' or 'return'")


def is_pandas(data: Any, name: str) -> bool:
    """Whether data is a pandas DataFrame or Series. Who has one has imported pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, getattr(pandas, name))


def _room(envelope: Any, lim: server_pb2.Limits) -> int:
    """The bytes that a message has for items."""
    return lim.max_message_bytes - _SLACK - envelope.ByteSize()


def in_parts(stub: Any, method: str, envelope: Any, field: str, items: Iterable[Any], most: int, lim: server_pb2.Limits, errors: str,
             frame: Callable[[list[Any]], Any] | None = None) -> Call[Any]:
    """A call of messages that have some of the items in a field and all else of the envelope. It returns the results, or what
    frame makes of them."""
    check_errors(errors)

    def requests() -> Iterator[Any]:
        for part in _parts(items, most, _room(envelope, lim)):
            request = type(envelope)(**{field: part})
            request.MergeFrom(envelope)
            yield request

    def join(responses: list[Any]) -> Any:
        results = [result for response in responses for result in response.results]
        for place, result in enumerate(results):
            result.index = place  # it counted within its message
        failed = {place: from_status(result.error) for place, result in enumerate(results) if result.error.code}
        return _settled(frame(results) if frame else results, failed, len(results), errors)

    return Call(stub, method, requests(), join)


_INDEXED = "a DataFrame's rows are named by its index; ids are for rows of mappings"


def instances(data: Any, ids: Sequence[str] | None) -> Iterator[instance_pb2.Instance]:
    """The rows of a DataFrame, named by its index, or of a sequence of mappings."""
    if is_pandas(data, "DataFrame"):
        if ids is not None:
            raise TypeError(_INDEXED)
        rows, ids = data.to_dict("records"), [str(i) for i in data.index]
    elif isinstance(data, (str, bytes, dict)) or not isinstance(data, Iterable):
        raise TypeError(f"rows are a DataFrame or a sequence of mappings, not a {type(data).__name__}")
    else:
        rows = list(data)
    return (instance_pb2.Instance(id=name, features=_values.row(row, i)) for i, (name, row) in enumerate(zip(_names(ids, len(rows)), rows)))


def text_items(data: Any, ids: Sequence[str] | None) -> Iterator[sentiment_pb2.TextItem]:
    if isinstance(data, (str, bytes)):
        raise TypeError("texts are a sequence of strings; put a single one into a list")
    texts = list(data)

    def item(place: int, name: str, text: Any) -> sentiment_pb2.TextItem:
        if isinstance(text, str):
            return sentiment_pb2.TextItem(id=name, text=text)
        if isinstance(text, (bytes, bytearray)):
            return sentiment_pb2.TextItem(id=name, text_bytes=bytes(text))
        if _values.value(text) is None:  # the server says so in the item's own error
            return sentiment_pb2.TextItem(id=name)
        raise TypeError(f"text {place} is a {type(text).__name__}, want str or bytes")

    return (item(i, name, text) for i, (name, text) in enumerate(zip(_names(ids, len(texts)), texts)))


def image_items(data: Any, ids: Sequence[str] | None) -> Iterator[imageanalysis_pb2.ImageItem]:
    if isinstance(data, (str, bytes, os.PathLike)):
        raise TypeError("images are a sequence; put a single one into a list")
    images = list(data)
    return (imageanalysis_pb2.ImageItem(id=name, content=_picture(i, image))
            for i, (name, image) in enumerate(zip(_names(ids, len(images)), images)))


def score(model: str, data: Any, lim: server_pb2.Limits, *, version: str, reasons: int, heads: Sequence[str], language: str,
          actionable_only: bool, options: scoring_pb2.ScoreOptions | None, ids: Sequence[str] | None, errors: str) -> Call[Any]:
    given, options = options, scoring_pb2.ScoreOptions(heads=heads, reasons=reasons, language=language,
                                                       actionable_only=actionable_only)
    if given is not None:
        options.MergeFrom(given)
    envelope = scoring_pb2.ScoreRequest(model=model, version=version, options=options)
    if not is_pandas(data, "DataFrame"):
        return in_parts(scoring_pb2_grpc.ScoringServiceStub, "Score", envelope, "instances", instances(data, ids), lim.max_instances, lim,
                        errors)
    check_errors(errors)
    from . import _answers, _table

    if ids is not None:
        raise TypeError(_INDEXED)
    table = _table.Table(data)

    def requests() -> Iterator[scoring_pb2.ScoreRequest]:
        for part in table.parts(min(_TABLE_ROWS, lim.max_table_rows), _room(envelope, lim)):
            request = scoring_pb2.ScoreRequest(table=part)
            request.MergeFrom(envelope)
            yield request

    def join(responses: list[Any]) -> Any:
        whole, failed = _answers.frame([r.table for r in responses], data.index, table.names)
        return _settled(whole, failed, len(data), errors)

    return Call(scoring_pb2_grpc.ScoringServiceStub, "Score", requests(), join)


def explain(model: str, data: Any, lim: server_pb2.Limits, *, version: str, head: str, target: str, scale: str, max_evaluations: int,
            seed: int | None, language: str, actionable_only: bool, ids: Sequence[str] | None, errors: str) -> Call[Any]:
    if scale not in _SCALES:
        raise ValueError(f"scale is {scale!r}, want {', '.join(map(repr, _SCALES))}")
    envelope = scoring_pb2.ExplainRequest(model=model, version=version, options=scoring_pb2.ExplainOptions(
        head=head, target=target, scale=_SCALES[scale], max_evaluations=max_evaluations, seed=seed, language=language,
        actionable_only=actionable_only))

    def frame(results: list[Any]) -> Any:
        from . import _answers

        return _answers.explanations(results, data.index)

    return in_parts(scoring_pb2_grpc.ScoringServiceStub, "Explain", envelope, "instances", instances(data, ids), _EXPLAINED, lim, errors,
                    frame if is_pandas(data, "DataFrame") else None)


_SUBJECTS = 1000  # of one message
_ANSWERS = 100_000  # items for all subjects, or pictures, of one message


def recommend_options(filter: str, attributes: Sequence[str], include_history: bool, diversity: float,
                      given: choosing_pb2.RecommendOptions | None) -> choosing_pb2.RecommendOptions:
    options = choosing_pb2.RecommendOptions(filter=filter, attributes=attributes, include_history=include_history, diversity=diversity)
    if given is not None:
        options.MergeFrom(given)
    if not options.HasField("time"):
        options.time.GetCurrentTime()  # these are the same for all messages
    if options.HasField("exploration") and not options.exploration.HasField("seed"):
        options.exploration.seed = random.getrandbits(64)
    return options


def recommend(subjects: Any, lim: server_pb2.Limits, *, model: str, version: str, count: int,
              options: choosing_pb2.RecommendOptions, ids: Sequence[str] | None, errors: str) -> Call[Any]:
    index = subjects.index if is_pandas(subjects, "Series") else None
    if isinstance(subjects, (str, bytes, dict)) or not isinstance(subjects, Iterable):
        raise TypeError(f"subjects are a Series or a sequence, not a {type(subjects).__name__}")
    rows = list(subjects)
    items = (_subject(i, name, row) for i, (name, row) in enumerate(zip(_names(ids, len(rows)), rows)))

    def frame(results: list[Any]) -> Any:
        from . import _answers

        return _answers.recommendations(results, index)

    return in_parts(scoring_pb2_grpc.ScoringServiceStub, "RecommendItems",
                    choosing_pb2.RecommendItemsRequest(model=model, version=version, page_size=count, options=options),
                    "subjects", items, max(1, min(_SUBJECTS, _ANSWERS // (count or 10))), lim, errors,
                    None if index is None else frame)


def _subject(place: int, name: str, row: Any) -> choosing_pb2.RecommendSubject:
    """A subject of a history, or of a mapping of the parts that choosing_pb2.RecommendSubject has."""
    if isinstance(row, (str, bytes)):
        raise TypeError(f"subject {place} is a {type(row).__name__}; a history is a list of items")
    if not isinstance(row, Iterable):  # None, NaN: nothing is known
        if _values.value(row) is not None:
            raise TypeError(f"subject {place} is a {type(row).__name__}, want a list of items or a mapping")
        return choosing_pb2.RecommendSubject(id=name)
    if not isinstance(row, Mapping):
        return choosing_pb2.RecommendSubject(id=name, history=[str(item) for item in row])
    parts = dict(row)
    features, seen = parts.pop("features", None), parts.pop("seen", {})
    out = choosing_pb2.RecommendSubject(id=name, features=None if features is None else _values.row(features, place),
                                        seen=[choosing_pb2.SeenItem(item=str(i), count=n) for i, n in seen.items()])
    for part, value in parts.items():
        if part in ("history", "candidates"):
            getattr(out, part).extend(str(item) for item in value)
        elif part in ("id", "anchor_item"):
            setattr(out, part, str(value))
        else:
            raise ValueError(f"subject {place} has a part {part!r}, which is none of history, features, anchor_item, candidates, seen, id")
    return out


# Features that no model answers.
_WITHOUT_MODEL = ("TEXT_FEATURE_LANGUAGE", "TEXT_FEATURE_PERSONAL_DATA", "IMAGE_FEATURE_COLORS", "IMAGE_FEATURE_QUALITY")


def text_options(topics: Sequence[str], intents: Sequence[str], targets: Any, redact: bool,
                 given: sentiment_pb2.TextOptions | None) -> sentiment_pb2.TextOptions:
    """Offsets count code points, as Python does, unless the given options say otherwise."""
    for name, words in (("topics", topics), ("intents", intents), ("targets", targets)):
        if isinstance(words, (str, bytes)):
            raise TypeError(f"{name} are a sequence of strings; put a single one into a list")
    named = targets.items() if isinstance(targets, Mapping) else ((target, ()) for target in targets)
    options = sentiment_pb2.TextOptions(
        offsets=sentiment_pb2.OFFSET_UNIT_CODE_POINTS, topics=topics, intents=intents, redact=redact,
        targets=[sentiment_pb2.Target(name=name, aliases=aliases) for name, aliases in named])
    if given is not None:
        options.MergeFrom(given)
    return options


def analyze_text(data: Any, lim: server_pb2.Limits, *, features: Sequence[str], options: sentiment_pb2.TextOptions, model: str,
                 version: str, ids: Sequence[str] | None, errors: str) -> Call[Any]:
    wanted = _features(sentiment_pb2.TextFeature, "TEXT_FEATURE_", features)
    envelope = sentiment_pb2.AnalyzeTextRequest(features=wanted, options=options, models=[
        sentiment_pb2.FeatureModel(feature=f, model=model, version=version) for f in wanted if f not in _WITHOUT_MODEL] if model else [])

    def frame(results: list[Any]) -> Any:
        from . import _answers

        return _answers.texts(results, data.index)

    return in_parts(sentiment_pb2_grpc.SentimentServiceStub, "AnalyzeText", envelope, "texts", text_items(data, ids), lim.max_texts, lim,
                    errors, frame if is_pandas(data, "Series") else None)


def analyze_images(data: Any, lim: server_pb2.Limits, *, features: Sequence[str], model: str, version: str, max_labels: int,
                   min_score: float, heads: Sequence[str], options: imageanalysis_pb2.ImageOptions | None, ids: Sequence[str] | None,
                   errors: str) -> Call[list[Any]]:
    wanted = _features(imageanalysis_pb2.ImageFeature, "IMAGE_FEATURE_", features)
    given, options = options, imageanalysis_pb2.ImageOptions(max_labels=max_labels, min_score=min_score, heads=heads)
    if given is not None:
        options.MergeFrom(given)
    envelope = imageanalysis_pb2.AnalyzeImagesRequest(features=wanted, options=options, models=[
        imageanalysis_pb2.FeatureModel(feature=f, model=model, version=version) for f in wanted if f not in _WITHOUT_MODEL] if model else [])
    return in_parts(imageanalysis_pb2_grpc.ImageAnalysisServiceStub, "AnalyzeImages", envelope, "images", image_items(data, ids),
                    lim.max_images, lim, errors)


def find_similar(data: Any, lim: server_pb2.Limits, *, model: str, version: str, count: int, filter: str, min_score: float | None,
                 attributes: Sequence[str], ids: Sequence[str] | None, errors: str) -> Call[list[Any]]:
    envelope = imageanalysis_pb2.FindSimilarRequest(model=model, version=version, count=count, filter=filter, min_score=min_score,
                                                    attributes=attributes)
    most = min(lim.max_images, max(1, _ANSWERS // count)) if count > 0 else lim.max_images
    return in_parts(imageanalysis_pb2_grpc.ImageAnalysisServiceStub, "FindSimilar", envelope, "images", image_items(data, ids), most, lim,
                    errors)


def _picture(place: int, image: Any) -> bytes:
    """The bytes of a picture file: of a path, of bytes, or of a Pillow image, which goes as PNG."""
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    if isinstance(image, (str, os.PathLike)):
        return Path(image).read_bytes()
    if hasattr(image, "save") and hasattr(image, "mode"):
        if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA"):
            image = image.convert("RGB")
        file = io.BytesIO()
        image.save(file, format="PNG", compress_level=1)
        return file.getvalue()
    raise TypeError(f"image {place} is a {type(image).__name__}, want a path, bytes or a Pillow image")


def _features(enum: Any, prefix: str, names: Sequence[str]) -> list[str]:
    """Features by their names in the contract, of their names here: without the prefix, in small letters."""
    if isinstance(names, str):
        raise TypeError("features are a sequence of names; put a single one into a list")
    known = [n.removeprefix(prefix).lower() for n in enum.keys() if not n.endswith("UNSPECIFIED")]
    for name in names:
        if str(name).lower() not in known:
            raise ValueError(f"feature {name!r} is none of {', '.join(known)}")
    return [prefix + name.upper() for name in names]


def _names(ids: Sequence[str] | None, count: int) -> Sequence[str]:
    if ids is None:
        return [""] * count
    if len(ids) != count:
        raise ValueError(f"{len(ids)} ids for {count} items")
    return [str(i) for i in ids]


def _parts(items: Iterable[Any], most: int, room: int) -> Iterator[list[Any]]:
    """Items in lists of at most so many items and bytes; an item that is larger than that goes alone."""
    part: list[Any] = []
    used = 0
    for item in items:
        size = item.ByteSize() + 8
        if part and (len(part) == most or used + size > room):
            yield part
            part, used = [], 0
        part.append(item)
        used += size
    if part:
        yield part


def _settled(answers: T, failed: dict[int, Error], total: int, errors: str) -> T:
    if failed and errors == "raise":
        raise ItemErrors(failed, total, answers)
    return answers
