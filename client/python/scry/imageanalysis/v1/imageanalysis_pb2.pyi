from google.rpc import status_pb2 as _status_pb2
from scry.serving.v1 import serving_pb2 as _serving_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ImageFeature(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMAGE_FEATURE_UNSPECIFIED: _ClassVar[ImageFeature]
    IMAGE_FEATURE_LABELS: _ClassVar[ImageFeature]
    IMAGE_FEATURE_EMBEDDING: _ClassVar[ImageFeature]
IMAGE_FEATURE_UNSPECIFIED: ImageFeature
IMAGE_FEATURE_LABELS: ImageFeature
IMAGE_FEATURE_EMBEDDING: ImageFeature

class AnalyzeImagesRequest(_message.Message):
    __slots__ = ("images", "features", "models", "options")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[ImageItem]
    features: _containers.RepeatedScalarFieldContainer[ImageFeature]
    models: _containers.RepeatedCompositeFieldContainer[FeatureModel]
    options: ImageOptions
    def __init__(self, images: _Optional[_Iterable[_Union[ImageItem, _Mapping]]] = ..., features: _Optional[_Iterable[_Union[ImageFeature, str]]] = ..., models: _Optional[_Iterable[_Union[FeatureModel, _Mapping]]] = ..., options: _Optional[_Union[ImageOptions, _Mapping]] = ...) -> None: ...

class ImageItem(_message.Message):
    __slots__ = ("id", "content")
    ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    content: bytes
    def __init__(self, id: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class FeatureModel(_message.Message):
    __slots__ = ("feature", "model", "version")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    feature: ImageFeature
    model: str
    version: str
    def __init__(self, feature: _Optional[_Union[ImageFeature, str]] = ..., model: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class ImageOptions(_message.Message):
    __slots__ = ("max_labels", "min_score", "heads")
    MAX_LABELS_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    max_labels: int
    min_score: float
    heads: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, max_labels: _Optional[int] = ..., min_score: _Optional[float] = ..., heads: _Optional[_Iterable[str]] = ...) -> None: ...

class AnalyzeImagesResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ImageResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ImageResult, _Mapping]]] = ...) -> None: ...

class ImageResult(_message.Message):
    __slots__ = ("id", "index", "error", "labels", "embedding", "info", "prediction_id", "served_by", "warnings")
    ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    SERVED_BY_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    id: str
    index: int
    error: _status_pb2.Status
    labels: _containers.RepeatedCompositeFieldContainer[LabelSet]
    embedding: Embedding
    info: ImageInfo
    prediction_id: str
    served_by: _containers.RepeatedCompositeFieldContainer[_serving_pb2.ServedBy]
    warnings: _containers.RepeatedCompositeFieldContainer[_serving_pb2.Warning]
    def __init__(self, id: _Optional[str] = ..., index: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., labels: _Optional[_Iterable[_Union[LabelSet, _Mapping]]] = ..., embedding: _Optional[_Union[Embedding, _Mapping]] = ..., info: _Optional[_Union[ImageInfo, _Mapping]] = ..., prediction_id: _Optional[str] = ..., served_by: _Optional[_Iterable[_Union[_serving_pb2.ServedBy, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_serving_pb2.Warning, _Mapping]]] = ...) -> None: ...

class LabelSet(_message.Message):
    __slots__ = ("head", "labels")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    head: str
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    def __init__(self, head: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("name", "score")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    name: str
    score: float
    def __init__(self, name: _Optional[str] = ..., score: _Optional[float] = ...) -> None: ...

class Embedding(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class ImageInfo(_message.Message):
    __slots__ = ("format", "width", "height")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    format: str
    width: int
    height: int
    def __init__(self, format: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class StreamAnalyzeImagesRequest(_message.Message):
    __slots__ = ("images", "features", "models", "options")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[ImageItem]
    features: _containers.RepeatedScalarFieldContainer[ImageFeature]
    models: _containers.RepeatedCompositeFieldContainer[FeatureModel]
    options: ImageOptions
    def __init__(self, images: _Optional[_Iterable[_Union[ImageItem, _Mapping]]] = ..., features: _Optional[_Iterable[_Union[ImageFeature, str]]] = ..., models: _Optional[_Iterable[_Union[FeatureModel, _Mapping]]] = ..., options: _Optional[_Union[ImageOptions, _Mapping]] = ...) -> None: ...

class StreamAnalyzeImagesResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ImageResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ImageResult, _Mapping]]] = ...) -> None: ...
