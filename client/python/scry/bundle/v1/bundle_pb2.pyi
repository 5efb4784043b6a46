import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from scry.bundle.v1 import catalogue_pb2 as _catalogue_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Pooling(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POOLING_UNSPECIFIED: _ClassVar[Pooling]
    POOLING_MEAN: _ClassVar[Pooling]
    POOLING_CLS: _ClassVar[Pooling]
    POOLING_MAX: _ClassVar[Pooling]
    POOLING_MEAN_SQRT_LEN: _ClassVar[Pooling]
    POOLING_LAST: _ClassVar[Pooling]
    POOLING_WEIGHTED_MEAN: _ClassVar[Pooling]

class Polarity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLARITY_UNSPECIFIED: _ClassVar[Polarity]
    POLARITY_NEGATIVE: _ClassVar[Polarity]
    POLARITY_NEUTRAL: _ClassVar[Polarity]
    POLARITY_POSITIVE: _ClassVar[Polarity]

class Activation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTIVATION_UNSPECIFIED: _ClassVar[Activation]
    ACTIVATION_SOFTMAX: _ClassVar[Activation]
    ACTIVATION_SIGMOID: _ClassVar[Activation]
    ACTIVATION_NONE: _ClassVar[Activation]

class ResizeMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESIZE_MODE_UNSPECIFIED: _ClassVar[ResizeMode]
    RESIZE_MODE_STRETCH: _ClassVar[ResizeMode]
    RESIZE_MODE_SHORTEST_EDGE: _ClassVar[ResizeMode]
    RESIZE_MODE_LETTERBOX: _ClassVar[ResizeMode]

class Filter(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILTER_UNSPECIFIED: _ClassVar[Filter]
    FILTER_NEAREST: _ClassVar[Filter]
    FILTER_BOX: _ClassVar[Filter]
    FILTER_BILINEAR: _ClassVar[Filter]
    FILTER_HAMMING: _ClassVar[Filter]
    FILTER_BICUBIC: _ClassVar[Filter]
    FILTER_LANCZOS: _ClassVar[Filter]

class Layout(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LAYOUT_UNSPECIFIED: _ClassVar[Layout]
    LAYOUT_NCHW: _ClassVar[Layout]
    LAYOUT_NHWC: _ClassVar[Layout]

class Channels(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANNELS_UNSPECIFIED: _ClassVar[Channels]
    CHANNELS_RGB: _ClassVar[Channels]
    CHANNELS_BGR: _ClassVar[Channels]
    CHANNELS_GRAY: _ClassVar[Channels]

class InfinityPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INFINITY_POLICY_UNSPECIFIED: _ClassVar[InfinityPolicy]
    INFINITY_POLICY_WARN: _ClassVar[InfinityPolicy]
    INFINITY_POLICY_ERROR: _ClassVar[InfinityPolicy]

class TimeEncoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TIME_ENCODING_UNSPECIFIED: _ClassVar[TimeEncoding]
    TIME_ENCODING_SECONDS_SINCE_PREVIOUS: _ClassVar[TimeEncoding]
    TIME_ENCODING_SECONDS_TO_LAST: _ClassVar[TimeEncoding]

class FeatureType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEATURE_TYPE_UNSPECIFIED: _ClassVar[FeatureType]
    FEATURE_TYPE_FLOAT: _ClassVar[FeatureType]
    FEATURE_TYPE_INT: _ClassVar[FeatureType]
    FEATURE_TYPE_BOOL: _ClassVar[FeatureType]
    FEATURE_TYPE_STRING: _ClassVar[FeatureType]
    FEATURE_TYPE_TIMESTAMP: _ClassVar[FeatureType]
    FEATURE_TYPE_SEQUENCE: _ClassVar[FeatureType]

class UnknownPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNKNOWN_POLICY_UNSPECIFIED: _ClassVar[UnknownPolicy]
    UNKNOWN_POLICY_WARN: _ClassVar[UnknownPolicy]
    UNKNOWN_POLICY_ERROR: _ClassVar[UnknownPolicy]

class Precision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRECISION_UNSPECIFIED: _ClassVar[Precision]
    PRECISION_FP32: _ClassVar[Precision]
    PRECISION_TF32: _ClassVar[Precision]
    PRECISION_BF16: _ClassVar[Precision]
    PRECISION_FP16: _ClassVar[Precision]
POOLING_UNSPECIFIED: Pooling
POOLING_MEAN: Pooling
POOLING_CLS: Pooling
POOLING_MAX: Pooling
POOLING_MEAN_SQRT_LEN: Pooling
POOLING_LAST: Pooling
POOLING_WEIGHTED_MEAN: Pooling
POLARITY_UNSPECIFIED: Polarity
POLARITY_NEGATIVE: Polarity
POLARITY_NEUTRAL: Polarity
POLARITY_POSITIVE: Polarity
ACTIVATION_UNSPECIFIED: Activation
ACTIVATION_SOFTMAX: Activation
ACTIVATION_SIGMOID: Activation
ACTIVATION_NONE: Activation
RESIZE_MODE_UNSPECIFIED: ResizeMode
RESIZE_MODE_STRETCH: ResizeMode
RESIZE_MODE_SHORTEST_EDGE: ResizeMode
RESIZE_MODE_LETTERBOX: ResizeMode
FILTER_UNSPECIFIED: Filter
FILTER_NEAREST: Filter
FILTER_BOX: Filter
FILTER_BILINEAR: Filter
FILTER_HAMMING: Filter
FILTER_BICUBIC: Filter
FILTER_LANCZOS: Filter
LAYOUT_UNSPECIFIED: Layout
LAYOUT_NCHW: Layout
LAYOUT_NHWC: Layout
CHANNELS_UNSPECIFIED: Channels
CHANNELS_RGB: Channels
CHANNELS_BGR: Channels
CHANNELS_GRAY: Channels
INFINITY_POLICY_UNSPECIFIED: InfinityPolicy
INFINITY_POLICY_WARN: InfinityPolicy
INFINITY_POLICY_ERROR: InfinityPolicy
TIME_ENCODING_UNSPECIFIED: TimeEncoding
TIME_ENCODING_SECONDS_SINCE_PREVIOUS: TimeEncoding
TIME_ENCODING_SECONDS_TO_LAST: TimeEncoding
FEATURE_TYPE_UNSPECIFIED: FeatureType
FEATURE_TYPE_FLOAT: FeatureType
FEATURE_TYPE_INT: FeatureType
FEATURE_TYPE_BOOL: FeatureType
FEATURE_TYPE_STRING: FeatureType
FEATURE_TYPE_TIMESTAMP: FeatureType
FEATURE_TYPE_SEQUENCE: FeatureType
UNKNOWN_POLICY_UNSPECIFIED: UnknownPolicy
UNKNOWN_POLICY_WARN: UnknownPolicy
UNKNOWN_POLICY_ERROR: UnknownPolicy
PRECISION_UNSPECIFIED: Precision
PRECISION_FP32: Precision
PRECISION_TF32: Precision
PRECISION_BF16: Precision
PRECISION_FP16: Precision

class Manifest(_message.Message):
    __slots__ = ("description", "license", "graphs", "steps", "heads", "text", "image", "row", "goldens", "limits", "retention", "lineage", "catalogue", "inferred")
    class GraphsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Graph
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Graph, _Mapping]] = ...) -> None: ...
    class HeadsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Head
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Head, _Mapping]] = ...) -> None: ...
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LICENSE_FIELD_NUMBER: _ClassVar[int]
    GRAPHS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    GOLDENS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_FIELD_NUMBER: _ClassVar[int]
    CATALOGUE_FIELD_NUMBER: _ClassVar[int]
    INFERRED_FIELD_NUMBER: _ClassVar[int]
    description: str
    license: str
    graphs: _containers.MessageMap[str, Graph]
    steps: _containers.RepeatedCompositeFieldContainer[Step]
    heads: _containers.MessageMap[str, Head]
    text: Text
    image: Image
    row: Row
    goldens: Goldens
    limits: Limits
    retention: Retention
    lineage: Lineage
    catalogue: _catalogue_pb2.Catalogue
    inferred: _containers.RepeatedCompositeFieldContainer[Inference]
    def __init__(self, description: _Optional[str] = ..., license: _Optional[str] = ..., graphs: _Optional[_Mapping[str, Graph]] = ..., steps: _Optional[_Iterable[_Union[Step, _Mapping]]] = ..., heads: _Optional[_Mapping[str, Head]] = ..., text: _Optional[_Union[Text, _Mapping]] = ..., image: _Optional[_Union[Image, _Mapping]] = ..., row: _Optional[_Union[Row, _Mapping]] = ..., goldens: _Optional[_Union[Goldens, _Mapping]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., retention: _Optional[_Union[Retention, _Mapping]] = ..., lineage: _Optional[_Union[Lineage, _Mapping]] = ..., catalogue: _Optional[_Union[_catalogue_pb2.Catalogue, _Mapping]] = ..., inferred: _Optional[_Iterable[_Union[Inference, _Mapping]]] = ...) -> None: ...

class Inference(_message.Message):
    __slots__ = ("field", "why")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    field: str
    why: str
    def __init__(self, field: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class Graph(_message.Message):
    __slots__ = ("file", "inputs", "outputs", "batching", "execution", "origin")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Port
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Port, _Mapping]] = ...) -> None: ...
    class OutputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Port
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Port, _Mapping]] = ...) -> None: ...
    FILE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    BATCHING_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    file: str
    inputs: _containers.MessageMap[str, Port]
    outputs: _containers.MessageMap[str, Port]
    batching: Batching
    execution: Execution
    origin: Origin
    def __init__(self, file: _Optional[str] = ..., inputs: _Optional[_Mapping[str, Port]] = ..., outputs: _Optional[_Mapping[str, Port]] = ..., batching: _Optional[_Union[Batching, _Mapping]] = ..., execution: _Optional[_Union[Execution, _Mapping]] = ..., origin: _Optional[_Union[Origin, _Mapping]] = ...) -> None: ...

