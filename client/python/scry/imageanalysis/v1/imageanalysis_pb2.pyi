from google.protobuf import struct_pb2 as _struct_pb2
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
    IMAGE_FEATURE_COLORS: _ClassVar[ImageFeature]
    IMAGE_FEATURE_QUALITY: _ClassVar[ImageFeature]
    IMAGE_FEATURE_FACES: _ClassVar[ImageFeature]
    IMAGE_FEATURE_SAFE_SEARCH: _ClassVar[ImageFeature]
    IMAGE_FEATURE_TEXT: _ClassVar[ImageFeature]
IMAGE_FEATURE_UNSPECIFIED: ImageFeature
IMAGE_FEATURE_LABELS: ImageFeature
IMAGE_FEATURE_EMBEDDING: ImageFeature
IMAGE_FEATURE_COLORS: ImageFeature
IMAGE_FEATURE_QUALITY: ImageFeature
IMAGE_FEATURE_FACES: ImageFeature
IMAGE_FEATURE_SAFE_SEARCH: ImageFeature
IMAGE_FEATURE_TEXT: ImageFeature

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
    __slots__ = ("max_labels", "min_score", "heads", "max_colors", "max_faces", "expressions")
    MAX_LABELS_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    MAX_COLORS_FIELD_NUMBER: _ClassVar[int]
    MAX_FACES_FIELD_NUMBER: _ClassVar[int]
    EXPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    max_labels: int
    min_score: float
    heads: _containers.RepeatedScalarFieldContainer[str]
    max_colors: int
    max_faces: int
    expressions: bool
    def __init__(self, max_labels: _Optional[int] = ..., min_score: _Optional[float] = ..., heads: _Optional[_Iterable[str]] = ..., max_colors: _Optional[int] = ..., max_faces: _Optional[int] = ..., expressions: bool = ...) -> None: ...

class AnalyzeImagesResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ImageResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ImageResult, _Mapping]]] = ...) -> None: ...

class ImageResult(_message.Message):
    __slots__ = ("id", "index", "error", "labels", "embedding", "info", "prediction_id", "served_by", "warnings", "colors", "quality", "faces", "safe_search", "text")
    ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    SERVED_BY_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    COLORS_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    FACES_FIELD_NUMBER: _ClassVar[int]
    SAFE_SEARCH_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    id: str
    index: int
    error: _status_pb2.Status
    labels: _containers.RepeatedCompositeFieldContainer[LabelSet]
    embedding: Embedding
    info: ImageInfo
    prediction_id: str
    served_by: _containers.RepeatedCompositeFieldContainer[_serving_pb2.ServedBy]
    warnings: _containers.RepeatedCompositeFieldContainer[_serving_pb2.Warning]
    colors: _containers.RepeatedCompositeFieldContainer[Color]
    quality: Quality
    faces: _containers.RepeatedCompositeFieldContainer[Face]
    safe_search: SafeSearch
    text: _containers.RepeatedCompositeFieldContainer[TextLine]
    def __init__(self, id: _Optional[str] = ..., index: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., labels: _Optional[_Iterable[_Union[LabelSet, _Mapping]]] = ..., embedding: _Optional[_Union[Embedding, _Mapping]] = ..., info: _Optional[_Union[ImageInfo, _Mapping]] = ..., prediction_id: _Optional[str] = ..., served_by: _Optional[_Iterable[_Union[_serving_pb2.ServedBy, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_serving_pb2.Warning, _Mapping]]] = ..., colors: _Optional[_Iterable[_Union[Color, _Mapping]]] = ..., quality: _Optional[_Union[Quality, _Mapping]] = ..., faces: _Optional[_Iterable[_Union[Face, _Mapping]]] = ..., safe_search: _Optional[_Union[SafeSearch, _Mapping]] = ..., text: _Optional[_Iterable[_Union[TextLine, _Mapping]]] = ...) -> None: ...

class Color(_message.Message):
    __slots__ = ("hex", "name_en", "name_ru", "fraction")
    HEX_FIELD_NUMBER: _ClassVar[int]
    NAME_EN_FIELD_NUMBER: _ClassVar[int]
    NAME_RU_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    hex: str
    name_en: str
    name_ru: str
    fraction: float
    def __init__(self, hex: _Optional[str] = ..., name_en: _Optional[str] = ..., name_ru: _Optional[str] = ..., fraction: _Optional[float] = ...) -> None: ...

class Quality(_message.Message):
    __slots__ = ("sharpness", "brightness", "contrast", "underexposed", "overexposed", "megapixels")
    SHARPNESS_FIELD_NUMBER: _ClassVar[int]
    BRIGHTNESS_FIELD_NUMBER: _ClassVar[int]
    CONTRAST_FIELD_NUMBER: _ClassVar[int]
    UNDEREXPOSED_FIELD_NUMBER: _ClassVar[int]
    OVEREXPOSED_FIELD_NUMBER: _ClassVar[int]
    MEGAPIXELS_FIELD_NUMBER: _ClassVar[int]
    sharpness: float
    brightness: float
    contrast: float
    underexposed: float
    overexposed: float
    megapixels: float
    def __init__(self, sharpness: _Optional[float] = ..., brightness: _Optional[float] = ..., contrast: _Optional[float] = ..., underexposed: _Optional[float] = ..., overexposed: _Optional[float] = ..., megapixels: _Optional[float] = ...) -> None: ...

