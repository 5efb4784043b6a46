from google.rpc import status_pb2 as _status_pb2
from scry.serving.v1 import serving_pb2 as _serving_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OffsetUnit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OFFSET_UNIT_UNSPECIFIED: _ClassVar[OffsetUnit]
    OFFSET_UNIT_UTF8_BYTES: _ClassVar[OffsetUnit]
    OFFSET_UNIT_UTF16: _ClassVar[OffsetUnit]
    OFFSET_UNIT_CODE_POINTS: _ClassVar[OffsetUnit]

class TextFeature(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TEXT_FEATURE_UNSPECIFIED: _ClassVar[TextFeature]
    TEXT_FEATURE_SENTIMENT: _ClassVar[TextFeature]
    TEXT_FEATURE_EMBEDDING: _ClassVar[TextFeature]
    TEXT_FEATURE_SENTENCES: _ClassVar[TextFeature]
    TEXT_FEATURE_EMOTIONS: _ClassVar[TextFeature]
    TEXT_FEATURE_TOPICS: _ClassVar[TextFeature]
    TEXT_FEATURE_TOXICITY: _ClassVar[TextFeature]
    TEXT_FEATURE_INTENT: _ClassVar[TextFeature]
    TEXT_FEATURE_TARGETS: _ClassVar[TextFeature]
    TEXT_FEATURE_LANGUAGE: _ClassVar[TextFeature]
    TEXT_FEATURE_PERSONAL_DATA: _ClassVar[TextFeature]
    TEXT_FEATURE_CLASSES: _ClassVar[TextFeature]

class PersonalDataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PERSONAL_DATA_TYPE_UNSPECIFIED: _ClassVar[PersonalDataType]
    PERSONAL_DATA_TYPE_PHONE: _ClassVar[PersonalDataType]
    PERSONAL_DATA_TYPE_EMAIL: _ClassVar[PersonalDataType]
    PERSONAL_DATA_TYPE_CARD: _ClassVar[PersonalDataType]
    PERSONAL_DATA_TYPE_INN: _ClassVar[PersonalDataType]
    PERSONAL_DATA_TYPE_SNILS: _ClassVar[PersonalDataType]
    PERSONAL_DATA_TYPE_PASSPORT: _ClassVar[PersonalDataType]

class Polarity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLARITY_UNSPECIFIED: _ClassVar[Polarity]
    POLARITY_POSITIVE: _ClassVar[Polarity]
    POLARITY_NEUTRAL: _ClassVar[Polarity]
    POLARITY_NEGATIVE: _ClassVar[Polarity]
    POLARITY_MIXED: _ClassVar[Polarity]
OFFSET_UNIT_UNSPECIFIED: OffsetUnit
OFFSET_UNIT_UTF8_BYTES: OffsetUnit
OFFSET_UNIT_UTF16: OffsetUnit
OFFSET_UNIT_CODE_POINTS: OffsetUnit
TEXT_FEATURE_UNSPECIFIED: TextFeature
TEXT_FEATURE_SENTIMENT: TextFeature
TEXT_FEATURE_EMBEDDING: TextFeature
TEXT_FEATURE_SENTENCES: TextFeature
TEXT_FEATURE_EMOTIONS: TextFeature
TEXT_FEATURE_TOPICS: TextFeature
TEXT_FEATURE_TOXICITY: TextFeature
TEXT_FEATURE_INTENT: TextFeature
TEXT_FEATURE_TARGETS: TextFeature
TEXT_FEATURE_LANGUAGE: TextFeature
TEXT_FEATURE_PERSONAL_DATA: TextFeature
TEXT_FEATURE_CLASSES: TextFeature
PERSONAL_DATA_TYPE_UNSPECIFIED: PersonalDataType
PERSONAL_DATA_TYPE_PHONE: PersonalDataType
PERSONAL_DATA_TYPE_EMAIL: PersonalDataType
PERSONAL_DATA_TYPE_CARD: PersonalDataType
PERSONAL_DATA_TYPE_INN: PersonalDataType
PERSONAL_DATA_TYPE_SNILS: PersonalDataType
PERSONAL_DATA_TYPE_PASSPORT: PersonalDataType
POLARITY_UNSPECIFIED: Polarity
POLARITY_POSITIVE: Polarity
POLARITY_NEUTRAL: Polarity
POLARITY_NEGATIVE: Polarity
POLARITY_MIXED: Polarity

class AnalyzeTextRequest(_message.Message):
    __slots__ = ("texts", "features", "models", "options")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedCompositeFieldContainer[TextItem]
    features: _containers.RepeatedScalarFieldContainer[TextFeature]
    models: _containers.RepeatedCompositeFieldContainer[FeatureModel]
    options: TextOptions
    def __init__(self, texts: _Optional[_Iterable[_Union[TextItem, _Mapping]]] = ..., features: _Optional[_Iterable[_Union[TextFeature, str]]] = ..., models: _Optional[_Iterable[_Union[FeatureModel, _Mapping]]] = ..., options: _Optional[_Union[TextOptions, _Mapping]] = ...) -> None: ...

class TextOptions(_message.Message):
    __slots__ = ("offsets", "topics", "intents", "targets", "personal_data", "redact")
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    INTENTS_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    PERSONAL_DATA_FIELD_NUMBER: _ClassVar[int]
    REDACT_FIELD_NUMBER: _ClassVar[int]
    offsets: OffsetUnit
    topics: _containers.RepeatedScalarFieldContainer[str]
    intents: _containers.RepeatedScalarFieldContainer[str]
    targets: _containers.RepeatedCompositeFieldContainer[Target]
    personal_data: _containers.RepeatedScalarFieldContainer[PersonalDataType]
    redact: bool
    def __init__(self, offsets: _Optional[_Union[OffsetUnit, str]] = ..., topics: _Optional[_Iterable[str]] = ..., intents: _Optional[_Iterable[str]] = ..., targets: _Optional[_Iterable[_Union[Target, _Mapping]]] = ..., personal_data: _Optional[_Iterable[_Union[PersonalDataType, str]]] = ..., redact: bool = ...) -> None: ...

class Target(_message.Message):
    __slots__ = ("name", "aliases")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    name: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ...) -> None: ...

