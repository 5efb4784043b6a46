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


def score(model: str, data: Any, lim: server_pb2.Limits, *, version: str, reasons: int, heads: Sequence[str], language: str,
          actionable_only: bool, options: scoring_pb2.ScoreOptions | None, ids: Sequence[str] | None, errors: str) -> Call[Any]:
    check_errors(errors)
    given, options = options, scoring_pb2.ScoreOptions(heads=heads, reasons=reasons, language=language,
                                                       actionable_only=actionable_only)
    if given is not None:
        options.MergeFrom(given)

    def request(**rows: Any) -> scoring_pb2.ScoreRequest:
        return scoring_pb2.ScoreRequest(model=model, version=str(version), options=options, **rows)

    room = lim.max_message_bytes - _SLACK - request().ByteSize()
    if is_pandas(data, "DataFrame"):
        from . import _answers, _table

        if ids is not None:
            raise TypeError("a DataFrame's rows are named by its index; ids are for rows of mappings")
        table = _table.Table(data)
        parts = table.parts(min(_TABLE_ROWS, lim.max_table_rows), room)

        def join(responses: list[Any]) -> Any:
            whole, failed = _answers.frame([r.table for r in responses], data.index, table.names)
            return _settled(whole, failed, len(data), errors)

        return Call(scoring_pb2_grpc.ScoringServiceStub, "Score", (request(table=part) for part in parts), join)
    if isinstance(data, (str, bytes, dict)) or not isinstance(data, Iterable):
        raise TypeError(f"rows are a DataFrame or a sequence of mappings, not a {type(data).__name__}")
    rows = list(data)
    names = _names(ids, len(rows))
    instances = (instance_pb2.Instance(id=name, features=_values.row(row, i)) for i, (name, row) in enumerate(zip(names, rows)))
    return Call(scoring_pb2_grpc.ScoringServiceStub, "Score",
                (request(instances=part) for part in _parts(instances, lim.max_instances, room)),
                lambda responses: _items(responses, errors))


def explain(model: str, data: Any, lim: server_pb2.Limits, *, version: str, head: str, target: str, scale: str, max_evaluations: int,
            seed: int | None, language: str, actionable_only: bool, ids: Sequence[str] | None, errors: str) -> Call[Any]:
    check_errors(errors)
    if scale not in _SCALES:
        raise ValueError(f"scale is {scale!r}, want {', '.join(map(repr, _SCALES))}")
    envelope = scoring_pb2.ExplainRequest(model=model, version=str(version), options=scoring_pb2.ExplainOptions(
        head=head, target=target, scale=_SCALES[scale], max_evaluations=max_evaluations, seed=seed, language=language,
        actionable_only=actionable_only))
    framed = is_pandas(data, "DataFrame")
    if framed:
        if ids is not None:
            raise TypeError("a DataFrame's rows are named by its index; ids are for rows of mappings")
        rows = data.to_dict("records")
    elif isinstance(data, (str, bytes, dict)) or not isinstance(data, Iterable):
        raise TypeError(f"rows are a DataFrame or a sequence of mappings, not a {type(data).__name__}")
    else:
        rows = list(data)
    names = _names(ids, len(rows))
    instances = (instance_pb2.Instance(id=name, features=_values.row(row, i)) for i, (name, row) in enumerate(zip(names, rows)))

    def request(part: list[Any]) -> scoring_pb2.ExplainRequest:
        out = scoring_pb2.ExplainRequest(instances=part)
        out.MergeFrom(envelope)
        return out

    def join(responses: list[Any]) -> Any:
        if not framed:
            return _items(responses, errors)
        from . import _answers

        results = _items(responses, "return")
        failed = {i: from_status(r.error) for i, r in enumerate(results) if r.error.code}
        return _settled(_answers.explanations(results, data.index), failed, len(results), errors)

    return Call(scoring_pb2_grpc.ScoringServiceStub, "Explain",
                (request(part) for part in _parts(instances, _EXPLAINED, lim.max_message_bytes - _SLACK - envelope.ByteSize())), join)


_SUBJECTS = 1000  # of one message
_ANSWERS = 100_000  # items for all subjects of one message


