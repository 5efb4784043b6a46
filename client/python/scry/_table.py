"""A DataFrame as tables of the contract. Imported only where pandas is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .scoring.v1 import scoring_pb2 as pb

_SMALL = 1024  # strings that are sent with every part rather than sought in it


@dataclass
class _Column:
    """A column of the whole frame; data makes the message of a range of rows."""

    name: str
    data: Callable[[int, int], dict[str, Any]]
    valid: np.ndarray | None  # None = every row has a value

    def message(self, start: int, stop: int) -> pb.Column:
        validity = b""
        if self.valid is not None and not self.valid[start:stop].all():
            validity = np.packbits(self.valid[start:stop], bitorder="little").tobytes()
        return pb.Column(name=self.name, validity=validity, **self.data(start, stop))


class Table:
    """A frame that can be sent in parts."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.rows = len(frame)
        self._columns = _columns(frame, "column")
        if self.rows and not self._columns:
            raise ValueError("the DataFrame has no value in any column")

    @property
    def names(self) -> list[str]:
        """The columns that are sent, in the order in which the server counts them."""
        return [column.name for column in self._columns]

    def _part(self, start: int, stop: int) -> pb.Table:
        return pb.Table(rows=stop - start, columns=[column.message(start, stop) for column in self._columns])

    def parts(self, max_rows: int, max_bytes: int) -> Iterator[pb.Table]:
        """The rows in order, in tables of at most max_rows rows and max_bytes bytes (a single row may be larger)."""
        start = 0
        while start < self.rows:
            stop = min(start + max_rows, self.rows)
            part = self._part(start, stop)
            while part.ByteSize() > max_bytes and stop - start > 1:
                stop = start + (stop - start) // 2
                part = self._part(start, stop)
            yield part
            start = stop


def _columns(frame: pd.DataFrame, what: str) -> list[_Column]:
    columns = []
    for place, name in enumerate(frame.columns):
        if not isinstance(name, str):
            raise TypeError(f"{what} {name!r} has no text for a name; the model's features have names")
        try:
            column = _column(name, frame.iloc[:, place])
        except (TypeError, ValueError, OverflowError) as e:
            raise TypeError(f"{what} {name!r}: {e}") from None
        if column is not None:
            columns.append(column)
    return columns


def _column(name: str, series: pd.Series) -> _Column | None:
    """None for a column without any value whose type is unknown: it is missing, as an absent one is."""
    dtype: Any = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        if not pd.api.types.is_string_dtype(dtype.categories.dtype) or not all(isinstance(c, str) for c in dtype.categories):
            return _column(name, series.astype(dtype.categories.dtype))
        codes = series.cat.codes.to_numpy().astype(np.int64)
        return _strings(name, codes, dtype.categories.to_numpy(dtype=object))
    if pd.api.types.is_timedelta64_dtype(dtype):
        raise TypeError("a time span has no unit in the contract; send .dt.total_seconds()")
    if pd.api.types.is_datetime64_any_dtype(dtype) or str(dtype).startswith(("timestamp", "date")):
        return _times(name, series)
    missing = series.isna().to_numpy(dtype=bool)
    valid = ~missing if missing.any() else None
    if pd.api.types.is_bool_dtype(dtype):
        flags = series.to_numpy(dtype=bool, na_value=False) if valid is not None else series.to_numpy(dtype=bool)
        return _Column(name, lambda a, b: {"bools": pb.Bools(values=flags[a:b].tolist())}, valid)
    if pd.api.types.is_integer_dtype(dtype):
        whole = series.to_numpy(dtype=dtype.numpy_dtype if hasattr(dtype, "numpy_dtype") else dtype, na_value=0)
        return _integers(name, whole, valid)
    if pd.api.types.is_float_dtype(dtype):
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return _Column(name, lambda a, b: {"doubles": pb.Doubles(values=numbers[a:b].tolist())}, valid)
    if missing.all():
        return None
    if pd.api.types.is_object_dtype(dtype):
        return _objects(name, series, missing)
    if pd.api.types.is_string_dtype(dtype):
        codes, uniques = pd.factorize(series)
        return _strings(name, codes, np.asarray(uniques, dtype=object))
    raise TypeError(f"values of type {dtype} cannot be sent")


