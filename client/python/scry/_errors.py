"""What a call or one of its items failed with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

_DOMAIN = "scry"  # of ErrorInfo
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Error(Exception):
    """What a call or one item failed with.

    code is the canonical code, reason scry's stable name of what went wrong ("" when there is none), metadata belongs to
    the reason, violations are (field path, description) pairs, retry_after is the number of seconds after which the same
    call can succeed (0.0 = no hint).
    """

    def __init__(self, code: grpc.StatusCode, message: str, *, reason: str = "", metadata: Mapping[str, str] | None = None,
                 violations: tuple[tuple[str, str], ...] = (), retry_after: float = 0.0) -> None:
        self.code = code
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.violations = violations
        self.retry_after = retry_after
        super().__init__(self.__str__())

    def __str__(self) -> str:
        text = self.code.name
        if self.reason and self.reason != self.code.name:
            text += f" ({self.reason})"
        if self.message:
            text += f": {self.message}"
        for field, description in self.violations:
            if field not in self.message or description not in self.message:
                text += f"; {field}: {description}"
        if self.retry_after:
            text += f"; try again in {self.retry_after:g} s"
        return text

    def __reduce__(self) -> Any:  # exceptions with keyword arguments do not pickle by themselves
        return _rebuild, (self.code.name, self.message, self.reason, self.metadata, self.violations, self.retry_after)


def _rebuild(code: str, message: str, reason: str, metadata: dict[str, str], violations: tuple[tuple[str, str], ...],
             retry_after: float) -> Error:
    return Error(grpc.StatusCode[code], message, reason=reason, metadata=metadata, violations=violations, retry_after=retry_after)


class ItemErrors(Exception):
    """Some items of a call failed, the others were answered.

    errors maps the place of a failed item (0 = the first) to its Error; answers is what the call would have returned.
    """

    def __init__(self, errors: dict[int, Error], total: int, answers: Any) -> None:
        self.errors = errors
        self.total = total
        self.answers = answers
        place, first = next(iter(errors.items()))
        super().__init__(f"{len(errors)} of {total} items failed; item {place}: {first}")

    def __reduce__(self) -> Any:
        return ItemErrors, (self.errors, self.total, self.answers)


def from_status(status: status_pb2.Status) -> Error:
    """The error of an item, or of a call that sent its status in full."""
    reason, metadata, violations, retry_after = "", None, [], 0.0
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        bad = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info) and info.domain == _DOMAIN:
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            violations += [(v.field, v.description) for v in bad.field_violations]
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    return Error(_CODES.get(status.code, grpc.StatusCode.UNKNOWN), status.message, reason=reason, metadata=metadata,
                 violations=tuple(violations), retry_after=retry_after)


def from_rpc(error: Any) -> Error:
    """The error of a call, of grpc's or grpc.aio's exception."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            try:
                return from_status(status_pb2.Status.FromString(value))
            except DecodeError:
                break
    return Error(error.code(), error.details() or "")