def recommend_options(filter: str, attributes: Sequence[str], include_history: bool, diversity: float,
                      given: choosing_pb2.RecommendOptions | None) -> choosing_pb2.RecommendOptions:
    options = choosing_pb2.RecommendOptions(filter=filter, attributes=attributes, include_history=include_history, diversity=diversity)
    if given is not None:
        options.MergeFrom(given)
    if options.HasField("exploration") and not options.exploration.HasField("seed"):
        options.exploration.seed = random.getrandbits(64)  # one for all messages
    return options


def recommend(subjects: Any, lim: server_pb2.Limits, *, model: str, version: str, count: int,
              options: choosing_pb2.RecommendOptions, ids: Sequence[str] | None, errors: str) -> Call[Any]:
    check_errors(errors)
    envelope = choosing_pb2.RecommendItemsRequest(model=model, version=version, page_size=count, options=options)
    index = subjects.index if is_pandas(subjects, "Series") else None
    if isinstance(subjects, (str, bytes, dict)) or not isinstance(subjects, Iterable):
        raise TypeError(f"subjects are a Series or a sequence, not a {type(subjects).__name__}")
    rows = list(subjects)
    names = _names(ids, len(rows))
    items = (_subject(i, name, row) for i, (name, row) in enumerate(zip(names, rows)))
    room = lim.max_message_bytes - _SLACK - envelope.ByteSize()

    def request(part: list[Any]) -> choosing_pb2.RecommendItemsRequest:
        out = choosing_pb2.RecommendItemsRequest(subjects=part)
        out.MergeFrom(envelope)
        return out

    def join(responses: list[Any]) -> Any:
        if index is None:
            return _items(responses, errors)
        from . import _answers

        results = _items(responses, "return")
        failed = {i: from_status(r.error) for i, r in enumerate(results) if r.error.code}
        return _settled(_answers.recommendations(results, index), failed, len(results), errors)

    most = max(1, min(_SUBJECTS, _ANSWERS // (count or 10)))
    return Call(scoring_pb2_grpc.ScoringServiceStub, "RecommendItems", (request(part) for part in _parts(items, most, room)), join)


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
_WITHOUT_MODEL = ("TEXT_FEATURE_LANGUAGE", "TEXT_FEATURE_PERSONAL_DATA")


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
    check_errors(errors)
    wanted = [_enum(sentiment_pb2.TextFeature, "TEXT_FEATURE_", name) for name in features]
    models = [sentiment_pb2.FeatureModel(feature=f, model=model, version=str(version))
              for f in wanted if f not in _WITHOUT_MODEL] if model else []
    envelope = sentiment_pb2.AnalyzeTextRequest(features=wanted, models=models, options=options)
    if isinstance(data, (str, bytes)):
        raise TypeError("texts are a sequence of strings; put a single one into a list")
    texts = list(data)
    names = _names(ids, len(texts))

    def item(place: int, name: str, text: Any) -> sentiment_pb2.TextItem:
        if isinstance(text, str):
            return sentiment_pb2.TextItem(id=name, text=text)
        if isinstance(text, (bytes, bytearray)):
            return sentiment_pb2.TextItem(id=name, text_bytes=bytes(text))
        if _values.value(text) is None:  # the server says so in the item's own error
            return sentiment_pb2.TextItem(id=name)
        raise TypeError(f"text {place} is a {type(text).__name__}, want str or bytes")

    items = (item(i, name, text) for i, (name, text) in enumerate(zip(names, texts)))
    room = lim.max_message_bytes - _SLACK - envelope.ByteSize()

    def join(responses: list[Any]) -> Any:
        if not is_pandas(data, "Series"):
            return _items(responses, errors)
        from . import _answers

        results = _items(responses, "return")
        failed = {i: from_status(r.error) for i, r in enumerate(results) if r.error.code}
        return _settled(_answers.texts(results, data.index), failed, len(results), errors)

    return Call(sentiment_pb2_grpc.SentimentServiceStub, "AnalyzeText",
                (sentiment_pb2.AnalyzeTextRequest(texts=part, features=wanted, models=models, options=options)
                 for part in _parts(items, lim.max_texts, room)), join)


# Features of pictures that no model answers.
_MODELLESS = ("IMAGE_FEATURE_COLORS", "IMAGE_FEATURE_QUALITY")


def analyze_images(data: Any, lim: server_pb2.Limits, *, features: Sequence[str], model: str, version: str, max_labels: int,
                   min_score: float, heads: Sequence[str], ids: Sequence[str] | None, errors: str) -> Call[list[Any]]:
    check_errors(errors)
    wanted = [_enum(imageanalysis_pb2.ImageFeature, "IMAGE_FEATURE_", name) for name in features]
    envelope = imageanalysis_pb2.AnalyzeImagesRequest(
        features=wanted, options=imageanalysis_pb2.ImageOptions(max_labels=max_labels, min_score=min_score, heads=heads),
        models=[imageanalysis_pb2.FeatureModel(feature=f, model=model, version=str(version))
                for f in wanted if f not in _MODELLESS] if model else [])
    if isinstance(data, (str, bytes, os.PathLike)):
        raise TypeError("images are a sequence; put a single one into a list")
    images = list(data)
    names = _names(ids, len(images))
    items = (imageanalysis_pb2.ImageItem(id=name, content=_picture(i, image)) for i, (name, image) in enumerate(zip(names, images)))
    room = lim.max_message_bytes - _SLACK - envelope.ByteSize()

    def request(part: list[Any]) -> imageanalysis_pb2.AnalyzeImagesRequest:
        out = imageanalysis_pb2.AnalyzeImagesRequest(images=part)
        out.MergeFrom(envelope)
        return out

    return Call(imageanalysis_pb2_grpc.ImageAnalysisServiceStub, "AnalyzeImages",
                (request(part) for part in _parts(items, lim.max_images, room)), lambda responses: _items(responses, errors))


def find_similar(data: Any, lim: server_pb2.Limits, *, model: str, version: str, count: int, filter: str, min_score: float | None,
                 attributes: Sequence[str], ids: Sequence[str] | None, errors: str) -> Call[list[Any]]:
    check_errors(errors)
    envelope = imageanalysis_pb2.FindSimilarRequest(model=model, version=version, count=count, filter=filter, min_score=min_score,
                                                    attributes=attributes)
    if isinstance(data, (str, bytes, os.PathLike)):
        raise TypeError("images are a sequence; put a single one into a list")
    images = list(data)
    names = _names(ids, len(images))
    items = (imageanalysis_pb2.ImageItem(id=name, content=_picture(i, image)) for i, (name, image) in enumerate(zip(names, images)))
    room = lim.max_message_bytes - _SLACK - envelope.ByteSize()
    most = min(lim.max_images, max(1, 100_000 // count)) if count > 0 else lim.max_images

    def request(part: list[Any]) -> imageanalysis_pb2.FindSimilarRequest:
        out = imageanalysis_pb2.FindSimilarRequest(images=part)
        out.MergeFrom(envelope)
        return out

    return Call(imageanalysis_pb2_grpc.ImageAnalysisServiceStub, "FindSimilar",
                (request(part) for part in _parts(items, most, room)), lambda responses: _items(responses, errors))


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


def _enum(enum: Any, prefix: str, name: str) -> str:
    known = [n for n in enum.keys() if not n.endswith("UNSPECIFIED")]
    if prefix + name.upper() not in known:
        raise ValueError(f"feature {name!r} is none of {', '.join(n.removeprefix(prefix).lower() for n in known)}")
    return prefix + name.upper()


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


def _items(responses: list[Any], errors: str) -> list[Any]:
    results = [result for response in responses for result in response.results]
    failed = {}
    for place, result in enumerate(results):
        result.index = place  # it counted within its message
        if result.error.code:
            failed[place] = from_status(result.error)
    return _settled(results, failed, len(results), errors)


def _settled(answers: T, failed: dict[int, Error], total: int, errors: str) -> T:
    if failed and errors == "raise":
        raise ItemErrors(failed, total, answers)
    return answers
