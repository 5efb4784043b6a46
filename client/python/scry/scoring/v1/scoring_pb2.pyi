import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.rpc import status_pb2 as _status_pb2
from scry.scoring.v1 import choosing_pb2 as _choosing_pb2
from scry.scoring.v1 import instance_pb2 as _instance_pb2
from scry.serving.v1 import serving_pb2 as _serving_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Scale(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCALE_UNSPECIFIED: _ClassVar[Scale]
    SCALE_RAW_SCORE: _ClassVar[Scale]
    SCALE_PROBABILITY: _ClassVar[Scale]
    SCALE_LOG_ODDS: _ClassVar[Scale]
SCALE_UNSPECIFIED: Scale
SCALE_RAW_SCORE: Scale
SCALE_PROBABILITY: Scale
SCALE_LOG_ODDS: Scale

class ScoreRequest(_message.Message):
    __slots__ = ("model", "version", "instances", "table", "options")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    instances: _containers.RepeatedCompositeFieldContainer[_instance_pb2.Instance]
    table: Table
    options: ScoreOptions
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., instances: _Optional[_Iterable[_Union[_instance_pb2.Instance, _Mapping]]] = ..., table: _Optional[_Union[Table, _Mapping]] = ..., options: _Optional[_Union[ScoreOptions, _Mapping]] = ...) -> None: ...

class Table(_message.Message):
    __slots__ = ("ids", "rows", "columns")
    IDS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    rows: int
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., rows: _Optional[int] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("name", "doubles", "int64s", "bools", "strings", "sequences", "validity")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DOUBLES_FIELD_NUMBER: _ClassVar[int]
    INT64S_FIELD_NUMBER: _ClassVar[int]
    BOOLS_FIELD_NUMBER: _ClassVar[int]
    STRINGS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    VALIDITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    doubles: Doubles
    int64s: Int64s
    bools: Bools
    strings: Strings
    sequences: Sequences
    validity: bytes
    def __init__(self, name: _Optional[str] = ..., doubles: _Optional[_Union[Doubles, _Mapping]] = ..., int64s: _Optional[_Union[Int64s, _Mapping]] = ..., bools: _Optional[_Union[Bools, _Mapping]] = ..., strings: _Optional[_Union[Strings, _Mapping]] = ..., sequences: _Optional[_Union[Sequences, _Mapping]] = ..., validity: _Optional[bytes] = ...) -> None: ...

