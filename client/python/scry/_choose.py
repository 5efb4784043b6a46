"""What calls of ChooseAction and ChooseSendTime send, and what becomes of the answers."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable, Sequence
from typing import Any

from . import _calls
from ._errors import from_status
from .scoring.v1 import choosing_pb2 as pb
from .scoring.v1 import scoring_pb2_grpc
from .server.v1 import server_pb2


def choose_action(model: str, data: Any, lim: server_pb2.Limits, *, version: str, actions: Sequence[str], filter: str, count: int,
                  language: str, options: pb.ChooseActionOptions | None, ids: Sequence[str] | None, errors: str) -> _calls.Call[Any]:
    given, options = options, pb.ChooseActionOptions(actions=actions, filter=filter, count=count, language=language)
    if given is not None:
        options.MergeFrom(given)
    if not options.HasField("time"):
        options.time.GetCurrentTime()  # the same for all messages
    if options.HasField("thompson") and not options.thompson.HasField("seed"):
        options.thompson.seed = random.getrandbits(64)
    return _calls.in_parts(
        scoring_pb2_grpc.ScoringServiceStub, "ChooseAction", pb.ChooseActionRequest(model=model, version=version, options=options),
        "instances", _calls.instances(data, ids), lim.max_instances, lim, errors,
        (lambda results: _actions(results, data.index, options.thompson.seed)) if _calls.is_pandas(data, "DataFrame") else None)


def _actions(results: Sequence[pb.ActionChoice], index: Any, seed: int) -> Any:
    """A row for each action of each customer, and one for a customer who gets none."""
    import pandas as pd

    from . import _answers

    places, rows = [], []
    for place, r in enumerate(results):
        error = str(from_status(r.error)) if r.error.code else None
        for rank, a in enumerate(r.actions or [None], 1):
            places.append(place)
            rows.append({
                "rank": rank if a else None, "action": a.name if a else None, "creative": a.creative or None if a else None,
                "title": a.title if a else None,
                **{name: getattr(a, name) if a else None for name in ("probability", "expected_profit", "value", "cost")},
                **{name: getattr(a, name) if a and a.HasField(name) else None for name in ("sampled_probability", "propensity")},
                "prediction_id": r.prediction_id, "error": error,
            })
    numbers = ["rank", "probability", "expected_profit", "value", "cost", "sampled_probability", "propensity"]
    texts = ["action", "creative", "title", "prediction_id", "error"]
    columns = ["rank", "action", "creative", "title", *numbers[1:], "prediction_id", "error"]
    out = pd.DataFrame(rows, columns=columns).astype({**dict.fromkeys(numbers, "float64"), **dict.fromkeys(texts, object)})
    out["rank"] = out["rank"].astype("Int64")
    out.index = index[places]
    out.attrs["seed"] = seed
    out.attrs["served_by"] = _answers.served(results)
    out.attrs["excluded"] = [{e.name: pb.ExclusionReason.Name(e.reason).removeprefix("EXCLUSION_REASON_").lower() for e in r.excluded}
                             for r in results]
    return out


def choose_send_time(model: str, data: Any, lim: server_pb2.Limits, *, version: str, earliest: dt.datetime | None,
                     latest: dt.datetime | None, quiet_hours: Iterable[int], count: int, half_life: dt.timedelta | None,
                     errors: str) -> _calls.Call[Any]:
    options = pb.ChooseSendTimeOptions(count=count, quiet_hours=[int(h) for h in quiet_hours])
    if half_life is not None:
        options.half_life.FromTimedelta(half_life)
    if earliest is None:
        options.earliest.GetCurrentTime()  # the same for all messages
    else:
        options.earliest.FromDatetime(earliest)
    if latest is not None:
        options.latest.FromDatetime(latest)
    frame = _calls.is_pandas(data, "DataFrame")
    recipients = list(_recipients(data)) if frame else list(data)
    for place, r in enumerate(recipients):
        if not isinstance(r, pb.Recipient):
            raise TypeError(f"recipient {place} is a {type(r).__name__}, want a choosing_pb2.Recipient; or send a DataFrame of messages")

    return _calls.in_parts(
        scoring_pb2_grpc.ScoringServiceStub, "ChooseSendTime", pb.ChooseSendTimeRequest(model=model, version=version, options=options),
        "recipients", recipients, lim.max_instances, lim, errors, _times if frame else None)


def _recipients(messages: Any) -> Iterable[pb.Recipient]:
    """The customers of a DataFrame of messages, in the order in which they come first."""
    import pandas as pd

    lacking = [name for name in ("id", "sent", "answered") if name not in messages.columns]
    if lacking:
        raise ValueError(f"the messages have no column {lacking[0]!r}; want id, time_zone, sent, answered")
    times = pd.to_datetime(messages["sent"], utc=True)
    zones = messages["time_zone"] if "time_zone" in messages.columns else pd.Series("", index=messages.index)
    found: dict[Any, pb.Recipient] = {}
    for id, zone, sent, answered in zip(messages["id"], zones.fillna(""), times, messages["answered"]):
        r = found.get(id)
        if r is None:
            r = found[id] = pb.Recipient(id=str(id), time_zone=zone)
        elif r.time_zone != zone:
            raise ValueError(f"customer {id!r} has two time zones")
        if not pd.isna(sent):
            if pd.isna(answered):
                raise ValueError(f"a message to customer {id!r} was neither answered nor not")
            message = r.history.add(answered=bool(answered))
            message.sent.FromNanoseconds(sent.as_unit("ns").value)
    return found.values()


def _times(results: Sequence[pb.SendTimeChoice]) -> Any:
    """A row for each time of each customer, and one for a customer who failed."""
    import pandas as pd

    from . import _answers

    ids, rows = [], []
    for r in results:
        error = str(from_status(r.error)) if r.error.code else None
        for rank, s in enumerate(r.times or [None], 1):
            ids.append(r.id)
            rows.append({
                "rank": rank if s else None, "time": pd.Timestamp(s.time.ToNanoseconds(), tz="UTC") if s else pd.NaT,
                **{name: getattr(s, name) if s else None for name in ("slot", "rate", "prior_rate", "observations")},
                "prediction_id": r.prediction_id, "error": error,
            })
    columns = ["rank", "time", "slot", "rate", "prior_rate", "observations", "prediction_id", "error"]
    out = pd.DataFrame(rows, columns=columns, index=pd.Index(ids, name="id", dtype=object))
    out["time"] = pd.to_datetime(out["time"], utc=True)
    out = out.astype({"rank": "Int64", "slot": "Int64", "rate": "float64", "prior_rate": "float64", "observations": "float64",
                      "prediction_id": object, "error": object})
    out.attrs["served_by"] = _answers.served(results)
    return out
