import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttributeType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTRIBUTE_TYPE_UNSPECIFIED: _ClassVar[AttributeType]
    ATTRIBUTE_TYPE_STRING: _ClassVar[AttributeType]
    ATTRIBUTE_TYPE_NUMBER: _ClassVar[AttributeType]
    ATTRIBUTE_TYPE_BOOL: _ClassVar[AttributeType]
    ATTRIBUTE_TYPE_TIMESTAMP: _ClassVar[AttributeType]
    ATTRIBUTE_TYPE_STRINGS: _ClassVar[AttributeType]
ATTRIBUTE_TYPE_UNSPECIFIED: AttributeType
ATTRIBUTE_TYPE_STRING: AttributeType
ATTRIBUTE_TYPE_NUMBER: AttributeType
ATTRIBUTE_TYPE_BOOL: AttributeType
ATTRIBUTE_TYPE_TIMESTAMP: AttributeType
ATTRIBUTE_TYPE_STRINGS: AttributeType

class Catalogue(_message.Message):
    __slots__ = ("items", "actions", "send_times")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    SEND_TIMES_FIELD_NUMBER: _ClassVar[int]
    items: Items
    actions: _containers.RepeatedCompositeFieldContainer[Action]
    send_times: SendTimes
    def __init__(self, items: _Optional[_Union[Items, _Mapping]] = ..., actions: _Optional[_Iterable[_Union[Action, _Mapping]]] = ..., send_times: _Optional[_Union[SendTimes, _Mapping]] = ...) -> None: ...

class Items(_message.Message):
    __slots__ = ("file", "attributes", "vectors", "biases", "query_head", "history_feature", "history_item_field", "popularity", "expiry", "repeat_weight")
    FILE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    BIASES_FIELD_NUMBER: _ClassVar[int]
    QUERY_HEAD_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FEATURE_FIELD_NUMBER: _ClassVar[int]
    HISTORY_ITEM_FIELD_FIELD_NUMBER: _ClassVar[int]
    POPULARITY_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_FIELD_NUMBER: _ClassVar[int]
    REPEAT_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    file: str
    attributes: _containers.RepeatedCompositeFieldContainer[Attribute]
    vectors: str
    biases: str
    query_head: str
    history_feature: str
    history_item_field: str
    popularity: str
    expiry: str
    repeat_weight: float
    def __init__(self, file: _Optional[str] = ..., attributes: _Optional[_Iterable[_Union[Attribute, _Mapping]]] = ..., vectors: _Optional[str] = ..., biases: _Optional[str] = ..., query_head: _Optional[str] = ..., history_feature: _Optional[str] = ..., history_item_field: _Optional[str] = ..., popularity: _Optional[str] = ..., expiry: _Optional[str] = ..., repeat_weight: _Optional[float] = ...) -> None: ...

class Attribute(_message.Message):
    __slots__ = ("name", "type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: AttributeType
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[AttributeType, str]] = ...) -> None: ...

class Action(_message.Message):
    __slots__ = ("name", "title", "head", "treatment", "constant", "value", "cost", "eligibility", "starts", "expires", "creatives", "attributes")
    class TitleEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    TREATMENT_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    ELIGIBILITY_FIELD_NUMBER: _ClassVar[int]
    STARTS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    CREATIVES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: _containers.ScalarMap[str, str]
    head: str
    treatment: str
    constant: float
    value: float
    cost: float
    eligibility: str
    starts: str
    expires: str
    creatives: _containers.RepeatedCompositeFieldContainer[Creative]
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., title: _Optional[_Mapping[str, str]] = ..., head: _Optional[str] = ..., treatment: _Optional[str] = ..., constant: _Optional[float] = ..., value: _Optional[float] = ..., cost: _Optional[float] = ..., eligibility: _Optional[str] = ..., starts: _Optional[str] = ..., expires: _Optional[str] = ..., creatives: _Optional[_Iterable[_Union[Creative, _Mapping]]] = ..., attributes: _Optional[_Mapping[str, str]] = ..., **kwargs) -> None: ...

class Creative(_message.Message):
    __slots__ = ("name", "prior")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PRIOR_FIELD_NUMBER: _ClassVar[int]
    name: str
    prior: Beta
    def __init__(self, name: _Optional[str] = ..., prior: _Optional[_Union[Beta, _Mapping]] = ...) -> None: ...

class Beta(_message.Message):
    __slots__ = ("alpha", "beta")
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    alpha: float
    beta: float
    def __init__(self, alpha: _Optional[float] = ..., beta: _Optional[float] = ...) -> None: ...

class SendTimes(_message.Message):
    __slots__ = ("rates", "prior_strength", "bandwidth", "other_days")
    RATES_FIELD_NUMBER: _ClassVar[int]
    PRIOR_STRENGTH_FIELD_NUMBER: _ClassVar[int]
    BANDWIDTH_FIELD_NUMBER: _ClassVar[int]
    OTHER_DAYS_FIELD_NUMBER: _ClassVar[int]
    rates: _containers.RepeatedScalarFieldContainer[float]
    prior_strength: float
    bandwidth: _duration_pb2.Duration
    other_days: float
    def __init__(self, rates: _Optional[_Iterable[float]] = ..., prior_strength: _Optional[float] = ..., bandwidth: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., other_days: _Optional[float] = ...) -> None: ...
