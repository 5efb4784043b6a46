"""Python, numpy and pandas values as a row's JSON values."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

_MAX_EXACT = 1 << 53  # up to which a double holds every whole number


def value(given: Any) -> Any:
    """A value as a Struct takes it: None where it is missing (None, NaN, NaT, pandas.NA), RFC 3339 for a time (in UTC where
    it names no zone). Raises TypeError or ValueError for what a Struct cannot hold exactly; a DataFrame can."""
    if isinstance(given, str):
        return str(given)
    if given is None or isinstance(given, bool):
        return given
    if isinstance(given, int):
        if abs(given) > _MAX_EXACT:
            raise ValueError(f"{int(given)} is beyond 2^53, where a JSON number is not exact; send a DataFrame")
        return int(given)
    if isinstance(given, (float, Decimal)):
        number = float(given)
        if math.isinf(number):
            raise ValueError("an infinity is no JSON number; send a DataFrame")
        return None if math.isnan(number) else number
    if type(given).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(given, dt.datetime):
        return time(given)
    if isinstance(given, dt.date):
        return time(dt.datetime(given.year, given.month, given.day))
    if isinstance(given, Mapping):
        return {str(name): value(v) for name, v in given.items()}
    kind = getattr(getattr(given, "dtype", None), "kind", "")
    if kind and getattr(given, "ndim", 0) == 0:  # a numpy scalar
        if kind == "M":
            moment = given.astype("datetime64[us]").item()
            return None if moment is None else value(moment)
        if kind in "biufU":
            return value(given.item())
    elif kind or isinstance(given, Iterable) and not isinstance(given, (bytes, bytearray)):
        return [value(v) for v in given]
    raise TypeError(f"a {type(given).__name__} cannot be sent")


def time(moment: dt.datetime) -> str:
    """RFC 3339 in UTC; a time without zone is in UTC already."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.timezone.utc)
    return moment.astimezone(dt.timezone.utc).isoformat().replace("+00:00", "Z")


def row(features: Any, place: int) -> dict[str, Any]:
    """A row's features."""
    if not isinstance(features, Mapping):
        raise TypeError(f"row {place} is a {type(features).__name__}, want a mapping of feature to value")
    out = {}
    for name, given in features.items():
        try:
            out[str(name)] = value(given)
        except (TypeError, ValueError) as e:
            raise type(e)(f"row {place}, feature {str(name)!r}: {e}") from None
    return out
