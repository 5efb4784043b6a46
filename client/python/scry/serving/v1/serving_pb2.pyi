import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WarningCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WARNING_CODE_UNSPECIFIED: _ClassVar[WarningCode]
    WARNING_CODE_FEATURE_IMPUTED: _ClassVar[WarningCode]
    WARNING_CODE_OUT_OF_RANGE: _ClassVar[WarningCode]
    WARNING_CODE_UNSEEN_CATEGORY: _ClassVar[WarningCode]
    WARNING_CODE_UNKNOWN_FEATURE: _ClassVar[WarningCode]
    WARNING_CODE_TRUNCATED: _ClassVar[WarningCode]
    WARNING_CODE_TEXT_REPAIRED: _ClassVar[WarningCode]
    WARNING_CODE_EMPTY_INPUT: _ClassVar[WarningCode]
    WARNING_CODE_COLD_START: _ClassVar[WarningCode]
    WARNING_CODE_LOW_SUPPORT: _ClassVar[WarningCode]
    WARNING_CODE_UNKNOWN_ITEM: _ClassVar[WarningCode]
    WARNING_CODE_UNSUPPORTED_LANGUAGE: _ClassVar[WarningCode]
    WARNING_CODE_NOT_ALLOWED: _ClassVar[WarningCode]
WARNING_CODE_UNSPECIFIED: WarningCode
WARNING_CODE_FEATURE_IMPUTED: WarningCode
WARNING_CODE_OUT_OF_RANGE: WarningCode
WARNING_CODE_UNSEEN_CATEGORY: WarningCode
WARNING_CODE_UNKNOWN_FEATURE: WarningCode
WARNING_CODE_TRUNCATED: WarningCode
WARNING_CODE_TEXT_REPAIRED: WarningCode
WARNING_CODE_EMPTY_INPUT: WarningCode
WARNING_CODE_COLD_START: WarningCode
WARNING_CODE_LOW_SUPPORT: WarningCode
WARNING_CODE_UNKNOWN_ITEM: WarningCode
WARNING_CODE_UNSUPPORTED_LANGUAGE: WarningCode
WARNING_CODE_NOT_ALLOWED: WarningCode

class ServedBy(_message.Message):
    __slots__ = ("heads", "model", "version", "device", "provider", "precision", "fallback_reason", "queue_time", "compute_time", "batch_size")
    HEADS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_REASON_FIELD_NUMBER: _ClassVar[int]
    QUEUE_TIME_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_TIME_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    heads: _containers.RepeatedScalarFieldContainer[str]
    model: str
    version: int
    device: str
    provider: str
    precision: str
    fallback_reason: str
    queue_time: _duration_pb2.Duration
    compute_time: _duration_pb2.Duration
    batch_size: int
    def __init__(self, heads: _Optional[_Iterable[str]] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., device: _Optional[str] = ..., provider: _Optional[str] = ..., precision: _Optional[str] = ..., fallback_reason: _Optional[str] = ..., queue_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., compute_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., batch_size: _Optional[int] = ...) -> None: ...

class Warning(_message.Message):
    __slots__ = ("code", "field", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: WarningCode
    field: str
    message: str
    def __init__(self, code: _Optional[_Union[WarningCode, str]] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
