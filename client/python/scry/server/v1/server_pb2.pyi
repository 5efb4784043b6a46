import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from scry.modelstore.v1 import modelstore_pb2 as _modelstore_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "commit", "go_version", "onnxruntime_version", "max_opset", "max_ir_version", "operator_domains", "start_time", "limits", "default_models")
    class DefaultModelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    GO_VERSION_FIELD_NUMBER: _ClassVar[int]
    ONNXRUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    MAX_OPSET_FIELD_NUMBER: _ClassVar[int]
    MAX_IR_VERSION_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_DOMAINS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_MODELS_FIELD_NUMBER: _ClassVar[int]
    version: str
    commit: str
    go_version: str
    onnxruntime_version: str
    max_opset: int
    max_ir_version: int
    operator_domains: _containers.RepeatedScalarFieldContainer[str]
    start_time: _timestamp_pb2.Timestamp
    limits: Limits
    default_models: _containers.ScalarMap[str, str]
    def __init__(self, version: _Optional[str] = ..., commit: _Optional[str] = ..., go_version: _Optional[str] = ..., onnxruntime_version: _Optional[str] = ..., max_opset: _Optional[int] = ..., max_ir_version: _Optional[int] = ..., operator_domains: _Optional[_Iterable[str]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., default_models: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_message_bytes", "max_instances", "max_table_rows", "max_texts", "max_text_bytes", "max_images", "max_image_bytes", "max_image_pixels", "max_upload_bytes", "max_upload_files")
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_INSTANCES_FIELD_NUMBER: _ClassVar[int]
    MAX_TABLE_ROWS_FIELD_NUMBER: _ClassVar[int]
    MAX_TEXTS_FIELD_NUMBER: _ClassVar[int]
    MAX_TEXT_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGE_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MAX_UPLOAD_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_UPLOAD_FILES_FIELD_NUMBER: _ClassVar[int]
    max_message_bytes: int
    max_instances: int
    max_table_rows: int
    max_texts: int
    max_text_bytes: int
    max_images: int
    max_image_bytes: int
    max_image_pixels: int
    max_upload_bytes: int
    max_upload_files: int
    def __init__(self, max_message_bytes: _Optional[int] = ..., max_instances: _Optional[int] = ..., max_table_rows: _Optional[int] = ..., max_texts: _Optional[int] = ..., max_text_bytes: _Optional[int] = ..., max_images: _Optional[int] = ..., max_image_bytes: _Optional[int] = ..., max_image_pixels: _Optional[int] = ..., max_upload_bytes: _Optional[int] = ..., max_upload_files: _Optional[int] = ...) -> None: ...

class ListDevicesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDevicesResponse(_message.Message):
    __slots__ = ("devices",)
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    devices: _containers.RepeatedCompositeFieldContainer[Device]
    def __init__(self, devices: _Optional[_Iterable[_Union[Device, _Mapping]]] = ...) -> None: ...

class Device(_message.Message):
    __slots__ = ("id", "provider", "name", "memory_total_bytes", "memory_free_bytes", "available", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEMORY_TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    provider: str
    name: str
    memory_total_bytes: int
    memory_free_bytes: int
    available: bool
    reason: str
    def __init__(self, id: _Optional[str] = ..., provider: _Optional[str] = ..., name: _Optional[str] = ..., memory_total_bytes: _Optional[int] = ..., memory_free_bytes: _Optional[int] = ..., available: bool = ..., reason: _Optional[str] = ...) -> None: ...

class ListLoadedVersionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListLoadedVersionsResponse(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[LoadedVersion]
    def __init__(self, versions: _Optional[_Iterable[_Union[LoadedVersion, _Mapping]]] = ...) -> None: ...

class LoadedVersion(_message.Message):
    __slots__ = ("model", "version", "state", "routed", "load_time", "graphs", "verification", "error")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ROUTED_FIELD_NUMBER: _ClassVar[int]
    LOAD_TIME_FIELD_NUMBER: _ClassVar[int]
    GRAPHS_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    state: _modelstore_pb2.LoadState
    routed: bool
    load_time: _timestamp_pb2.Timestamp
    graphs: _containers.RepeatedCompositeFieldContainer[LoadedGraph]
    verification: _modelstore_pb2.Verification
    error: str
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., state: _Optional[_Union[_modelstore_pb2.LoadState, str]] = ..., routed: bool = ..., load_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., graphs: _Optional[_Iterable[_Union[LoadedGraph, _Mapping]]] = ..., verification: _Optional[_Union[_modelstore_pb2.Verification, _Mapping]] = ..., error: _Optional[str] = ...) -> None: ...

class LoadedGraph(_message.Message):
    __slots__ = ("name", "device", "provider", "precision", "fallback_reason", "queued_rows", "computed_rows", "runs", "batching", "plan", "max_rows", "inputs")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_REASON_FIELD_NUMBER: _ClassVar[int]
    QUEUED_ROWS_FIELD_NUMBER: _ClassVar[int]
    COMPUTED_ROWS_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    BATCHING_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    device: str
    provider: str
    precision: str
    fallback_reason: str
    queued_rows: int
    computed_rows: int
    runs: int
    batching: str
    plan: Plan
    max_rows: int
    inputs: _containers.RepeatedCompositeFieldContainer[LoadedInput]
    def __init__(self, name: _Optional[str] = ..., device: _Optional[str] = ..., provider: _Optional[str] = ..., precision: _Optional[str] = ..., fallback_reason: _Optional[str] = ..., queued_rows: _Optional[int] = ..., computed_rows: _Optional[int] = ..., runs: _Optional[int] = ..., batching: _Optional[str] = ..., plan: _Optional[_Union[Plan, _Mapping]] = ..., max_rows: _Optional[int] = ..., inputs: _Optional[_Iterable[_Union[LoadedInput, _Mapping]]] = ...) -> None: ...

class LoadedInput(_message.Message):
    __slots__ = ("name", "datatype", "shape", "sequence_axis", "limit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_AXIS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    sequence_axis: int
    limit: int
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ..., sequence_axis: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class Plan(_message.Message):
    __slots__ = ("source", "device", "precision", "threads", "parallel_runs", "max_rows", "max_cells", "row_steps", "length_steps", "max_length", "not_joined", "not_padded", "items_per_second", "smallest_deadline", "typical_items", "costs", "candidates", "measure_time", "measure_duration", "note")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_RUNS_FIELD_NUMBER: _ClassVar[int]
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    MAX_CELLS_FIELD_NUMBER: _ClassVar[int]
    ROW_STEPS_FIELD_NUMBER: _ClassVar[int]
    LENGTH_STEPS_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    NOT_JOINED_FIELD_NUMBER: _ClassVar[int]
    NOT_PADDED_FIELD_NUMBER: _ClassVar[int]
    ITEMS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    SMALLEST_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    TYPICAL_ITEMS_FIELD_NUMBER: _ClassVar[int]
    COSTS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    MEASURE_TIME_FIELD_NUMBER: _ClassVar[int]
    MEASURE_DURATION_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    source: str
    device: str
    precision: str
    threads: int
    parallel_runs: int
    max_rows: int
    max_cells: int
    row_steps: _containers.RepeatedScalarFieldContainer[int]
    length_steps: _containers.RepeatedScalarFieldContainer[int]
    max_length: int
    not_joined: str
    not_padded: str
    items_per_second: float
    smallest_deadline: _duration_pb2.Duration
    typical_items: str
    costs: _containers.RepeatedCompositeFieldContainer[RunCost]
    candidates: _containers.RepeatedCompositeFieldContainer[PlanCandidate]
    measure_time: _timestamp_pb2.Timestamp
    measure_duration: _duration_pb2.Duration
    note: str
    def __init__(self, source: _Optional[str] = ..., device: _Optional[str] = ..., precision: _Optional[str] = ..., threads: _Optional[int] = ..., parallel_runs: _Optional[int] = ..., max_rows: _Optional[int] = ..., max_cells: _Optional[int] = ..., row_steps: _Optional[_Iterable[int]] = ..., length_steps: _Optional[_Iterable[int]] = ..., max_length: _Optional[int] = ..., not_joined: _Optional[str] = ..., not_padded: _Optional[str] = ..., items_per_second: _Optional[float] = ..., smallest_deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., typical_items: _Optional[str] = ..., costs: _Optional[_Iterable[_Union[RunCost, _Mapping]]] = ..., candidates: _Optional[_Iterable[_Union[PlanCandidate, _Mapping]]] = ..., measure_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., measure_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., note: _Optional[str] = ...) -> None: ...

class RunCost(_message.Message):
    __slots__ = ("rows", "length", "time")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    rows: int
    length: int
    time: _duration_pb2.Duration
    def __init__(self, rows: _Optional[int] = ..., length: _Optional[int] = ..., time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class PlanCandidate(_message.Message):
    __slots__ = ("device", "precision", "threads", "parallel_runs", "items_per_second", "smallest_deadline", "difference", "rejected")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_RUNS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    SMALLEST_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    device: str
    precision: str
    threads: int
    parallel_runs: int
    items_per_second: float
    smallest_deadline: _duration_pb2.Duration
    difference: float
    rejected: str
    def __init__(self, device: _Optional[str] = ..., precision: _Optional[str] = ..., threads: _Optional[int] = ..., parallel_runs: _Optional[int] = ..., items_per_second: _Optional[float] = ..., smallest_deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., difference: _Optional[float] = ..., rejected: _Optional[str] = ...) -> None: ...