class Doubles(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class Int64s(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, values: _Optional[_Iterable[int]] = ...) -> None: ...

class Bools(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[bool]
    def __init__(self, values: _Optional[_Iterable[bool]] = ...) -> None: ...

class Strings(_message.Message):
    __slots__ = ("dictionary", "indices")
    DICTIONARY_FIELD_NUMBER: _ClassVar[int]
    INDICES_FIELD_NUMBER: _ClassVar[int]
    dictionary: _containers.RepeatedScalarFieldContainer[str]
    indices: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, dictionary: _Optional[_Iterable[str]] = ..., indices: _Optional[_Iterable[int]] = ...) -> None: ...

class Sequences(_message.Message):
    __slots__ = ("offsets", "fields")
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    offsets: _containers.RepeatedScalarFieldContainer[int]
    fields: _containers.RepeatedCompositeFieldContainer[Column]
    def __init__(self, offsets: _Optional[_Iterable[int]] = ..., fields: _Optional[_Iterable[_Union[Column, _Mapping]]] = ...) -> None: ...

class ScoreOptions(_message.Message):
    __slots__ = ("heads", "reasons", "language", "actionable_only", "horizon", "quantiles", "treatments")
    HEADS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    ACTIONABLE_ONLY_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    QUANTILES_FIELD_NUMBER: _ClassVar[int]
    TREATMENTS_FIELD_NUMBER: _ClassVar[int]
    heads: _containers.RepeatedScalarFieldContainer[str]
    reasons: int
    language: str
    actionable_only: bool
    horizon: int
    quantiles: _containers.RepeatedScalarFieldContainer[float]
    treatments: _containers.RepeatedCompositeFieldContainer[TreatmentOption]
    def __init__(self, heads: _Optional[_Iterable[str]] = ..., reasons: _Optional[int] = ..., language: _Optional[str] = ..., actionable_only: bool = ..., horizon: _Optional[int] = ..., quantiles: _Optional[_Iterable[float]] = ..., treatments: _Optional[_Iterable[_Union[TreatmentOption, _Mapping]]] = ...) -> None: ...

class TreatmentOption(_message.Message):
    __slots__ = ("name", "cost", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    cost: float
    value: float
    def __init__(self, name: _Optional[str] = ..., cost: _Optional[float] = ..., value: _Optional[float] = ...) -> None: ...

class ScoreResponse(_message.Message):
    __slots__ = ("results", "table")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ScoreResult]
    table: TableResult
    def __init__(self, results: _Optional[_Iterable[_Union[ScoreResult, _Mapping]]] = ..., table: _Optional[_Union[TableResult, _Mapping]] = ...) -> None: ...

class ScoreResult(_message.Message):
    __slots__ = ("id", "index", "error", "heads", "prediction_id", "served_by", "warnings")
    class HeadsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Head
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Head, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    SERVED_BY_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    id: str
    index: int
    error: _status_pb2.Status
    heads: _containers.MessageMap[str, Head]
    prediction_id: str
    served_by: _containers.RepeatedCompositeFieldContainer[_serving_pb2.ServedBy]
    warnings: _containers.RepeatedCompositeFieldContainer[_serving_pb2.Warning]
    def __init__(self, id: _Optional[str] = ..., index: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., heads: _Optional[_Mapping[str, Head]] = ..., prediction_id: _Optional[str] = ..., served_by: _Optional[_Iterable[_Union[_serving_pb2.ServedBy, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_serving_pb2.Warning, _Mapping]]] = ...) -> None: ...

class Head(_message.Message):
    __slots__ = ("probability", "value", "classes", "embedding", "segment", "uplift", "forecast")
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    UPLIFT_FIELD_NUMBER: _ClassVar[int]
    FORECAST_FIELD_NUMBER: _ClassVar[int]
    probability: Probability
    value: Value
    classes: Classes
    embedding: Embedding
    segment: Segment
    uplift: Uplift
    forecast: Forecast
    def __init__(self, probability: _Optional[_Union[Probability, _Mapping]] = ..., value: _Optional[_Union[Value, _Mapping]] = ..., classes: _Optional[_Union[Classes, _Mapping]] = ..., embedding: _Optional[_Union[Embedding, _Mapping]] = ..., segment: _Optional[_Union[Segment, _Mapping]] = ..., uplift: _Optional[_Union[Uplift, _Mapping]] = ..., forecast: _Optional[_Union[Forecast, _Mapping]] = ...) -> None: ...

class Probability(_message.Message):
    __slots__ = ("event", "probability", "raw_score", "threshold", "predicted", "percentile", "band", "reasons")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    RAW_SCORE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_FIELD_NUMBER: _ClassVar[int]
    PERCENTILE_FIELD_NUMBER: _ClassVar[int]
    BAND_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    event: str
    probability: float
    raw_score: float
    threshold: float
    predicted: bool
    percentile: float
    band: str
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    def __init__(self, event: _Optional[str] = ..., probability: _Optional[float] = ..., raw_score: _Optional[float] = ..., threshold: _Optional[float] = ..., predicted: bool = ..., percentile: _Optional[float] = ..., band: _Optional[str] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("feature", "code", "text", "contribution", "actionable")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    ACTIONABLE_FIELD_NUMBER: _ClassVar[int]
    feature: str
    code: str
    text: str
    contribution: float
    actionable: bool
    def __init__(self, feature: _Optional[str] = ..., code: _Optional[str] = ..., text: _Optional[str] = ..., contribution: _Optional[float] = ..., actionable: bool = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("value", "unit", "interval", "positive_probability", "percentile", "band", "reasons")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    PERCENTILE_FIELD_NUMBER: _ClassVar[int]
    BAND_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    value: float
    unit: str
    interval: Interval
    positive_probability: float
    percentile: float
    band: str
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    def __init__(self, value: _Optional[float] = ..., unit: _Optional[str] = ..., interval: _Optional[_Union[Interval, _Mapping]] = ..., positive_probability: _Optional[float] = ..., percentile: _Optional[float] = ..., band: _Optional[str] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ...) -> None: ...

class Interval(_message.Message):
    __slots__ = ("lower", "upper", "level")
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    lower: float
    upper: float
    level: float
    def __init__(self, lower: _Optional[float] = ..., upper: _Optional[float] = ..., level: _Optional[float] = ...) -> None: ...

class Classes(_message.Message):
    __slots__ = ("classes",)
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    classes: _containers.RepeatedCompositeFieldContainer[ClassProbability]
    def __init__(self, classes: _Optional[_Iterable[_Union[ClassProbability, _Mapping]]] = ...) -> None: ...

class ClassProbability(_message.Message):
    __slots__ = ("name", "probability")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    probability: float
    def __init__(self, name: _Optional[str] = ..., probability: _Optional[float] = ...) -> None: ...

class Embedding(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class Segment(_message.Message):
    __slots__ = ("name", "title", "description", "membership", "distance", "outlier", "cell", "alternatives")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    OUTLIER_FIELD_NUMBER: _ClassVar[int]
    CELL_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    description: str
    membership: float
    distance: float
    outlier: bool
    cell: Cell
    alternatives: _containers.RepeatedCompositeFieldContainer[SegmentAlternative]
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., description: _Optional[str] = ..., membership: _Optional[float] = ..., distance: _Optional[float] = ..., outlier: bool = ..., cell: _Optional[_Union[Cell, _Mapping]] = ..., alternatives: _Optional[_Iterable[_Union[SegmentAlternative, _Mapping]]] = ...) -> None: ...

class Cell(_message.Message):
    __slots__ = ("row", "column")
    ROW_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    row: int
    column: int
    def __init__(self, row: _Optional[int] = ..., column: _Optional[int] = ...) -> None: ...

class SegmentAlternative(_message.Message):
    __slots__ = ("name", "title", "membership", "distance", "cell")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    CELL_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    membership: float
    distance: float
    cell: Cell
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., membership: _Optional[float] = ..., distance: _Optional[float] = ..., cell: _Optional[_Union[Cell, _Mapping]] = ...) -> None: ...

class Uplift(_message.Message):
    __slots__ = ("best", "treatments", "baseline", "unit", "currency")
    BEST_FIELD_NUMBER: _ClassVar[int]
    TREATMENTS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    best: str
    treatments: _containers.RepeatedCompositeFieldContainer[TreatmentEffect]
    baseline: float
    unit: str
    currency: str
    def __init__(self, best: _Optional[str] = ..., treatments: _Optional[_Iterable[_Union[TreatmentEffect, _Mapping]]] = ..., baseline: _Optional[float] = ..., unit: _Optional[str] = ..., currency: _Optional[str] = ...) -> None: ...

class TreatmentEffect(_message.Message):
    __slots__ = ("name", "title", "effect", "interval", "expected_profit", "cost")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_PROFIT_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    effect: float
    interval: Interval
    expected_profit: float
    cost: float
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., effect: _Optional[float] = ..., interval: _Optional[_Union[Interval, _Mapping]] = ..., expected_profit: _Optional[float] = ..., cost: _Optional[float] = ...) -> None: ...

class Forecast(_message.Message):
    __slots__ = ("points", "levels", "unit", "step")
    POINTS_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[ForecastPoint]
    levels: _containers.RepeatedScalarFieldContainer[float]
    unit: str
    step: _duration_pb2.Duration
    def __init__(self, points: _Optional[_Iterable[_Union[ForecastPoint, _Mapping]]] = ..., levels: _Optional[_Iterable[float]] = ..., unit: _Optional[str] = ..., step: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ForecastPoint(_message.Message):
    __slots__ = ("value", "quantiles")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    QUANTILES_FIELD_NUMBER: _ClassVar[int]
    value: float
    quantiles: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, value: _Optional[float] = ..., quantiles: _Optional[_Iterable[float]] = ...) -> None: ...

class TableResult(_message.Message):
    __slots__ = ("rows", "ids", "first_index", "heads", "errors", "prediction_id", "served_by", "warnings")
    class HeadsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: HeadColumns
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[HeadColumns, _Mapping]] = ...) -> None: ...
    ROWS_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    SERVED_BY_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    ids: _containers.RepeatedScalarFieldContainer[str]
    first_index: int
    heads: _containers.MessageMap[str, HeadColumns]
    errors: _containers.RepeatedCompositeFieldContainer[RowError]
    prediction_id: str
    served_by: _containers.RepeatedCompositeFieldContainer[_serving_pb2.ServedBy]
    warnings: _containers.RepeatedCompositeFieldContainer[TableWarning]
    def __init__(self, rows: _Optional[int] = ..., ids: _Optional[_Iterable[str]] = ..., first_index: _Optional[int] = ..., heads: _Optional[_Mapping[str, HeadColumns]] = ..., errors: _Optional[_Iterable[_Union[RowError, _Mapping]]] = ..., prediction_id: _Optional[str] = ..., served_by: _Optional[_Iterable[_Union[_serving_pb2.ServedBy, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[TableWarning, _Mapping]]] = ...) -> None: ...

class RowError(_message.Message):
    __slots__ = ("row", "error")
    ROW_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    row: int
    error: _status_pb2.Status
    def __init__(self, row: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class TableWarning(_message.Message):
    __slots__ = ("warning", "count", "rows")
    WARNING_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    warning: _serving_pb2.Warning
    count: int
    rows: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, warning: _Optional[_Union[_serving_pb2.Warning, _Mapping]] = ..., count: _Optional[int] = ..., rows: _Optional[_Iterable[int]] = ...) -> None: ...

class HeadColumns(_message.Message):
    __slots__ = ("probability", "value", "classes", "embedding", "segment", "uplift", "forecast")
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    UPLIFT_FIELD_NUMBER: _ClassVar[int]
    FORECAST_FIELD_NUMBER: _ClassVar[int]
    probability: ProbabilityColumns
    value: ValueColumn
    classes: ClassesColumns
    embedding: EmbeddingColumn
    segment: SegmentColumns
    uplift: UpliftColumns
    forecast: ForecastColumns
    def __init__(self, probability: _Optional[_Union[ProbabilityColumns, _Mapping]] = ..., value: _Optional[_Union[ValueColumn, _Mapping]] = ..., classes: _Optional[_Union[ClassesColumns, _Mapping]] = ..., embedding: _Optional[_Union[EmbeddingColumn, _Mapping]] = ..., segment: _Optional[_Union[SegmentColumns, _Mapping]] = ..., uplift: _Optional[_Union[UpliftColumns, _Mapping]] = ..., forecast: _Optional[_Union[ForecastColumns, _Mapping]] = ...) -> None: ...

class ProbabilityColumns(_message.Message):
    __slots__ = ("event", "probability", "raw_score", "threshold", "percentile", "band_names", "band", "reasons")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    RAW_SCORE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    PERCENTILE_FIELD_NUMBER: _ClassVar[int]
    BAND_NAMES_FIELD_NUMBER: _ClassVar[int]
    BAND_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    event: str
    probability: _containers.RepeatedScalarFieldContainer[float]
    raw_score: _containers.RepeatedScalarFieldContainer[float]
    threshold: float
    percentile: _containers.RepeatedScalarFieldContainer[float]
    band_names: _containers.RepeatedScalarFieldContainer[str]
    band: _containers.RepeatedScalarFieldContainer[int]
    reasons: _containers.RepeatedCompositeFieldContainer[ReasonColumn]
    def __init__(self, event: _Optional[str] = ..., probability: _Optional[_Iterable[float]] = ..., raw_score: _Optional[_Iterable[float]] = ..., threshold: _Optional[float] = ..., percentile: _Optional[_Iterable[float]] = ..., band_names: _Optional[_Iterable[str]] = ..., band: _Optional[_Iterable[int]] = ..., reasons: _Optional[_Iterable[_Union[ReasonColumn, _Mapping]]] = ...) -> None: ...

class ReasonColumn(_message.Message):
    __slots__ = ("feature", "contribution", "feature_names", "codes")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    FEATURE_NAMES_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    feature: _containers.RepeatedScalarFieldContainer[int]
    contribution: _containers.RepeatedScalarFieldContainer[float]
    feature_names: _containers.RepeatedScalarFieldContainer[str]
    codes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, feature: _Optional[_Iterable[int]] = ..., contribution: _Optional[_Iterable[float]] = ..., feature_names: _Optional[_Iterable[str]] = ..., codes: _Optional[_Iterable[str]] = ...) -> None: ...

