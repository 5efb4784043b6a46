"""Drives a scry server with Triton's own Python client.

    python3 tritonclient_check.py ADDRESS [DESCRIPTORS]

The server has the graphs types, matmul, labels, float16, gather and texts of
gpu/gputest/testdata under their names, each routed to version 1, and a version
2 of matmul that is not routed. DESCRIPTORS is scry's FileDescriptorSet, which
is compared with the client's: what both have must have the same name, number
and type. requirements.txt says what it needs.
"""

import asyncio
import queue
import sys

import ml_dtypes
import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf import descriptor_pb2
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.utils import InferenceServerException, np_to_triton_dtype


def tensor(name, array, datatype=None):
    given = triton.InferInput(name, list(array.shape), datatype or np_to_triton_dtype(array.dtype))
    given.set_data_from_numpy(array)
    return given


def refused(call, *words):
    try:
        call()
    except InferenceServerException as error:
        missing = [w for w in words if w not in str(error)]
        assert not missing, f"{error} does not say {missing}"
        return
    raise AssertionError("the call was not refused")


def row(*values):
    return [tensor("x", np.array([values], np.float32))]


def expected(x):
    return x @ np.array([[1, 2], [3, 4], [5, 6]], np.float32) + np.array([0.5, -0.5], np.float32)