def _integers(name: str, whole: np.ndarray, valid: np.ndarray | None) -> _Column:
    if whole.dtype.kind == "u" and len(whole) and whole.max() > np.iinfo(np.int64).max:
        raise OverflowError("a whole number does not fit 64 bits with a sign")
    whole = whole.astype(np.int64)
    return _Column(name, lambda a, b: {"int64s": pb.Int64s(values=whole[a:b].tolist())}, valid)


def _strings(name: str, codes: np.ndarray, uniques: np.ndarray) -> _Column:
    valid = codes >= 0 if (codes < 0).any() else None
    words = uniques.tolist()

    def data(start: int, stop: int) -> dict[str, Any]:
        if len(words) <= min(_SMALL, stop - start):
            return {"strings": pb.Strings(dictionary=words, indices=np.maximum(codes[start:stop], 0).tolist())}
        used, indices = np.unique(codes[start:stop], return_inverse=True)
        return {"strings": pb.Strings(dictionary=["" if code < 0 else words[code] for code in used], indices=indices.tolist())}

    return _Column(name, data, valid)


def _times(name: str, series: pd.Series) -> _Column:
    """Times go as RFC 3339, so that a feature that is no time refuses them."""
    moments = pd.to_datetime(series, utc=True)
    codes, uniques = pd.factorize(moments)
    texts = np.datetime_as_string(pd.DatetimeIndex(uniques).tz_localize(None).to_numpy().astype("datetime64[us]"), timezone="UTC")
    return _strings(name, codes, texts.astype(object))


def _objects(name: str, series: pd.Series, missing: np.ndarray) -> _Column:
    given = series[~missing]
    kind = pd.api.types.infer_dtype(given, skipna=True)
    if kind in ("string", "empty"):
        codes, uniques = pd.factorize(series)
        return _strings(name, codes, np.asarray(uniques, dtype=object))
    if kind in ("datetime", "datetime64", "date"):
        return _times(name, series)
    valid = ~missing if missing.any() else None
    if kind == "boolean":
        filled = np.zeros(len(series), dtype=bool)
        filled[~missing] = given.to_numpy(dtype=bool)
        return _Column(name, lambda a, b: {"bools": pb.Bools(values=filled[a:b].tolist())}, valid)
    if kind == "integer":
        whole = np.zeros(len(series), dtype=np.int64)
        whole[~missing] = [int(x) for x in given]
        return _integers(name, whole, valid)
    if kind in ("floating", "mixed-integer-float", "decimal"):
        numbers = np.full(len(series), np.nan)
        numbers[~missing] = [float(x) for x in given]
        return _Column(name, lambda a, b: {"doubles": pb.Doubles(values=numbers[a:b].tolist())}, valid)
    if all(_is_events(x) for x in given):
        return _sequences(name, series, missing)
    odd = next(x for x in given if type(x) is not type(given.iloc[0])) if given.map(type).nunique() > 1 else given.iloc[0]
    first = type(given.iloc[0]).__name__
    raise TypeError(f"holds {first} and {type(odd).__name__} values" if type(odd).__name__ != first else f"{first} values cannot be sent")


def _is_events(x: Any) -> bool:
    return isinstance(x, (list, tuple, np.ndarray)) and all(isinstance(event, Mapping) for event in x)


def _sequences(name: str, series: pd.Series, missing: np.ndarray) -> _Column:
    events: list[Any] = []
    offsets = np.zeros(len(series) + 1, dtype=np.int64)
    for i, (x, gone) in enumerate(zip(series, missing)):
        if not gone:
            events.extend(x)
        offsets[i + 1] = len(events)
    fields = _columns(pd.DataFrame(events), "field")

    def data(start: int, stop: int) -> dict[str, Any]:
        first, last = int(offsets[start]), int(offsets[stop])
        return {"sequences": pb.Sequences(offsets=(offsets[start:stop + 1] - first).tolist(),
                                          fields=[field.message(first, last) for field in fields] if last > first else [])}

    return _Column(name, data, ~missing if missing.any() else None)