class ValueColumn(_message.Message):
    __slots__ = ("values", "unit", "lower", "upper", "level", "positive_probability", "percentile", "band_names", "band", "reasons")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    PERCENTILE_FIELD_NUMBER: _ClassVar[int]
    BAND_NAMES_FIELD_NUMBER: _ClassVar[int]
    BAND_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    unit: str
    lower: _containers.RepeatedScalarFieldContainer[float]
    upper: _containers.RepeatedScalarFieldContainer[float]
    level: float
    positive_probability: _containers.RepeatedScalarFieldContainer[float]
    percentile: _containers.RepeatedScalarFieldContainer[float]
    band_names: _containers.RepeatedScalarFieldContainer[str]
    band: _containers.RepeatedScalarFieldContainer[int]
    reasons: _containers.RepeatedCompositeFieldContainer[ReasonColumn]
    def __init__(self, values: _Optional[_Iterable[float]] = ..., unit: _Optional[str] = ..., lower: _Optional[_Iterable[float]] = ..., upper: _Optional[_Iterable[float]] = ..., level: _Optional[float] = ..., positive_probability: _Optional[_Iterable[float]] = ..., percentile: _Optional[_Iterable[float]] = ..., band_names: _Optional[_Iterable[str]] = ..., band: _Optional[_Iterable[int]] = ..., reasons: _Optional[_Iterable[_Union[ReasonColumn, _Mapping]]] = ...) -> None: ...