def check_server(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("matmul") and client.is_model_ready("matmul", "1")
    assert not client.is_model_ready("nothing")
    meta = client.get_server_metadata()
    assert meta.name == "scry", meta
    assert "statistics" in meta.extensions and "system_shared_memory" not in meta.extensions, meta


def check_descriptions(client):
    meta = client.get_model_metadata("matmul")
    assert [(t.name, t.datatype, list(t.shape)) for t in meta.inputs] == [("x", "FP32", [-1, 3])], meta
    assert [(t.name, t.datatype, list(t.shape)) for t in meta.outputs] == [("y", "FP32", [-1, 2])], meta
    config = client.get_model_config("matmul").config
    assert config.max_batch_size > 0 and config.HasField("dynamic_batching"), config
    assert config.input[0].data_type == model_config_pb2.TYPE_FP32 and list(config.input[0].dims) == [3], config
    assert config.backend == "onnxruntime", config
    as_json = client.get_model_config("matmul", as_json=True)
    assert as_json["config"]["name"] == "matmul", as_json


def check_infer(client):
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    wanted = [triton.InferRequestedOutput("y")]
    result = client.infer("matmul", [tensor("x", x)], outputs=wanted, request_id="seven", priority=1, timeout=5_000_000)
    np.testing.assert_allclose(result.as_numpy("y"), expected(x), rtol=1e-5)
    response = result.get_response()
    assert (response.id, response.model_name, response.model_version) == ("seven", "matmul", "1"), response

    texts = np.array([["yes"], ["ещё"], [""]], dtype=np.object_)
    result = client.infer("labels", [tensor("text", texts)])
    assert result.as_numpy("id").ravel().tolist() == [1, 7, -1]
    assert [b.decode() for b in result.as_numpy("echo").ravel()] == ["yes", "ещё", ""]

    half = np.array([[1, 0.5, -3]], np.float16)
    answer = client.infer("float16", [tensor("x", half)]).as_numpy("y")
    assert answer.dtype == np.float16, answer.dtype
    np.testing.assert_array_equal(answer, half * 2)

    given = {
        "f32": np.array([1.5, -2], np.float32), "f64": np.array([1.5, -2], np.float64), "f16": np.array([1.5, -2], np.float16),
        "i8": np.array([-128, 127], np.int8), "i16": np.array([-5, 5], np.int16), "i32": np.array([-5, 5], np.int32),
        "i64": np.array([-5, 5], np.int64), "u8": np.array([0, 255], np.uint8), "u16": np.array([0, 5], np.uint16),
        "u32": np.array([0, 5], np.uint32), "u64": np.array([0, 2**63], np.uint64), "bool": np.array([True, False]),
        "text": np.array([b"a\0b", b"\xff"], np.object_),
    }
    inputs = [tensor(name, array) for name, array in given.items()]
    inputs.append(tensor("bf16", np.array([1.5, -2], ml_dtypes.bfloat16), "BF16"))
    result = client.infer("types", inputs)
    for name, array in given.items():
        got = result.as_numpy(f"{name}_out")
        assert got.tolist() == array.tolist(), (name, got)
    assert result.as_numpy("bf16_out").tolist() == [1.5, -2]


def check_refusals(client):
    refused(lambda: client.infer("nothing", row(1, 2, 3)), "NOT_FOUND")
    refused(lambda: client.infer("matmul", row(1, 2)), "INVALID_ARGUMENT", '"x"')
    refused(lambda: client.infer("matmul", [tensor("x", np.zeros((1, 3)))]), "INVALID_ARGUMENT", '"x"', "FP64")
    refused(lambda: client.infer("matmul", row(1, 2, 3), outputs=[triton.InferRequestedOutput("z")]), "INVALID_ARGUMENT", '"z"')
    refused(lambda: client.infer("matmul", row(1, 2, 3), outputs=[triton.InferRequestedOutput("y", class_count=2)]), "UNIMPLEMENTED")
    refused(client.get_system_shared_memory_status, "UNIMPLEMENTED")
    refused(client.get_cuda_shared_memory_status, "UNIMPLEMENTED")
    refused(client.get_trace_settings, "UNIMPLEMENTED")
    refused(client.get_log_settings, "UNIMPLEMENTED")


def check_async(client):
    answers = queue.Queue()
    for i in range(20):
        client.async_infer("matmul", row(i, 2, 3), lambda result, error: answers.put((result, error)), request_id=str(i))
    for _ in range(20):
        result, error = answers.get(timeout=30)
        assert error is None, error
        i = float(result.get_response().id)
        np.testing.assert_allclose(result.as_numpy("y"), expected(np.array([[i, 2, 3]], np.float32)), rtol=1e-5)


def check_mixed_lengths(client):
    """Texts of many lengths at once: each gets the answer that it has alone."""
    def text(k):
        ids = (np.arange(1 + k * 7 % 23)[None] + k) % 20
        return [tensor("input_ids", ids), tensor("attention_mask", np.ones_like(ids)), tensor("token_type_ids", np.zeros_like(ids))]

    alone = [client.infer("texts", text(k)) for k in range(40)]
    answers = queue.Queue()
    for k in range(40):
        client.async_infer("texts", text(k), lambda result, error, k=k: answers.put((k, result, error)))
    for _ in range(40):
        k, result, error = answers.get(timeout=30)
        assert error is None, error
        for name in ("hidden", "pooled"):
            np.testing.assert_array_equal(result.as_numpy(name), alone[k].as_numpy(name))


def check_stream(client):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for i in range(20):
        client.async_stream_infer("matmul", row(i, 2, 3), request_id=str(i))
    client.async_stream_infer("matmul", row(1, 2), request_id="bad")
    client.async_stream_infer("matmul", row(1, 2, 3), request_id="last", enable_empty_final_response=True)
    for i in range(20):
        result, error = answers.get(timeout=30)
        assert error is None, error
        assert result.get_response().id == str(i), (i, result.get_response().id)
    _, error = answers.get(timeout=30)
    assert error is not None and '"x"' in str(error), error
    result, error = answers.get(timeout=30)
    assert error is None and result.get_response().parameters["triton_final_response"].bool_param, error
    client.stop_stream()


async def check_aio(address):
    async with triton_aio.InferenceServerClient(address) as client:
        results = await asyncio.gather(*[client.infer("matmul", row(i, 2, 3), request_id=str(i)) for i in range(20)])
        for i, result in enumerate(results):
            np.testing.assert_allclose(result.as_numpy("y"), expected(np.array([[i, 2, 3]], np.float32)), rtol=1e-5)

        async def requests():
            for i in range(5):
                yield {"model_name": "matmul", "inputs": row(i, 2, 3), "request_id": str(i)}

        ids = []
        async for result, error in client.stream_infer(requests()):
            assert error is None, error
            ids.append(result.get_response().id)
        assert ids == ["0", "1", "2", "3", "4"], ids


def check_statistics(client):
    def counts():
        (stats,) = client.get_inference_statistics("matmul").model_stats
        sums = stats.inference_stats
        parts = [sums.success, sums.queue, sums.compute_input, sums.compute_infer, sums.compute_output]
        return [stats.inference_count] + [p.count for p in parts]

    before = counts()
    for i in range(10):
        client.infer("matmul", row(i, 2, 3))
    assert [b - a for a, b in zip(before, counts())] == [10] * 6
    names = {s.name for s in client.get_inference_statistics().model_stats}
    assert {"matmul", "labels", "types"} <= names, names


def check_repository(client):
    def index():
        return {(m.name, m.version): m.state for m in client.get_model_repository_index().models}

    assert index()["matmul", "1"] == "READY" and index()["matmul", "2"] == "UNAVAILABLE", index()
    client.load_model("matmul")
    client.infer("matmul", row(1, 2, 3), model_version="2")  # whoever names a version gets it
    assert client.is_model_ready("matmul", "2")
    refused(lambda: client.unload_model("matmul"), "FAILED_PRECONDITION")
    refused(lambda: client.load_model("matmul", config="{}"), "INVALID_ARGUMENT")
    refused(lambda: client.load_model("nothing"), "NOT_FOUND")
    assert index()["matmul", "1"] == "READY"


def check_descriptors(path):
    """What scry's contract has, Triton's has alike."""
    ours = descriptor_pb2.FileDescriptorSet()
    with open(path, "rb") as f:
        ours.ParseFromString(f.read())
    theirs, services = {}, {}

    def collect(message, prefix, into):
        name = f"{prefix}.{message.name}"
        into[name] = {
            f.name: (f.number, f.type, f.label, f.type_name, message.oneof_decl[f.oneof_index].name if f.HasField("oneof_index") else "")
            for f in message.field
        }
        for enum in message.enum_type:
            into[f"{name}.{enum.name}"] = {v.name: v.number for v in enum.value}
        for nested in message.nested_type:
            collect(nested, name, into)

    def read(file, into, methods):
        for enum in file.enum_type:
            into[f".{file.package}.{enum.name}"] = {v.name: v.number for v in enum.value}
        for message in file.message_type:
            collect(message, f".{file.package}", into)
        for service in file.service:
            for m in service.method:
                methods[f"{file.package}.{service.name}/{m.name}"] = (m.input_type, m.output_type, m.client_streaming, m.server_streaming)

    for module in (service_pb2, model_config_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        read(file, theirs, services)
    compared = 0
    for file in ours.file:
        mine, methods = {}, {}
        read(file, mine, methods)
        for name, method in methods.items():
            assert services.get(name) == method, f"{name}: {method}, Triton has {services.get(name)}"
        for name, fields in mine.items():
            for field, what in fields.items():
                assert theirs[name].get(field) == what, f"{name}.{field}: {what}, Triton has {theirs[name].get(field)}"
                compared += 1
    assert compared > 150, compared


def main():
    address = sys.argv[1]
    if len(sys.argv) > 2:
        check_descriptors(sys.argv[2])
    with triton.InferenceServerClient(address) as client:
        for check in (check_server, check_descriptions, check_infer, check_refusals, check_async, check_mixed_lengths, check_stream,
                      check_statistics, check_repository):
            check(client)
            print(check.__name__, "ok", flush=True)
    asyncio.run(check_aio(address))
    print("check_aio ok")


if __name__ == "__main__":
    main()
