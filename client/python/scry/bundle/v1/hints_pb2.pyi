from scry.bundle.v1 import bundle_pb2 as _bundle_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Hints(_message.Message):
    __slots__ = ("columns", "target", "positive", "goldens", "source", "graph", "labels", "task", "preprocess")
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_FIELD_NUMBER: _ClassVar[int]
    GOLDENS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    PREPROCESS_FIELD_NUMBER: _ClassVar[int]
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    target: Column
    positive: str
    goldens: _bundle_pb2.Goldens
    source: str
    graph: str
    labels: _containers.RepeatedScalarFieldContainer[str]
    task: str
    preprocess: str
    def __init__(self, columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., target: _Optional[_Union[Column, _Mapping]] = ..., positive: _Optional[str] = ..., goldens: _Optional[_Union[_bundle_pb2.Goldens, _Mapping]] = ..., source: _Optional[str] = ..., graph: _Optional[str] = ..., labels: _Optional[_Iterable[str]] = ..., task: _Optional[str] = ..., preprocess: _Optional[str] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("name", "type", "min", "max", "categories", "quantiles")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    QUANTILES_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: _bundle_pb2.FeatureType
    min: float
    max: float
    categories: _containers.RepeatedScalarFieldContainer[str]
    quantiles: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[_bundle_pb2.FeatureType, str]] = ..., min: _Optional[float] = ..., max: _Optional[float] = ..., categories: _Optional[_Iterable[str]] = ..., quantiles: _Optional[_Iterable[float]] = ...) -> None: ...