class ClassesColumns(_message.Message):
    __slots__ = ("names", "probabilities")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, names: _Optional[_Iterable[str]] = ..., probabilities: _Optional[_Iterable[float]] = ...) -> None: ...

class EmbeddingColumn(_message.Message):
    __slots__ = ("size", "values")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    size: int
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, size: _Optional[int] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class SegmentColumns(_message.Message):
    __slots__ = ("names", "titles", "segment", "membership", "distance", "outlier", "grid_columns", "alternatives")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    TITLES_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    OUTLIER_FIELD_NUMBER: _ClassVar[int]
    GRID_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    titles: _containers.RepeatedScalarFieldContainer[str]
    segment: _containers.RepeatedScalarFieldContainer[int]
    membership: _containers.RepeatedScalarFieldContainer[float]
    distance: _containers.RepeatedScalarFieldContainer[float]
    outlier: _containers.RepeatedScalarFieldContainer[bool]
    grid_columns: int
    alternatives: _containers.RepeatedCompositeFieldContainer[SegmentRank]
    def __init__(self, names: _Optional[_Iterable[str]] = ..., titles: _Optional[_Iterable[str]] = ..., segment: _Optional[_Iterable[int]] = ..., membership: _Optional[_Iterable[float]] = ..., distance: _Optional[_Iterable[float]] = ..., outlier: _Optional[_Iterable[bool]] = ..., grid_columns: _Optional[int] = ..., alternatives: _Optional[_Iterable[_Union[SegmentRank, _Mapping]]] = ...) -> None: ...