class Origin(_message.Message):
    __slots__ = ("pushed_sha256", "kept_sha256", "changes")
    PUSHED_SHA256_FIELD_NUMBER: _ClassVar[int]
    KEPT_SHA256_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    pushed_sha256: str
    kept_sha256: str
    changes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, pushed_sha256: _Optional[str] = ..., kept_sha256: _Optional[str] = ..., changes: _Optional[_Iterable[str]] = ...) -> None: ...

class Port(_message.Message):
    __slots__ = ("batch_axis", "sequence_axis", "pad_value")
    BATCH_AXIS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_AXIS_FIELD_NUMBER: _ClassVar[int]
    PAD_VALUE_FIELD_NUMBER: _ClassVar[int]
    batch_axis: int
    sequence_axis: int
    pad_value: float
    def __init__(self, batch_axis: _Optional[int] = ..., sequence_axis: _Optional[int] = ..., pad_value: _Optional[float] = ...) -> None: ...

class Batching(_message.Message):
    __slots__ = ("max_rows", "window", "allow_batch_drift")
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    ALLOW_BATCH_DRIFT_FIELD_NUMBER: _ClassVar[int]
    max_rows: int
    window: _duration_pb2.Duration
    allow_batch_drift: bool
    def __init__(self, max_rows: _Optional[int] = ..., window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., allow_batch_drift: bool = ...) -> None: ...

