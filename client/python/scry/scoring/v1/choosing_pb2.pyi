import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from scry.scoring.v1 import instance_pb2 as _instance_pb2
from scry.serving.v1 import serving_pb2 as _serving_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExclusionReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXCLUSION_REASON_UNSPECIFIED: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_NOT_ELIGIBLE: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_NOT_STARTED: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_EXPIRED: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_FILTERED: _ClassVar[ExclusionReason]
    EXCLUSION_REASON_UNPROFITABLE: _ClassVar[ExclusionReason]
EXCLUSION_REASON_UNSPECIFIED: ExclusionReason
EXCLUSION_REASON_NOT_ELIGIBLE: ExclusionReason
EXCLUSION_REASON_NOT_STARTED: ExclusionReason
EXCLUSION_REASON_EXPIRED: ExclusionReason
EXCLUSION_REASON_FILTERED: ExclusionReason
EXCLUSION_REASON_UNPROFITABLE: ExclusionReason

class RecommendItemsRequest(_message.Message):
    __slots__ = ("model", "version", "subjects", "options", "page_size", "page_token")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    subjects: _containers.RepeatedCompositeFieldContainer[RecommendSubject]
    options: RecommendOptions
    page_size: int
    page_token: str
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., subjects: _Optional[_Iterable[_Union[RecommendSubject, _Mapping]]] = ..., options: _Optional[_Union[RecommendOptions, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class RecommendSubject(_message.Message):
    __slots__ = ("id", "features", "history", "anchor_item", "candidates", "seen")
    ID_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    ANCHOR_ITEM_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    id: str
    features: _struct_pb2.Struct
    history: _containers.RepeatedScalarFieldContainer[str]
    anchor_item: str
    candidates: _containers.RepeatedScalarFieldContainer[str]
    seen: _containers.RepeatedCompositeFieldContainer[SeenItem]
    def __init__(self, id: _Optional[str] = ..., features: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., history: _Optional[_Iterable[str]] = ..., anchor_item: _Optional[str] = ..., candidates: _Optional[_Iterable[str]] = ..., seen: _Optional[_Iterable[_Union[SeenItem, _Mapping]]] = ...) -> None: ...

class SeenItem(_message.Message):
    __slots__ = ("item", "count")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    item: str
    count: int
    def __init__(self, item: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class RecommendOptions(_message.Message):
    __slots__ = ("filter", "max_seen", "include_history", "promotions", "diversity", "exploration", "time", "attributes")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    MAX_SEEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_HISTORY_FIELD_NUMBER: _ClassVar[int]
    PROMOTIONS_FIELD_NUMBER: _ClassVar[int]
    DIVERSITY_FIELD_NUMBER: _ClassVar[int]
    EXPLORATION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    filter: str
    max_seen: int
    include_history: bool
    promotions: _containers.RepeatedCompositeFieldContainer[Promotion]
    diversity: float
    exploration: Exploration
    time: _timestamp_pb2.Timestamp
    attributes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, filter: _Optional[str] = ..., max_seen: _Optional[int] = ..., include_history: bool = ..., promotions: _Optional[_Iterable[_Union[Promotion, _Mapping]]] = ..., diversity: _Optional[float] = ..., exploration: _Optional[_Union[Exploration, _Mapping]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attributes: _Optional[_Iterable[str]] = ...) -> None: ...

class Promotion(_message.Message):
    __slots__ = ("name", "filter", "percent")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    filter: str
    percent: float
    def __init__(self, name: _Optional[str] = ..., filter: _Optional[str] = ..., percent: _Optional[float] = ...) -> None: ...

class Exploration(_message.Message):
    __slots__ = ("temperature", "candidates", "seed")
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    candidates: int
    seed: int
    def __init__(self, temperature: _Optional[float] = ..., candidates: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class RecommendItemsResponse(_message.Message):
    __slots__ = ("results", "next_page_token", "seed")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[Recommendation]
    next_page_token: str
    seed: int
    def __init__(self, results: _Optional[_Iterable[_Union[Recommendation, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., seed: _Optional[int] = ...) -> None: ...

class Recommendation(_message.Message):
    __slots__ = ("id", "index", "error", "items", "prediction_id", "served_by", "warnings")
    ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    SERVED_BY_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    id: str
    index: int
    error: _status_pb2.Status
    items: _containers.RepeatedCompositeFieldContainer[RecommendedItem]
    prediction_id: str
    served_by: _containers.RepeatedCompositeFieldContainer[_serving_pb2.ServedBy]
    warnings: _containers.RepeatedCompositeFieldContainer[_serving_pb2.Warning]
    def __init__(self, id: _Optional[str] = ..., index: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., items: _Optional[_Iterable[_Union[RecommendedItem, _Mapping]]] = ..., prediction_id: _Optional[str] = ..., served_by: _Optional[_Iterable[_Union[_serving_pb2.ServedBy, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_serving_pb2.Warning, _Mapping]]] = ...) -> None: ...

class RecommendedItem(_message.Message):
    __slots__ = ("item", "score", "rank", "propensity", "promotion", "attributes")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    PROPENSITY_FIELD_NUMBER: _ClassVar[int]
    PROMOTION_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    item: str
    score: float
    rank: int
    propensity: float
    promotion: str
    attributes: _struct_pb2.Struct
    def __init__(self, item: _Optional[str] = ..., score: _Optional[float] = ..., rank: _Optional[int] = ..., propensity: _Optional[float] = ..., promotion: _Optional[str] = ..., attributes: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ChooseActionRequest(_message.Message):
    __slots__ = ("model", "version", "instances", "options")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    instances: _containers.RepeatedCompositeFieldContainer[_instance_pb2.Instance]
    options: ChooseActionOptions
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., instances: _Optional[_Iterable[_Union[_instance_pb2.Instance, _Mapping]]] = ..., options: _Optional[_Union[ChooseActionOptions, _Mapping]] = ...) -> None: ...

class ChooseActionOptions(_message.Message):
    __slots__ = ("actions", "filter", "count", "thompson", "time", "language", "include_unprofitable")
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    THOMPSON_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_UNPROFITABLE_FIELD_NUMBER: _ClassVar[int]
    actions: _containers.RepeatedScalarFieldContainer[str]
    filter: str
    count: int
    thompson: ThompsonSampling
    time: _timestamp_pb2.Timestamp
    language: str
    include_unprofitable: bool
    def __init__(self, actions: _Optional[_Iterable[str]] = ..., filter: _Optional[str] = ..., count: _Optional[int] = ..., thompson: _Optional[_Union[ThompsonSampling, _Mapping]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., language: _Optional[str] = ..., include_unprofitable: bool = ...) -> None: ...

class ThompsonSampling(_message.Message):
    __slots__ = ("posteriors", "model_weight", "seed", "draws")
    POSTERIORS_FIELD_NUMBER: _ClassVar[int]
    MODEL_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DRAWS_FIELD_NUMBER: _ClassVar[int]
    posteriors: _containers.RepeatedCompositeFieldContainer[Posterior]
    model_weight: float
    seed: int
    draws: int
    def __init__(self, posteriors: _Optional[_Iterable[_Union[Posterior, _Mapping]]] = ..., model_weight: _Optional[float] = ..., seed: _Optional[int] = ..., draws: _Optional[int] = ...) -> None: ...

class Posterior(_message.Message):
    __slots__ = ("action", "creative", "successes", "failures")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CREATIVE_FIELD_NUMBER: _ClassVar[int]
    SUCCESSES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    action: str
    creative: str
    successes: float
    failures: float
    def __init__(self, action: _Optional[str] = ..., creative: _Optional[str] = ..., successes: _Optional[float] = ..., failures: _Optional[float] = ...) -> None: ...

class ChooseActionResponse(_message.Message):
    __slots__ = ("results", "seed")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ActionChoice]
    seed: int
    def __init__(self, results: _Optional[_Iterable[_Union[ActionChoice, _Mapping]]] = ..., seed: _Optional[int] = ...) -> None: ...

class ActionChoice(_message.Message):
    __slots__ = ("id", "index", "error", "actions", "excluded", "prediction_id", "served_by", "warnings")
    ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    SERVED_BY_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    id: str
    index: int
    error: _status_pb2.Status
    actions: _containers.RepeatedCompositeFieldContainer[ChosenAction]
    excluded: _containers.RepeatedCompositeFieldContainer[ExcludedAction]
    prediction_id: str
    served_by: _containers.RepeatedCompositeFieldContainer[_serving_pb2.ServedBy]
    warnings: _containers.RepeatedCompositeFieldContainer[_serving_pb2.Warning]
    def __init__(self, id: _Optional[str] = ..., index: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., actions: _Optional[_Iterable[_Union[ChosenAction, _Mapping]]] = ..., excluded: _Optional[_Iterable[_Union[ExcludedAction, _Mapping]]] = ..., prediction_id: _Optional[str] = ..., served_by: _Optional[_Iterable[_Union[_serving_pb2.ServedBy, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_serving_pb2.Warning, _Mapping]]] = ...) -> None: ...

class ChosenAction(_message.Message):
    __slots__ = ("name", "title", "creative", "probability", "expected_profit", "value", "cost", "sampled_probability", "propensity")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    CREATIVE_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_PROFIT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    SAMPLED_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    PROPENSITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    creative: str
    probability: float
    expected_profit: float
    value: float
    cost: float
    sampled_probability: float
    propensity: float
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., creative: _Optional[str] = ..., probability: _Optional[float] = ..., expected_profit: _Optional[float] = ..., value: _Optional[float] = ..., cost: _Optional[float] = ..., sampled_probability: _Optional[float] = ..., propensity: _Optional[float] = ...) -> None: ...

class ExcludedAction(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: ExclusionReason
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[_Union[ExclusionReason, str]] = ...) -> None: ...

class ChooseSendTimeRequest(_message.Message):
    __slots__ = ("model", "version", "recipients", "options")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    recipients: _containers.RepeatedCompositeFieldContainer[Recipient]
    options: ChooseSendTimeOptions
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., recipients: _Optional[_Iterable[_Union[Recipient, _Mapping]]] = ..., options: _Optional[_Union[ChooseSendTimeOptions, _Mapping]] = ...) -> None: ...

class Recipient(_message.Message):
    __slots__ = ("id", "time_zone", "history")
    ID_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    id: str
    time_zone: str
    history: _containers.RepeatedCompositeFieldContainer[SentMessage]
    def __init__(self, id: _Optional[str] = ..., time_zone: _Optional[str] = ..., history: _Optional[_Iterable[_Union[SentMessage, _Mapping]]] = ...) -> None: ...

class SentMessage(_message.Message):
    __slots__ = ("sent", "answered")
    SENT_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    sent: _timestamp_pb2.Timestamp
    answered: bool
    def __init__(self, sent: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., answered: bool = ...) -> None: ...

class ChooseSendTimeOptions(_message.Message):
    __slots__ = ("earliest", "latest", "quiet_hours", "count", "half_life")
    EARLIEST_FIELD_NUMBER: _ClassVar[int]
    LATEST_FIELD_NUMBER: _ClassVar[int]
    QUIET_HOURS_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    HALF_LIFE_FIELD_NUMBER: _ClassVar[int]
    earliest: _timestamp_pb2.Timestamp
    latest: _timestamp_pb2.Timestamp
    quiet_hours: _containers.RepeatedScalarFieldContainer[int]
    count: int
    half_life: _duration_pb2.Duration
    def __init__(self, earliest: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., latest: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., quiet_hours: _Optional[_Iterable[int]] = ..., count: _Optional[int] = ..., half_life: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ChooseSendTimeResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SendTimeChoice]
    def __init__(self, results: _Optional[_Iterable[_Union[SendTimeChoice, _Mapping]]] = ...) -> None: ...

class SendTimeChoice(_message.Message):
    __slots__ = ("id", "index", "error", "times", "prediction_id", "served_by", "warnings")
    ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    SERVED_BY_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    id: str
    index: int
    error: _status_pb2.Status
    times: _containers.RepeatedCompositeFieldContainer[SendTime]
    prediction_id: str
    served_by: _containers.RepeatedCompositeFieldContainer[_serving_pb2.ServedBy]
    warnings: _containers.RepeatedCompositeFieldContainer[_serving_pb2.Warning]
    def __init__(self, id: _Optional[str] = ..., index: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., times: _Optional[_Iterable[_Union[SendTime, _Mapping]]] = ..., prediction_id: _Optional[str] = ..., served_by: _Optional[_Iterable[_Union[_serving_pb2.ServedBy, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_serving_pb2.Warning, _Mapping]]] = ...) -> None: ...

class SendTime(_message.Message):
    __slots__ = ("time", "slot", "rate", "prior_rate", "observations")
    TIME_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    PRIOR_RATE_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    slot: int
    rate: float
    prior_rate: float
    observations: float
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., slot: _Optional[int] = ..., rate: _Optional[float] = ..., prior_rate: _Optional[float] = ..., observations: _Optional[float] = ...) -> None: ...