class TextItem(_message.Message):
    __slots__ = ("id", "text", "text_bytes", "targets")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TEXT_BYTES_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    id: str
    text: str
    text_bytes: bytes
    targets: _containers.RepeatedCompositeFieldContainer[Target]
    def __init__(self, id: _Optional[str] = ..., text: _Optional[str] = ..., text_bytes: _Optional[bytes] = ..., targets: _Optional[_Iterable[_Union[Target, _Mapping]]] = ...) -> None: ...

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
    __slots__ = ("id", "index", "error", "sentiment", "embedding", "prediction_id", "served_by", "warnings", "tokens", "sentences", "emotions", "topics", "toxicity", "intents", "targets", "language", "personal_data", "redacted_text", "classes", "chunks")
    ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SENTIMENT_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    SERVED_BY_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    SENTENCES_FIELD_NUMBER: _ClassVar[int]
    EMOTIONS_FIELD_NUMBER: _ClassVar[int]
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    TOXICITY_FIELD_NUMBER: _ClassVar[int]
    INTENTS_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    PERSONAL_DATA_FIELD_NUMBER: _ClassVar[int]
    REDACTED_TEXT_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    id: str
    index: int
    error: _status_pb2.Status
    sentiment: Sentiment
    embedding: Embedding
    prediction_id: str
    served_by: _containers.RepeatedCompositeFieldContainer[_serving_pb2.ServedBy]
    warnings: _containers.RepeatedCompositeFieldContainer[_serving_pb2.Warning]
    tokens: int
    sentences: _containers.RepeatedCompositeFieldContainer[Sentence]
    emotions: _containers.RepeatedCompositeFieldContainer[Score]
    topics: _containers.RepeatedCompositeFieldContainer[Score]
    toxicity: float
    intents: _containers.RepeatedCompositeFieldContainer[Score]
    targets: _containers.RepeatedCompositeFieldContainer[TargetSentiment]
    language: Language
    personal_data: _containers.RepeatedCompositeFieldContainer[PersonalData]
    redacted_text: str
    classes: _containers.RepeatedCompositeFieldContainer[ClassSet]
    chunks: int
    def __init__(self, id: _Optional[str] = ..., index: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., sentiment: _Optional[_Union[Sentiment, _Mapping]] = ..., embedding: _Optional[_Union[Embedding, _Mapping]] = ..., prediction_id: _Optional[str] = ..., served_by: _Optional[_Iterable[_Union[_serving_pb2.ServedBy, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_serving_pb2.Warning, _Mapping]]] = ..., tokens: _Optional[int] = ..., sentences: _Optional[_Iterable[_Union[Sentence, _Mapping]]] = ..., emotions: _Optional[_Iterable[_Union[Score, _Mapping]]] = ..., topics: _Optional[_Iterable[_Union[Score, _Mapping]]] = ..., toxicity: _Optional[float] = ..., intents: _Optional[_Iterable[_Union[Score, _Mapping]]] = ..., targets: _Optional[_Iterable[_Union[TargetSentiment, _Mapping]]] = ..., language: _Optional[_Union[Language, _Mapping]] = ..., personal_data: _Optional[_Iterable[_Union[PersonalData, _Mapping]]] = ..., redacted_text: _Optional[str] = ..., classes: _Optional[_Iterable[_Union[ClassSet, _Mapping]]] = ..., chunks: _Optional[int] = ...) -> None: ...