class Box(_message.Message):
    __slots__ = ("left", "top", "width", "height")
    LEFT_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    left: float
    top: float
    width: float
    height: float
    def __init__(self, left: _Optional[float] = ..., top: _Optional[float] = ..., width: _Optional[float] = ..., height: _Optional[float] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ...) -> None: ...

class Face(_message.Message):
    __slots__ = ("box", "score", "landmarks", "expressions")
    BOX_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    LANDMARKS_FIELD_NUMBER: _ClassVar[int]
    EXPRESSIONS_FIELD_NUMBER: _ClassVar[int]
    box: Box
    score: float
    landmarks: _containers.RepeatedCompositeFieldContainer[Landmark]
    expressions: _containers.RepeatedCompositeFieldContainer[Label]
    def __init__(self, box: _Optional[_Union[Box, _Mapping]] = ..., score: _Optional[float] = ..., landmarks: _Optional[_Iterable[_Union[Landmark, _Mapping]]] = ..., expressions: _Optional[_Iterable[_Union[Label, _Mapping]]] = ...) -> None: ...

class Landmark(_message.Message):
    __slots__ = ("name", "point")
    NAME_FIELD_NUMBER: _ClassVar[int]
    POINT_FIELD_NUMBER: _ClassVar[int]
    name: str
    point: Point
    def __init__(self, name: _Optional[str] = ..., point: _Optional[_Union[Point, _Mapping]] = ...) -> None: ...

class SafeSearch(_message.Message):
    __slots__ = ("adult",)
    ADULT_FIELD_NUMBER: _ClassVar[int]
    adult: float
    def __init__(self, adult: _Optional[float] = ...) -> None: ...

class TextLine(_message.Message):
    __slots__ = ("text", "score", "corners")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    CORNERS_FIELD_NUMBER: _ClassVar[int]
    text: str
    score: float
    corners: _containers.RepeatedCompositeFieldContainer[Point]
    def __init__(self, text: _Optional[str] = ..., score: _Optional[float] = ..., corners: _Optional[_Iterable[_Union[Point, _Mapping]]] = ...) -> None: ...

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

class FindSimilarRequest(_message.Message):
    __slots__ = ("model", "version", "images", "filter", "count", "min_score", "attributes")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    images: _containers.RepeatedCompositeFieldContainer[ImageItem]
    filter: str
    count: int
    min_score: float
    attributes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., images: _Optional[_Iterable[_Union[ImageItem, _Mapping]]] = ..., filter: _Optional[str] = ..., count: _Optional[int] = ..., min_score: _Optional[float] = ..., attributes: _Optional[_Iterable[str]] = ...) -> None: ...

class FindSimilarResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[SimilarResult]
    def __init__(self, results: _Optional[_Iterable[_Union[SimilarResult, _Mapping]]] = ...) -> None: ...

class SimilarResult(_message.Message):
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
    items: _containers.RepeatedCompositeFieldContainer[SimilarItem]
    prediction_id: str
    served_by: _containers.RepeatedCompositeFieldContainer[_serving_pb2.ServedBy]
    warnings: _containers.RepeatedCompositeFieldContainer[_serving_pb2.Warning]
    def __init__(self, id: _Optional[str] = ..., index: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., items: _Optional[_Iterable[_Union[SimilarItem, _Mapping]]] = ..., prediction_id: _Optional[str] = ..., served_by: _Optional[_Iterable[_Union[_serving_pb2.ServedBy, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_serving_pb2.Warning, _Mapping]]] = ...) -> None: ...

class SimilarItem(_message.Message):
    __slots__ = ("item", "score", "attributes")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    item: str
    score: float
    attributes: _struct_pb2.Struct
    def __init__(self, item: _Optional[str] = ..., score: _Optional[float] = ..., attributes: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ExplainImageRequest(_message.Message):
    __slots__ = ("model", "version", "images", "head", "label", "max_evaluations")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    MAX_EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    images: _containers.RepeatedCompositeFieldContainer[ImageItem]
    head: str
    label: str
    max_evaluations: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., images: _Optional[_Iterable[_Union[ImageItem, _Mapping]]] = ..., head: _Optional[str] = ..., label: _Optional[str] = ..., max_evaluations: _Optional[int] = ...) -> None: ...

class ExplainImageResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ImageExplanation]
    def __init__(self, results: _Optional[_Iterable[_Union[ImageExplanation, _Mapping]]] = ...) -> None: ...

class ImageExplanation(_message.Message):
    __slots__ = ("id", "index", "error", "head", "label", "score", "heat", "rows", "columns", "png", "evaluations", "prediction_id", "served_by", "warnings")
    ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    HEAT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    SERVED_BY_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    id: str
    index: int
    error: _status_pb2.Status
    head: str
    label: str
    score: float
    heat: _containers.RepeatedScalarFieldContainer[float]
    rows: int
    columns: int
    png: bytes
    evaluations: int
    prediction_id: str
    served_by: _containers.RepeatedCompositeFieldContainer[_serving_pb2.ServedBy]
    warnings: _containers.RepeatedCompositeFieldContainer[_serving_pb2.Warning]
    def __init__(self, id: _Optional[str] = ..., index: _Optional[int] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., head: _Optional[str] = ..., label: _Optional[str] = ..., score: _Optional[float] = ..., heat: _Optional[_Iterable[float]] = ..., rows: _Optional[int] = ..., columns: _Optional[int] = ..., png: _Optional[bytes] = ..., evaluations: _Optional[int] = ..., prediction_id: _Optional[str] = ..., served_by: _Optional[_Iterable[_Union[_serving_pb2.ServedBy, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[_serving_pb2.Warning, _Mapping]]] = ...) -> None: ...