class Execution(_message.Message):
    __slots__ = ("devices", "threads")
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    devices: _containers.RepeatedScalarFieldContainer[str]
    threads: int
    def __init__(self, devices: _Optional[_Iterable[str]] = ..., threads: _Optional[int] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("graph", "inputs", "crop")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    CROP_FIELD_NUMBER: _ClassVar[int]
    graph: str
    inputs: _containers.ScalarMap[str, str]
    crop: Crop
    def __init__(self, graph: _Optional[str] = ..., inputs: _Optional[_Mapping[str, str]] = ..., crop: _Optional[_Union[Crop, _Mapping]] = ...) -> None: ...

class Crop(_message.Message):
    __slots__ = ("image", "margin", "square", "max_line_width")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    SQUARE_FIELD_NUMBER: _ClassVar[int]
    MAX_LINE_WIDTH_FIELD_NUMBER: _ClassVar[int]
    image: Image
    margin: float
    square: bool
    max_line_width: int
    def __init__(self, image: _Optional[_Union[Image, _Mapping]] = ..., margin: _Optional[float] = ..., square: bool = ..., max_line_width: _Optional[int] = ...) -> None: ...

class Head(_message.Message):
    __slots__ = ("source", "probability", "value", "classes", "embedding", "sentiment", "labels", "segment", "uplift", "forecast", "targets", "safe_search", "faces", "text_lines")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    SENTIMENT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    UPLIFT_FIELD_NUMBER: _ClassVar[int]
    FORECAST_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    SAFE_SEARCH_FIELD_NUMBER: _ClassVar[int]
    FACES_FIELD_NUMBER: _ClassVar[int]
    TEXT_LINES_FIELD_NUMBER: _ClassVar[int]
    source: str
    probability: Probability
    value: Value
    classes: Classes
    embedding: Embedding
    sentiment: Sentiment
    labels: Labels
    segment: Segment
    uplift: Uplift
    forecast: Forecast
    targets: Targets
    safe_search: SafeSearch
    faces: Faces
    text_lines: TextLines
    def __init__(self, source: _Optional[str] = ..., probability: _Optional[_Union[Probability, _Mapping]] = ..., value: _Optional[_Union[Value, _Mapping]] = ..., classes: _Optional[_Union[Classes, _Mapping]] = ..., embedding: _Optional[_Union[Embedding, _Mapping]] = ..., sentiment: _Optional[_Union[Sentiment, _Mapping]] = ..., labels: _Optional[_Union[Labels, _Mapping]] = ..., segment: _Optional[_Union[Segment, _Mapping]] = ..., uplift: _Optional[_Union[Uplift, _Mapping]] = ..., forecast: _Optional[_Union[Forecast, _Mapping]] = ..., targets: _Optional[_Union[Targets, _Mapping]] = ..., safe_search: _Optional[_Union[SafeSearch, _Mapping]] = ..., faces: _Optional[_Union[Faces, _Mapping]] = ..., text_lines: _Optional[_Union[TextLines, _Mapping]] = ...) -> None: ...

class Probability(_message.Message):
    __slots__ = ("event", "column", "raw_score", "calibration", "threshold", "quantiles", "bands", "reasons")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    RAW_SCORE_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    QUANTILES_FIELD_NUMBER: _ClassVar[int]
    BANDS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    event: str
    column: int
    raw_score: str
    calibration: Calibration
    threshold: float
    quantiles: _containers.RepeatedScalarFieldContainer[float]
    bands: _containers.RepeatedCompositeFieldContainer[Band]
    reasons: Reasons
    def __init__(self, event: _Optional[str] = ..., column: _Optional[int] = ..., raw_score: _Optional[str] = ..., calibration: _Optional[_Union[Calibration, _Mapping]] = ..., threshold: _Optional[float] = ..., quantiles: _Optional[_Iterable[float]] = ..., bands: _Optional[_Iterable[_Union[Band, _Mapping]]] = ..., reasons: _Optional[_Union[Reasons, _Mapping]] = ...) -> None: ...

class Calibration(_message.Message):
    __slots__ = ("logistic", "points")
    LOGISTIC_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    logistic: Logistic
    points: Points
    def __init__(self, logistic: _Optional[_Union[Logistic, _Mapping]] = ..., points: _Optional[_Union[Points, _Mapping]] = ...) -> None: ...

class Logistic(_message.Message):
    __slots__ = ("slope", "intercept")
    SLOPE_FIELD_NUMBER: _ClassVar[int]
    INTERCEPT_FIELD_NUMBER: _ClassVar[int]
    slope: float
    intercept: float
    def __init__(self, slope: _Optional[float] = ..., intercept: _Optional[float] = ...) -> None: ...

class Points(_message.Message):
    __slots__ = ("scores", "probabilities")
    SCORES_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    scores: _containers.RepeatedScalarFieldContainer[float]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, scores: _Optional[_Iterable[float]] = ..., probabilities: _Optional[_Iterable[float]] = ...) -> None: ...