class Span(_message.Message):
    __slots__ = ("begin", "end")
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    begin: int
    end: int
    def __init__(self, begin: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class Sentence(_message.Message):
    __slots__ = ("span", "sentiment")
    SPAN_FIELD_NUMBER: _ClassVar[int]
    SENTIMENT_FIELD_NUMBER: _ClassVar[int]
    span: Span
    sentiment: Sentiment
    def __init__(self, span: _Optional[_Union[Span, _Mapping]] = ..., sentiment: _Optional[_Union[Sentiment, _Mapping]] = ...) -> None: ...

class Score(_message.Message):
    __slots__ = ("name", "score")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    name: str
    score: float
    def __init__(self, name: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

class TargetSentiment(_message.Message):
    __slots__ = ("name", "sentiment", "mentions")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SENTIMENT_FIELD_NUMBER: _ClassVar[int]
    MENTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    sentiment: Sentiment
    mentions: _containers.RepeatedCompositeFieldContainer[Mention]
    def __init__(self, name: _Optional[str] = ..., sentiment: _Optional[_Union[Sentiment, _Mapping]] = ..., mentions: _Optional[_Iterable[_Union[Mention, _Mapping]]] = ...) -> None: ...

class Mention(_message.Message):
    __slots__ = ("span", "sentiment")
    SPAN_FIELD_NUMBER: _ClassVar[int]
    SENTIMENT_FIELD_NUMBER: _ClassVar[int]
    span: Span
    sentiment: Sentiment
    def __init__(self, span: _Optional[_Union[Span, _Mapping]] = ..., sentiment: _Optional[_Union[Sentiment, _Mapping]] = ...) -> None: ...

class Language(_message.Message):
    __slots__ = ("code", "probability", "supported")
    CODE_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    SUPPORTED_FIELD_NUMBER: _ClassVar[int]
    code: str
    probability: float
    supported: bool
    def __init__(self, code: _Optional[str] = ..., probability: _Optional[float] = ..., supported: bool = ...) -> None: ...

class PersonalData(_message.Message):
    __slots__ = ("type", "span")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SPAN_FIELD_NUMBER: _ClassVar[int]
    type: PersonalDataType
    span: Span
    def __init__(self, type: _Optional[_Union[PersonalDataType, str]] = ..., span: _Optional[_Union[Span, _Mapping]] = ...) -> None: ...

class ClassSet(_message.Message):
    __slots__ = ("head", "classes")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    head: str
    classes: _containers.RepeatedCompositeFieldContainer[Score]
    def __init__(self, head: _Optional[str] = ..., classes: _Optional[_Iterable[_Union[Score, _Mapping]]] = ...) -> None: ...

class Sentiment(_message.Message):
    __slots__ = ("polarity", "positive", "neutral", "negative", "score", "magnitude")
    POLARITY_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_FIELD_NUMBER: _ClassVar[int]
    NEUTRAL_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    MAGNITUDE_FIELD_NUMBER: _ClassVar[int]
    polarity: Polarity
    positive: float
    neutral: float
    negative: float
    score: float
    magnitude: float
    def __init__(self, polarity: _Optional[_Union[Polarity, str]] = ..., positive: _Optional[float] = ..., neutral: _Optional[float] = ..., negative: _Optional[float] = ..., score: _Optional[float] = ..., magnitude: _Optional[float] = ...) -> None: ...

class Embedding(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class StreamAnalyzeTextRequest(_message.Message):
    __slots__ = ("texts", "features", "models", "options")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedCompositeFieldContainer[TextItem]
    features: _containers.RepeatedScalarFieldContainer[TextFeature]
    models: _containers.RepeatedCompositeFieldContainer[FeatureModel]
    options: TextOptions
    def __init__(self, texts: _Optional[_Iterable[_Union[TextItem, _Mapping]]] = ..., features: _Optional[_Iterable[_Union[TextFeature, str]]] = ..., models: _Optional[_Iterable[_Union[FeatureModel, _Mapping]]] = ..., options: _Optional[_Union[TextOptions, _Mapping]] = ...) -> None: ...

class StreamAnalyzeTextResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[TextResult]
    def __init__(self, results: _Optional[_Iterable[_Union[TextResult, _Mapping]]] = ...) -> None: ...

class ExplainTextRequest(_message.Message):
    __slots__ = ("model", "version", "texts", "target", "offsets", "max_evaluations")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    MAX_EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    texts: _containers.RepeatedCompositeFieldContainer[TextItem]
    target: str
    offsets: OffsetUnit
    max_evaluations: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., texts: _Optional[_Iterable[_Union[TextItem, _Mapping]]] = ..., target: _Optional[str] = ..., offsets: _Optional[_Union[OffsetUnit, str]] = ..., max_evaluations: _Optional[int] = ...) -> None: ...

class ExplainTextResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[TextExplanation]
    def __init__(self, results: _Optional[_Iterable[_Union[TextExplanation, _Mapping]]] = ...) -> None: ...

class TextExplanation(_message.Message):
    __slots__ = ("id", "index", "error", "target", "value", "words", "evaluations", "prediction_id", "served_by", "warnings")
    ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    SERVED_BY_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    id: str
    index: int
    error: _status_pb2.Status
    target: str
    value: float
    words: _containers.RepeatedCompositeFieldContainer[WordContribution]
    evaluations: int
    prediction_id: str
    served_by: _containers.RepeatedCompositeFieldContainer[_serving_pb2.ServedBy]
    warnings: _containers.RepeatedCompositeFieldContainer[_serving_pb2.Warning]
    def __init__(self, id: _Optional[str] = ..., index: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., target: _Optional[str] = ..., value: _Optional[float] = ..., words: _Optional[_Iterable[_Union[WordContribution, _Mapping]]] = ..., evaluations: _Optional[int] = ..., prediction_id: _Optional[str] = ..., served_by: _Optional[_Iterable[_Union[_serving_pb2.ServedBy, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_serving_pb2.Warning, _Mapping]]] = ...) -> None: ...

class WordContribution(_message.Message):
    __slots__ = ("span", "contribution")
    SPAN_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    span: Span
    contribution: float
    def __init__(self, span: _Optional[_Union[Span, _Mapping]] = ..., contribution: _Optional[float] = ...) -> None: ...
