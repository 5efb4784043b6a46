from google.rpc import status_pb2 as _status_pb2
from scry.serving.v1 import serving_pb2 as _serving_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TextFeature(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TEXT_FEATURE_UNSPECIFIED: _ClassVar[TextFeature]
    TEXT_FEATURE_SENTIMENT: _ClassVar[TextFeature]
    TEXT_FEATURE_EMBEDDING: _ClassVar[TextFeature]

class Polarity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLARITY_UNSPECIFIED: _ClassVar[Polarity]
    POLARITY_POSITIVE: _ClassVar[Polarity]
    POLARITY_NEUTRAL: _ClassVar[Polarity]
    POLARITY_NEGATIVE: _ClassVar[Polarity]
TEXT_FEATURE_UNSPECIFIED: TextFeature
TEXT_FEATURE_SENTIMENT: TextFeature
TEXT_FEATURE_EMBEDDING: TextFeature
POLARITY_UNSPECIFIED: Polarity
POLARITY_POSITIVE: Polarity
POLARITY_NEUTRAL: Polarity
POLARITY_NEGATIVE: Polarity

class AnalyzeTextRequest(_message.Message):
    __slots__ = ("texts", "features", "models")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedCompositeFieldContainer[TextItem]
    features: _containers.RepeatedScalarFieldContainer[TextFeature]
    models: _containers.RepeatedCompositeFieldContainer[FeatureModel]
    def __init__(self, texts: _Optional[_Iterable[_Union[TextItem, _Mapping]]] = ..., features: _Optional[_Iterable[_Union[TextFeature, str]]] = ..., models: _Optional[_Iterable[_Union[FeatureModel, _Mapping]]] = ...) -> None: ...

class TextItem(_message.Message):
    __slots__ = ("id", "text", "text_bytes")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TEXT_BYTES_FIELD_NUMBER: _ClassVar[int]
    id: str
    text: str
    text_bytes: bytes
    def __init__(self, id: _Optional[str] = ..., text: _Optional[str] = ..., text_bytes: _Optional[bytes] = ...) -> None: ...

class FeatureModel(_message.Message):
    __slots__ = ("feature", "model", "version")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    feature: TextFeature
    model: str
    version: str
    def __init__(self, feature: _Optional[_Union[TextFeature, str]] = ..., model: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class AnalyzeTextResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[TextResult]
    def __init__(self, results: _Optional[_Iterable[_Union[TextResult, _Mapping]]] = ...) -> None: ...

class TextResult(_message.Message):
    __slots__ = ("id", "index", "error", "sentiment", "embedding", "prediction_id", "served_by", "warnings", "tokens")
    ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SENTIMENT_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    SERVED_BY_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    id: str
    index: int
    error: _status_pb2.Status
    sentiment: Sentiment
    embedding: Embedding
    prediction_id: str
    served_by: _containers.RepeatedCompositeFieldContainer[_serving_pb2.ServedBy]
    warnings: _containers.RepeatedCompositeFieldContainer[_serving_pb2.Warning]
    tokens: int
    def __init__(self, id: _Optional[str] = ..., index: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., sentiment: _Optional[_Union[Sentiment, _Mapping]] = ..., embedding: _Optional[_Union[Embedding, _Mapping]] = ..., prediction_id: _Optional[str] = ..., served_by: _Optional[_Iterable[_Union[_serving_pb2.ServedBy, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_serving_pb2.Warning, _Mapping]]] = ..., tokens: _Optional[int] = ...) -> None: ...

class Sentiment(_message.Message):
    __slots__ = ("polarity", "positive", "neutral", "negative", "score")
    POLARITY_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_FIELD_NUMBER: _ClassVar[int]
    NEUTRAL_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    polarity: Polarity
    positive: float
    neutral: float
    negative: float
    score: float
    def __init__(self, polarity: _Optional[_Union[Polarity, str]] = ..., positive: _Optional[float] = ..., neutral: _Optional[float] = ..., negative: _Optional[float] = ..., score: _Optional[float] = ...) -> None: ...

class Embedding(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class StreamAnalyzeTextRequest(_message.Message):
    __slots__ = ("texts", "features", "models")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedCompositeFieldContainer[TextItem]
    features: _containers.RepeatedScalarFieldContainer[TextFeature]
    models: _containers.RepeatedCompositeFieldContainer[FeatureModel]
    def __init__(self, texts: _Optional[_Iterable[_Union[TextItem, _Mapping]]] = ..., features: _Optional[_Iterable[_Union[TextFeature, str]]] = ..., models: _Optional[_Iterable[_Union[FeatureModel, _Mapping]]] = ...) -> None: ...

class StreamAnalyzeTextResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[TextResult]
    def __init__(self, results: _Optional[_Iterable[_Union[TextResult, _Mapping]]] = ...) -> None: ...