class Band(_message.Message):
    __slots__ = ("name", "min_probability")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MIN_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    min_probability: float
    def __init__(self, name: _Optional[str] = ..., min_probability: _Optional[float] = ...) -> None: ...

class Reasons(_message.Message):
    __slots__ = ("contributions", "codes")
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    contributions: str
    codes: _containers.RepeatedCompositeFieldContainer[ReasonCode]
    def __init__(self, contributions: _Optional[str] = ..., codes: _Optional[_Iterable[_Union[ReasonCode, _Mapping]]] = ...) -> None: ...

class ReasonCode(_message.Message):
    __slots__ = ("feature", "code", "text", "actionable")
    class TextEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ACTIONABLE_FIELD_NUMBER: _ClassVar[int]
    feature: str
    code: str
    text: _containers.ScalarMap[str, str]
    actionable: bool
    def __init__(self, feature: _Optional[str] = ..., code: _Optional[str] = ..., text: _Optional[_Mapping[str, str]] = ..., actionable: bool = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("unit", "column", "quantile_interval", "log_normal", "quantiles", "bands", "reasons")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    QUANTILE_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    LOG_NORMAL_FIELD_NUMBER: _ClassVar[int]
    QUANTILES_FIELD_NUMBER: _ClassVar[int]
    BANDS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    unit: str
    column: int
    quantile_interval: QuantileInterval
    log_normal: LogNormal
    quantiles: _containers.RepeatedScalarFieldContainer[float]
    bands: _containers.RepeatedCompositeFieldContainer[ValueBand]
    reasons: Reasons
    def __init__(self, unit: _Optional[str] = ..., column: _Optional[int] = ..., quantile_interval: _Optional[_Union[QuantileInterval, _Mapping]] = ..., log_normal: _Optional[_Union[LogNormal, _Mapping]] = ..., quantiles: _Optional[_Iterable[float]] = ..., bands: _Optional[_Iterable[_Union[ValueBand, _Mapping]]] = ..., reasons: _Optional[_Union[Reasons, _Mapping]] = ...) -> None: ...

class QuantileInterval(_message.Message):
    __slots__ = ("lower_column", "upper_column", "level")
    LOWER_COLUMN_FIELD_NUMBER: _ClassVar[int]
    UPPER_COLUMN_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    lower_column: int
    upper_column: int
    level: float
    def __init__(self, lower_column: _Optional[int] = ..., upper_column: _Optional[int] = ..., level: _Optional[float] = ...) -> None: ...

class LogNormal(_message.Message):
    __slots__ = ("mu_column", "sigma_column", "probability_column", "probability_activation", "softplus_sigma", "level")
    MU_COLUMN_FIELD_NUMBER: _ClassVar[int]
    SIGMA_COLUMN_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_COLUMN_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    SOFTPLUS_SIGMA_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    mu_column: int
    sigma_column: int
    probability_column: int
    probability_activation: Activation
    softplus_sigma: bool
    level: float
    def __init__(self, mu_column: _Optional[int] = ..., sigma_column: _Optional[int] = ..., probability_column: _Optional[int] = ..., probability_activation: _Optional[_Union[Activation, str]] = ..., softplus_sigma: bool = ..., level: _Optional[float] = ...) -> None: ...

class ValueBand(_message.Message):
    __slots__ = ("name", "min_value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MIN_VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    min_value: float
    def __init__(self, name: _Optional[str] = ..., min_value: _Optional[float] = ...) -> None: ...

class Classes(_message.Message):
    __slots__ = ("names", "names_file", "activation")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    NAMES_FILE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    names_file: str
    activation: Activation
    def __init__(self, names: _Optional[_Iterable[str]] = ..., names_file: _Optional[str] = ..., activation: _Optional[_Union[Activation, str]] = ...) -> None: ...

class Embedding(_message.Message):
    __slots__ = ("normalize", "pooling")
    NORMALIZE_FIELD_NUMBER: _ClassVar[int]
    POOLING_FIELD_NUMBER: _ClassVar[int]
    normalize: bool
    pooling: Pooling
    def __init__(self, normalize: bool = ..., pooling: _Optional[_Union[Pooling, str]] = ...) -> None: ...

class Segment(_message.Message):
    __slots__ = ("clusters", "nearest", "mixture", "outlier_distance", "grid_columns")
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    NEAREST_FIELD_NUMBER: _ClassVar[int]
    MIXTURE_FIELD_NUMBER: _ClassVar[int]
    OUTLIER_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    GRID_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    clusters: _containers.RepeatedCompositeFieldContainer[Cluster]
    nearest: Nearest
    mixture: Mixture
    outlier_distance: float
    grid_columns: int
    def __init__(self, clusters: _Optional[_Iterable[_Union[Cluster, _Mapping]]] = ..., nearest: _Optional[_Union[Nearest, _Mapping]] = ..., mixture: _Optional[_Union[Mixture, _Mapping]] = ..., outlier_distance: _Optional[float] = ..., grid_columns: _Optional[int] = ...) -> None: ...

class Cluster(_message.Message):
    __slots__ = ("name", "title", "description", "centroid", "variance", "weight")
    class TitleEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class DescriptionEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CENTROID_FIELD_NUMBER: _ClassVar[int]
    VARIANCE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: _containers.ScalarMap[str, str]
    description: _containers.ScalarMap[str, str]
    centroid: _containers.RepeatedScalarFieldContainer[float]
    variance: _containers.RepeatedScalarFieldContainer[float]
    weight: float
    def __init__(self, name: _Optional[str] = ..., title: _Optional[_Mapping[str, str]] = ..., description: _Optional[_Mapping[str, str]] = ..., centroid: _Optional[_Iterable[float]] = ..., variance: _Optional[_Iterable[float]] = ..., weight: _Optional[float] = ...) -> None: ...

class Nearest(_message.Message):
    __slots__ = ("temperature",)
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    temperature: float
    def __init__(self, temperature: _Optional[float] = ...) -> None: ...

class Mixture(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Uplift(_message.Message):
    __slots__ = ("unit", "treatments", "control_column", "level", "value", "currency")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    TREATMENTS_FIELD_NUMBER: _ClassVar[int]
    CONTROL_COLUMN_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    unit: str
    treatments: _containers.RepeatedCompositeFieldContainer[Treatment]
    control_column: int
    level: float
    value: float
    currency: str
    def __init__(self, unit: _Optional[str] = ..., treatments: _Optional[_Iterable[_Union[Treatment, _Mapping]]] = ..., control_column: _Optional[int] = ..., level: _Optional[float] = ..., value: _Optional[float] = ..., currency: _Optional[str] = ...) -> None: ...

class Treatment(_message.Message):
    __slots__ = ("name", "title", "column", "lower_column", "upper_column", "cost")
    class TitleEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    LOWER_COLUMN_FIELD_NUMBER: _ClassVar[int]
    UPPER_COLUMN_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: _containers.ScalarMap[str, str]
    column: int
    lower_column: int
    upper_column: int
    cost: float
    def __init__(self, name: _Optional[str] = ..., title: _Optional[_Mapping[str, str]] = ..., column: _Optional[int] = ..., lower_column: _Optional[int] = ..., upper_column: _Optional[int] = ..., cost: _Optional[float] = ...) -> None: ...

class Forecast(_message.Message):
    __slots__ = ("unit", "horizon", "quantiles", "mean", "step")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    QUANTILES_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    unit: str
    horizon: int
    quantiles: _containers.RepeatedScalarFieldContainer[float]
    mean: str
    step: _duration_pb2.Duration
    def __init__(self, unit: _Optional[str] = ..., horizon: _Optional[int] = ..., quantiles: _Optional[_Iterable[float]] = ..., mean: _Optional[str] = ..., step: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Sentiment(_message.Message):
    __slots__ = ("negative", "neutral", "positive", "activation", "temperature", "columns")
    NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    NEUTRAL_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    negative: int
    neutral: int
    positive: int
    activation: Activation
    temperature: float
    columns: _containers.RepeatedScalarFieldContainer[Polarity]
    def __init__(self, negative: _Optional[int] = ..., neutral: _Optional[int] = ..., positive: _Optional[int] = ..., activation: _Optional[_Union[Activation, str]] = ..., temperature: _Optional[float] = ..., columns: _Optional[_Iterable[_Union[Polarity, str]]] = ...) -> None: ...

class Targets(_message.Message):
    __slots__ = ("negative", "neutral", "positive", "temperature")
    NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    NEUTRAL_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    negative: int
    neutral: int
    positive: int
    temperature: float
    def __init__(self, negative: _Optional[int] = ..., neutral: _Optional[int] = ..., positive: _Optional[int] = ..., temperature: _Optional[float] = ...) -> None: ...

class Labels(_message.Message):
    __slots__ = ("names", "names_file", "activation")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    NAMES_FILE_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    names_file: str
    activation: Activation
    def __init__(self, names: _Optional[_Iterable[str]] = ..., names_file: _Optional[str] = ..., activation: _Optional[_Union[Activation, str]] = ...) -> None: ...

class SafeSearch(_message.Message):
    __slots__ = ("adult_column", "activation")
    ADULT_COLUMN_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    adult_column: int
    activation: Activation
    def __init__(self, adult_column: _Optional[int] = ..., activation: _Optional[_Union[Activation, str]] = ...) -> None: ...

class Faces(_message.Message):
    __slots__ = ("scores", "min_score", "max_overlap", "check", "expressions")
    SCORES_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    MAX_OVERLAP_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    EXPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    scores: str
    min_score: float
    max_overlap: float
    check: FaceCheck
    expressions: FaceExpressions
    def __init__(self, scores: _Optional[str] = ..., min_score: _Optional[float] = ..., max_overlap: _Optional[float] = ..., check: _Optional[_Union[FaceCheck, _Mapping]] = ..., expressions: _Optional[_Union[FaceExpressions, _Mapping]] = ...) -> None: ...

class FaceCheck(_message.Message):
    __slots__ = ("source", "column", "min_score", "points", "names")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    source: str
    column: int
    min_score: float
    points: str
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, source: _Optional[str] = ..., column: _Optional[int] = ..., min_score: _Optional[float] = ..., points: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class FaceExpressions(_message.Message):
    __slots__ = ("source", "names", "activation", "allowed")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    source: str
    names: _containers.RepeatedScalarFieldContainer[str]
    activation: Activation
    allowed: bool
    def __init__(self, source: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ..., activation: _Optional[_Union[Activation, str]] = ..., allowed: bool = ...) -> None: ...

class TextLines(_message.Message):
    __slots__ = ("min_probability", "min_mean", "widening", "readers", "min_score")
    MIN_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    MIN_MEAN_FIELD_NUMBER: _ClassVar[int]
    WIDENING_FIELD_NUMBER: _ClassVar[int]
    READERS_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    min_probability: float
    min_mean: float
    widening: float
    readers: _containers.RepeatedCompositeFieldContainer[LineReader]
    min_score: float
    def __init__(self, min_probability: _Optional[float] = ..., min_mean: _Optional[float] = ..., widening: _Optional[float] = ..., readers: _Optional[_Iterable[_Union[LineReader, _Mapping]]] = ..., min_score: _Optional[float] = ...) -> None: ...

class LineReader(_message.Message):
    __slots__ = ("characters", "scores", "characters_file")
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    CHARACTERS_FILE_FIELD_NUMBER: _ClassVar[int]
    characters: str
    scores: str
    characters_file: str
    def __init__(self, characters: _Optional[str] = ..., scores: _Optional[str] = ..., characters_file: _Optional[str] = ...) -> None: ...

class Text(_message.Message):
    __slots__ = ("tokenizer", "prefix", "max_length", "stride", "input_ids", "attention_mask", "token_type_ids", "languages")
    TOKENIZER_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    INPUT_IDS_FIELD_NUMBER: _ClassVar[int]
    ATTENTION_MASK_FIELD_NUMBER: _ClassVar[int]
    TOKEN_TYPE_IDS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    tokenizer: str
    prefix: str
    max_length: int
    stride: int
    input_ids: str
    attention_mask: str
    token_type_ids: str
    languages: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tokenizer: _Optional[str] = ..., prefix: _Optional[str] = ..., max_length: _Optional[int] = ..., stride: _Optional[int] = ..., input_ids: _Optional[str] = ..., attention_mask: _Optional[str] = ..., token_type_ids: _Optional[str] = ..., languages: _Optional[_Iterable[str]] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ("input", "resize", "crop_width", "crop_height", "scale", "mean", "std", "layout", "channels", "crop_floor")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    RESIZE_FIELD_NUMBER: _ClassVar[int]
    CROP_WIDTH_FIELD_NUMBER: _ClassVar[int]
    CROP_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    CROP_FLOOR_FIELD_NUMBER: _ClassVar[int]
    input: str
    resize: Resize
    crop_width: int
    crop_height: int
    scale: float
    mean: _containers.RepeatedScalarFieldContainer[float]
    std: _containers.RepeatedScalarFieldContainer[float]
    layout: Layout
    channels: Channels
    crop_floor: bool
    def __init__(self, input: _Optional[str] = ..., resize: _Optional[_Union[Resize, _Mapping]] = ..., crop_width: _Optional[int] = ..., crop_height: _Optional[int] = ..., scale: _Optional[float] = ..., mean: _Optional[_Iterable[float]] = ..., std: _Optional[_Iterable[float]] = ..., layout: _Optional[_Union[Layout, str]] = ..., channels: _Optional[_Union[Channels, str]] = ..., crop_floor: bool = ...) -> None: ...

class Resize(_message.Message):
    __slots__ = ("mode", "width", "height", "filter", "max_edge", "pad_color")
    MODE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    MAX_EDGE_FIELD_NUMBER: _ClassVar[int]
    PAD_COLOR_FIELD_NUMBER: _ClassVar[int]
    mode: ResizeMode
    width: int
    height: int
    filter: Filter
    max_edge: int
    pad_color: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, mode: _Optional[_Union[ResizeMode, str]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., filter: _Optional[_Union[Filter, str]] = ..., max_edge: _Optional[int] = ..., pad_color: _Optional[_Iterable[int]] = ...) -> None: ...

class Row(_message.Message):
    __slots__ = ("features", "matrix_input", "background", "groups")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    MATRIX_INPUT_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedCompositeFieldContainer[Feature]
    matrix_input: str
    background: str
    groups: _containers.RepeatedCompositeFieldContainer[FeatureGroup]
    def __init__(self, features: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ..., matrix_input: _Optional[str] = ..., background: _Optional[str] = ..., groups: _Optional[_Iterable[_Union[FeatureGroup, _Mapping]]] = ...) -> None: ...

class FeatureGroup(_message.Message):
    __slots__ = ("name", "features")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    name: str
    features: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., features: _Optional[_Iterable[str]] = ...) -> None: ...

class Feature(_message.Message):
    __slots__ = ("name", "type", "input", "aliases", "required", "default", "min", "max", "categories", "unknown", "description", "fields", "max_events", "length_input", "mask_input", "index", "rare_categories", "time", "infinity", "ahead")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    MAX_EVENTS_FIELD_NUMBER: _ClassVar[int]
    LENGTH_INPUT_FIELD_NUMBER: _ClassVar[int]
    MASK_INPUT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    RARE_CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    INFINITY_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: FeatureType
    input: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    required: bool
    default: _struct_pb2.Value
    min: float
    max: float
    categories: _containers.RepeatedScalarFieldContainer[str]
    unknown: UnknownPolicy
    description: str
    fields: _containers.RepeatedCompositeFieldContainer[Feature]
    max_events: int
    length_input: str
    mask_input: str
    index: CategoryIndex
    rare_categories: _containers.RepeatedScalarFieldContainer[str]
    time: TimeEncoding
    infinity: InfinityPolicy
    ahead: bool
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[FeatureType, str]] = ..., input: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., required: bool = ..., default: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., min: _Optional[float] = ..., max: _Optional[float] = ..., categories: _Optional[_Iterable[str]] = ..., unknown: _Optional[_Union[UnknownPolicy, str]] = ..., description: _Optional[str] = ..., fields: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ..., max_events: _Optional[int] = ..., length_input: _Optional[str] = ..., mask_input: _Optional[str] = ..., index: _Optional[_Union[CategoryIndex, _Mapping]] = ..., rare_categories: _Optional[_Iterable[str]] = ..., time: _Optional[_Union[TimeEncoding, str]] = ..., infinity: _Optional[_Union[InfinityPolicy, str]] = ..., ahead: bool = ...) -> None: ...

class CategoryIndex(_message.Message):
    __slots__ = ("first", "unknown")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    first: int
    unknown: int
    def __init__(self, first: _Optional[int] = ..., unknown: _Optional[int] = ...) -> None: ...

class Goldens(_message.Message):
    __slots__ = ("file", "tolerances")
    FILE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCES_FIELD_NUMBER: _ClassVar[int]
    file: str
    tolerances: _containers.RepeatedCompositeFieldContainer[Tolerance]
    def __init__(self, file: _Optional[str] = ..., tolerances: _Optional[_Iterable[_Union[Tolerance, _Mapping]]] = ...) -> None: ...

class Tolerance(_message.Message):
    __slots__ = ("precision", "absolute", "relative")
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    ABSOLUTE_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_FIELD_NUMBER: _ClassVar[int]
    precision: Precision
    absolute: float
    relative: float
    def __init__(self, precision: _Optional[_Union[Precision, str]] = ..., absolute: _Optional[float] = ..., relative: _Optional[float] = ...) -> None: ...

class Golden(_message.Message):
    __slots__ = ("features", "text", "image", "tensors", "outputs")
    class OutputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Values
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Values, _Mapping]] = ...) -> None: ...
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    features: _struct_pb2.Struct
    text: str
    image: str
    tensors: Tensors
    outputs: _containers.MessageMap[str, Values]
    def __init__(self, features: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., text: _Optional[str] = ..., image: _Optional[str] = ..., tensors: _Optional[_Union[Tensors, _Mapping]] = ..., outputs: _Optional[_Mapping[str, Values]] = ...) -> None: ...

