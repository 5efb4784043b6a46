"""Table answers as a DataFrame. Imported only where pandas is there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from google.protobuf import json_format

from ._errors import Error, from_status
from .scoring.v1 import scoring_pb2 as pb
from .sentiment.v1 import sentiment_pb2
from .serving.v1 import serving_pb2


def served(results: Sequence[Any]) -> list[str]:
    """Which versions answered, each once."""
    return list(dict.fromkeys(f"{by.model}@{by.version}" for r in results for by in r.served_by))


def _failures(results: Sequence[Any]) -> pd.Series:
    """The column error."""
    return pd.Series([str(from_status(r.error)) if r.error.code else None for r in results], dtype=object)


def frame(answers: Sequence[pb.TableResult], index: pd.Index, sent: Sequence[str]) -> tuple[pd.DataFrame, dict[int, Error]]:
    """One row per row that was sent, and the errors by place. The rows that failed hold missing values. sent are the names
    of the columns."""
    parts = []
    errors: dict[int, Error] = {}
    warnings: dict[tuple[int, str, str], dict[str, Any]] = {}
    start = 0
    for answer in answers:
        part, failed = _part(answer, sent)
        parts.append(part)
        errors.update({start + place: error for place, error in failed.items()})
        for w in answer.warnings:
            _join(warnings, w, start, sent)
        start += answer.rows
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    for name in whole.columns[whole.dtypes == object]:
        if all(isinstance(part[name].dtype, pd.CategoricalDtype) for part in parts if name in part):
            whole[name] = pd.Categorical(whole[name])  # the version changed between the parts, and the bands with it
    whole["error"] = pd.Series([str(errors[i]) if i in errors else None for i in range(len(whole))], dtype=object, index=whole.index)
    whole.index = index
    whole.attrs["served_by"] = served(answers)
    whole.attrs["warnings"] = list(warnings.values())
    return whole, errors


def _join(warnings: dict[tuple[int, str, str], dict[str, Any]], w: pb.TableWarning, start: int, sent: Sequence[str]) -> None:
    path = _named(w.warning.field, sent)
    key = (w.warning.code, path, w.warning.message)
    code = serving_pb2.WarningCode.Name(w.warning.code).removeprefix("WARNING_CODE_")
    known = warnings.setdefault(key, {"code": code, "field": path, "message": w.warning.message, "count": 0, "rows": []})
    known["count"] += w.count
    known["rows"] = (known["rows"] + [start + row for row in w.rows])[:100]


def _named(text: str, sent: Sequence[str]) -> str:
    """The text with columns by name, table.columns["tenure"], and without the row's place in its message: the server counts
    what it was sent."""
    def name(found: re.Match[str]) -> str:
        place = int(found[1])
        return f'table.columns["{sent[place]}"]' if place < len(sent) else found[0]

    return re.sub(r"table\.columns\[(\d+)\]", name, re.sub(r"table\.rows\[\d+\]\.(?=table\.)", "", text))


def _part(answer: pb.TableResult, sent: Sequence[str]) -> tuple[pd.DataFrame, dict[int, Error]]:
    columns: dict[str, Any] = {}
    for name in sorted(answer.heads):
        kind = answer.heads[name].WhichOneof("kind")
        if kind in _HEADS:  # a newer server may answer a kind that this client does not know
            columns.update(_HEADS[kind](name, getattr(answer.heads[name], kind), answer.rows))
    columns["prediction_id"] = [f"{answer.prediction_id}-{i}" for i in range(answer.rows)]
    part = pd.DataFrame(columns, index=range(answer.rows))
    errors = {}
    for e in answer.errors:
        error = errors[e.row] = from_status(e.error)
        error.message = _named(error.message, sent)
        error.violations = tuple((_named(path, sent), description) for path, description in error.violations)
    if errors:
        part = part.mask(np.isin(np.arange(answer.rows), list(errors))[:, None].repeat(part.shape[1], 1))
    return part, errors


def _probability(name: str, p: pb.ProbabilityColumns, rows: int) -> dict[str, Any]:
    out: dict[str, Any] = {name: np.array(p.probability)}
    out[f"{name}_predicted"] = pd.array(out[name] >= p.threshold, dtype="boolean")
    out[f"{name}_raw_score"] = np.array(p.raw_score)
    return {**out, **_standing(name, p)}


def _value(name: str, v: pb.ValueColumn, rows: int) -> dict[str, Any]:
    out: dict[str, Any] = {name: np.array(v.values)}
    for part in ("lower", "upper", "positive_probability"):
        if len(getattr(v, part)):
            out[f"{name}_{part}"] = np.array(getattr(v, part))
    return {**out, **_standing(name, v)}


def _standing(name: str, head: Any) -> dict[str, Any]:
    """Percentile, band and reasons."""
    out: dict[str, Any] = {}
    if head.percentile:
        out[f"{name}_percentile"] = np.array(head.percentile)
    if head.band:
        out[f"{name}_band"] = _category(head.band, head.band_names, ordered=True)
    for rank, reasons in enumerate(head.reasons, 1):
        moved = np.array(reasons.contribution)
        names = np.array(reasons.feature_names, dtype=object)[np.array(reasons.feature, dtype=np.int64)]
        names[moved == 0] = None  # fewer features than asked for moved the score
        out[f"{name}_reason_{rank}"] = pd.Series(names, dtype=object)
        out[f"{name}_contribution_{rank}"] = moved
    return out


def _category(places: Any, names: Any, ordered: bool = False) -> pd.Categorical:
    return pd.Categorical.from_codes(np.array(places, dtype=np.int64), list(names), ordered=ordered)


def _classes(name: str, c: pb.ClassesColumns, rows: int) -> dict[str, Any]:
    table = np.array(c.probabilities).reshape(rows, len(c.names))
    out: dict[str, Any] = {name: _category(table.argmax(axis=1), c.names), f"{name}_probability": table.max(axis=1)}
    out.update({f"{name}_probability_{label}": table[:, i] for i, label in enumerate(c.names)})
    return out


def _embedding(name: str, e: pb.EmbeddingColumn, rows: int) -> dict[str, Any]:
    return {name: _arrays(np.array(e.values, dtype=np.float32).reshape(rows, -1))}


def _arrays(table: np.ndarray) -> pd.Series:
    return pd.Series(list(table), dtype=object)


def _segment(name: str, s: pb.SegmentColumns, rows: int) -> dict[str, Any]:
    return {name: _category(s.segment, s.names), f"{name}_membership": np.array(s.membership),
            f"{name}_distance": np.array(s.distance), f"{name}_outlier": pd.array(list(s.outlier), dtype="boolean")}


def _uplift(name: str, u: pb.UpliftColumns, rows: int) -> dict[str, Any]:
    out: dict[str, Any] = {name: _category(u.best, u.names)}  # -1, no treatment, is missing
    if u.baseline:
        out[f"{name}_baseline"] = np.array(u.baseline)
    for part, title in (("effects", "effect"), ("lower", "lower"), ("upper", "upper"), ("expected_profit", "profit")):
        if len(getattr(u, part)):
            table = np.array(getattr(u, part)).reshape(rows, len(u.names))
            out.update({f"{name}_{title}_{treatment}": table[:, i] for i, treatment in enumerate(u.names)})
    return out


def _forecast(name: str, f: pb.ForecastColumns, rows: int) -> dict[str, Any]:
    out: dict[str, Any] = {name: _arrays(np.array(f.values).reshape(rows, f.horizon))}
    quantiles = np.array(f.quantiles).reshape(rows, f.horizon, len(f.levels))
    out.update({f"{name}_q{level:g}": _arrays(quantiles[:, :, i]) for i, level in enumerate(f.levels)})
    return out


_HEADS: dict[str, Any] = {"probability": _probability, "value": _value, "classes": _classes, "embedding": _embedding,
                          "segment": _segment, "uplift": _uplift, "forecast": _forecast}


def explanations(results: Sequence[pb.Explanation], index: pd.Index) -> pd.DataFrame:
    """Explanations as a DataFrame: a column for each feature or group, in the order in which they first come."""
    names = list(dict.fromkeys(c.feature for r in results for c in r.contributions))
    place = {name: i for i, name in enumerate(names)}
    moved = np.full((len(results), len(names)), np.nan)
    unsure = np.full((len(results), len(names)), np.nan)
    for i, r in enumerate(results):
        for c in r.contributions:
            moved[i, place[c.feature]] = c.contribution
            unsure[i, place[c.feature]] = c.standard_error
    good = [not r.error.code for r in results]

    def numbers(field: str) -> np.ndarray:
        return np.array([getattr(r, field) if ok else np.nan for r, ok in zip(results, good)], dtype=float)

    columns: dict[str, Any] = {"value": numbers("value"), "base_value": numbers("base_value")}
    if any(r.target for r in results):
        columns["target"] = pd.Series([r.target or None for r in results], dtype=object)
    columns.update({f"contribution_{name}": moved[:, i] for i, name in enumerate(names)})
    if any(ok and not r.exact for r, ok in zip(results, good)):
        columns.update({f"standard_error_{name}": unsure[:, i] for i, name in enumerate(names)})
        columns["additivity_error"] = numbers("additivity_error")
    columns["prediction_id"] = pd.Series([r.prediction_id or None for r in results], dtype=object)
    columns["error"] = _failures(results)
    out = pd.DataFrame(columns, index=range(len(results)))
    out.index = index
    out.attrs["head"] = next((r.head for r in results if r.head), "")
    out.attrs["scale"] = next((pb.Scale.Name(r.scale).removeprefix("SCALE_").lower() for r in results if r.scale), "")
    out.attrs["exact"] = all(r.exact for r, ok in zip(results, good) if ok)
    out.attrs["texts"] = {c.feature: c.text for r in results for c in r.contributions}
    out.attrs["members"] = {c.feature: list(c.members) for r in results for c in r.contributions if c.members}
    out.attrs["served_by"] = served(results)
    return out


def recommendations(results: Sequence[Any], index: pd.Index) -> pd.DataFrame:
    """One row for each item of each list, the lists one after the other."""
    rows = [(i, item) for i, r in enumerate(results) for item in r.items]
    columns: dict[str, Any] = {
        "rank": np.array([item.rank for _, item in rows], dtype=np.int64),
        "item": pd.Series([item.item for _, item in rows], dtype=object),
        "score": np.array([item.score for _, item in rows], dtype=np.float64),
    }
    if any(item.HasField("propensity") for _, item in rows):
        columns["propensity"] = np.array([item.propensity for _, item in rows])
    if any(item.promotion for _, item in rows):
        columns["promotion"] = pd.Series([item.promotion or None for _, item in rows], dtype=object)
    for name in sorted({name for _, item in rows for name in item.attributes.fields}):
        columns[name] = pd.Series([json_format.MessageToDict(item.attributes).get(name) for _, item in rows], dtype=object)
    columns["prediction_id"] = pd.Series([results[i].prediction_id for i, _ in rows], dtype=object)
    out = pd.DataFrame(columns, index=range(len(rows)))
    out.index = index.take([i for i, _ in rows])
    out.attrs["served_by"] = served(results)
    out.attrs["warnings"] = [{"code": serving_pb2.WarningCode.Name(w.code).removeprefix("WARNING_CODE_"), "field": w.field,
                              "message": w.message, "row": i} for i, r in enumerate(results) for w in r.warnings]
    return out


def texts(results: Sequence[Any], index: pd.Index) -> pd.DataFrame:
    """Text results as a DataFrame: a column for each part that some text was answered with."""
    columns: dict[str, Any] = {}

    def add(name: str, has: Any, value: Any) -> None:
        """A column of objects, None where a text has none; no column where no text has any."""
        if any(has(r) for r in results):
            columns[name] = pd.Series([value(r) if has(r) else None for r in results], dtype=object)

    bare = not any(r.HasField("embedding") or r.HasField("language") or r.HasField("toxicity") or r.sentences or r.emotions or r.topics
                   or r.intents or r.targets or r.personal_data or r.classes or r.redacted_text for r in results)
    if bare or any(r.HasField("sentiment") for r in results):
        said = [r.sentiment if r.HasField("sentiment") else None for r in results]
        columns["polarity"] = pd.Categorical([_polarity(s) if s else None for s in said],
                                             categories=["negative", "neutral", "positive", "mixed"])
        for field in ("score", "positive", "neutral", "negative", "magnitude"):
            columns[field] = np.array([getattr(s, field) if s else np.nan for s in said])
    add("sentences", lambda r: r.sentences, lambda r: [_spot(s) | _opinion(s.sentiment) for s in r.sentences])
    add("embedding", lambda r: r.HasField("embedding"), lambda r: np.array(r.embedding.values, dtype=np.float32))
    for field in ("emotions", "topics", "intents"):
        add(field, lambda r, field=field: getattr(r, field), lambda r, field=field: _scores(getattr(r, field)))
    if any(r.HasField("toxicity") for r in results):
        columns["toxicity"] = np.array([r.toxicity if r.HasField("toxicity") else np.nan for r in results])
    add("targets", lambda r: r.targets, lambda r: [
        {"name": t.name} | _opinion(t.sentiment) | {"mentions": [_spot(m) | _opinion(m.sentiment) for m in t.mentions]}
        for t in r.targets])
    if any(r.HasField("language") for r in results):
        told = [r.language if r.HasField("language") else None for r in results]
        columns["language"] = pd.Series([t.code if t else None for t in told], dtype=object)
        columns["language_probability"] = np.array([t.probability if t else np.nan for t in told])
        columns["language_supported"] = pd.Series([t.supported if t else None for t in told], dtype=object)
    add("personal_data", lambda r: r.personal_data, lambda r: [
        {"type": _word(sentiment_pb2.PersonalDataType.Name(p.type), "PERSONAL_DATA_TYPE_")} | _spot(p) for p in r.personal_data])
    add("redacted_text", lambda r: r.redacted_text, lambda r: r.redacted_text)
    add("classes", lambda r: r.classes, lambda r: {c.head: _scores(c.classes) for c in r.classes})
    columns["tokens"] = [r.tokens for r in results]
    columns["chunks"] = [r.chunks for r in results]
    columns["prediction_id"] = [r.prediction_id for r in results]
    columns["error"] = _failures(results)
    out = pd.DataFrame(columns, index=range(len(results)))
    out.index = index
    out.attrs["served_by"] = served(results)
    return out


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()


def _polarity(said: sentiment_pb2.Sentiment) -> str:
    return _word(sentiment_pb2.Polarity.Name(said.polarity), "POLARITY_")


def _opinion(said: sentiment_pb2.Sentiment) -> dict[str, Any]:
    return {"polarity": _polarity(said), "score": said.score}


def _spot(part: Any) -> dict[str, Any]:
    return {"begin": part.span.begin, "end": part.span.end}


def _scores(scores: Any) -> dict[str, float]:
    return {s.name: s.score for s in scores}