class SegmentRank(_message.Message):
    __slots__ = ("segment", "membership", "distance")
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    segment: _containers.RepeatedScalarFieldContainer[int]
    membership: _containers.RepeatedScalarFieldContainer[float]
    distance: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, segment: _Optional[_Iterable[int]] = ..., membership: _Optional[_Iterable[float]] = ..., distance: _Optional[_Iterable[float]] = ...) -> None: ...

class UpliftColumns(_message.Message):
    __slots__ = ("names", "costs", "effects", "lower", "upper", "level", "expected_profit", "best", "baseline", "unit", "currency")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    COSTS_FIELD_NUMBER: _ClassVar[int]
    EFFECTS_FIELD_NUMBER: _ClassVar[int]
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_PROFIT_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    costs: _containers.RepeatedScalarFieldContainer[float]
    effects: _containers.RepeatedScalarFieldContainer[float]
    lower: _containers.RepeatedScalarFieldContainer[float]
    upper: _containers.RepeatedScalarFieldContainer[float]
    level: float
    expected_profit: _containers.RepeatedScalarFieldContainer[float]
    best: _containers.RepeatedScalarFieldContainer[int]
    baseline: _containers.RepeatedScalarFieldContainer[float]
    unit: str
    currency: str
    def __init__(self, names: _Optional[_Iterable[str]] = ..., costs: _Optional[_Iterable[float]] = ..., effects: _Optional[_Iterable[float]] = ..., lower: _Optional[_Iterable[float]] = ..., upper: _Optional[_Iterable[float]] = ..., level: _Optional[float] = ..., expected_profit: _Optional[_Iterable[float]] = ..., best: _Optional[_Iterable[int]] = ..., baseline: _Optional[_Iterable[float]] = ..., unit: _Optional[str] = ..., currency: _Optional[str] = ...) -> None: ...