class Tensors(_message.Message):
    __slots__ = ("inputs",)
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Values
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Values, _Mapping]] = ...) -> None: ...
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.MessageMap[str, Values]
    def __init__(self, inputs: _Optional[_Mapping[str, Values]] = ...) -> None: ...

class Values(_message.Message):
    __slots__ = ("shape", "values", "strings")
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    STRINGS_FIELD_NUMBER: _ClassVar[int]
    shape: _containers.RepeatedScalarFieldContainer[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    strings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, shape: _Optional[_Iterable[int]] = ..., values: _Optional[_Iterable[float]] = ..., strings: _Optional[_Iterable[str]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_items", "max_item_bytes", "max_events")
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEM_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_EVENTS_FIELD_NUMBER: _ClassVar[int]
    max_items: int
    max_item_bytes: int
    max_events: int
    def __init__(self, max_items: _Optional[int] = ..., max_item_bytes: _Optional[int] = ..., max_events: _Optional[int] = ...) -> None: ...

class Retention(_message.Message):
    __slots__ = ("features", "period")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedScalarFieldContainer[str]
    period: _duration_pb2.Duration
    def __init__(self, features: _Optional[_Iterable[str]] = ..., period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Lineage(_message.Message):
    __slots__ = ("data", "code", "metrics", "trained_at")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    DATA_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    TRAINED_AT_FIELD_NUMBER: _ClassVar[int]
    data: _containers.RepeatedScalarFieldContainer[str]
    code: str
    metrics: _containers.ScalarMap[str, float]
    trained_at: _timestamp_pb2.Timestamp
    def __init__(self, data: _Optional[_Iterable[str]] = ..., code: _Optional[str] = ..., metrics: _Optional[_Mapping[str, float]] = ..., trained_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