class ForecastColumns(_message.Message):
    __slots__ = ("horizon", "values", "levels", "quantiles", "unit", "step")
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    QUANTILES_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    horizon: int
    values: _containers.RepeatedScalarFieldContainer[float]
    levels: _containers.RepeatedScalarFieldContainer[float]
    quantiles: _containers.RepeatedScalarFieldContainer[float]
    unit: str
    step: _duration_pb2.Duration
    def __init__(self, horizon: _Optional[int] = ..., values: _Optional[_Iterable[float]] = ..., levels: _Optional[_Iterable[float]] = ..., quantiles: _Optional[_Iterable[float]] = ..., unit: _Optional[str] = ..., step: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("model", "version", "instances", "options")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    instances: _containers.RepeatedCompositeFieldContainer[_instance_pb2.Instance]
    options: ExplainOptions
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., instances: _Optional[_Iterable[_Union[_instance_pb2.Instance, _Mapping]]] = ..., options: _Optional[_Union[ExplainOptions, _Mapping]] = ...) -> None: ...

class ExplainOptions(_message.Message):
    __slots__ = ("head", "target", "scale", "max_evaluations", "seed", "language", "actionable_only")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    MAX_EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    ACTIONABLE_ONLY_FIELD_NUMBER: _ClassVar[int]
    head: str
    target: str
    scale: Scale
    max_evaluations: int
    seed: int
    language: str
    actionable_only: bool
    def __init__(self, head: _Optional[str] = ..., target: _Optional[str] = ..., scale: _Optional[_Union[Scale, str]] = ..., max_evaluations: _Optional[int] = ..., seed: _Optional[int] = ..., language: _Optional[str] = ..., actionable_only: bool = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[Explanation]
    def __init__(self, results: _Optional[_Iterable[_Union[Explanation, _Mapping]]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("id", "index", "error", "head", "target", "scale", "value", "base_value", "contributions", "additivity_error", "exact", "evaluations", "background_rows", "seed", "prediction_id", "served_by", "warnings")
    ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    BASE_VALUE_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    ADDITIVITY_ERROR_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_ROWS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    SERVED_BY_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    id: str
    index: int
    error: _status_pb2.Status
    head: str
    target: str
    scale: Scale
    value: float
    base_value: float
    contributions: _containers.RepeatedCompositeFieldContainer[Contribution]
    additivity_error: float
    exact: bool
    evaluations: int
    background_rows: int
    seed: int
    prediction_id: str
    served_by: _containers.RepeatedCompositeFieldContainer[_serving_pb2.ServedBy]
    warnings: _containers.RepeatedCompositeFieldContainer[_serving_pb2.Warning]
    def __init__(self, id: _Optional[str] = ..., index: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., head: _Optional[str] = ..., target: _Optional[str] = ..., scale: _Optional[_Union[Scale, str]] = ..., value: _Optional[float] = ..., base_value: _Optional[float] = ..., contributions: _Optional[_Iterable[_Union[Contribution, _Mapping]]] = ..., additivity_error: _Optional[float] = ..., exact: bool = ..., evaluations: _Optional[int] = ..., background_rows: _Optional[int] = ..., seed: _Optional[int] = ..., prediction_id: _Optional[str] = ..., served_by: _Optional[_Iterable[_Union[_serving_pb2.ServedBy, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_serving_pb2.Warning, _Mapping]]] = ...) -> None: ...

class Contribution(_message.Message):
    __slots__ = ("feature", "members", "contribution", "standard_error", "code", "text", "actionable")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ACTIONABLE_FIELD_NUMBER: _ClassVar[int]
    feature: str
    members: _containers.RepeatedScalarFieldContainer[str]
    contribution: float
    standard_error: float
    code: str
    text: str
    actionable: bool
    def __init__(self, feature: _Optional[str] = ..., members: _Optional[_Iterable[str]] = ..., contribution: _Optional[float] = ..., standard_error: _Optional[float] = ..., code: _Optional[str] = ..., text: _Optional[str] = ..., actionable: bool = ...) -> None: ...

class StreamScoreRequest(_message.Message):
    __slots__ = ("model", "version", "instances", "table", "options")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    instances: _containers.RepeatedCompositeFieldContainer[_instance_pb2.Instance]
    table: Table
    options: ScoreOptions
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., instances: _Optional[_Iterable[_Union[_instance_pb2.Instance, _Mapping]]] = ..., table: _Optional[_Union[Table, _Mapping]] = ..., options: _Optional[_Union[ScoreOptions, _Mapping]] = ...) -> None: ...

class StreamScoreResponse(_message.Message):
    __slots__ = ("results", "table")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ScoreResult]
    table: TableResult
    def __init__(self, results: _Optional[_Iterable[_Union[ScoreResult, _Mapping]]] = ..., table: _Optional[_Union[TableResult, _Mapping]] = ...) -> None: ...
