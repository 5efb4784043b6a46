"""A Python server as people write one: grpcio, a pool of threads, one ONNX Runtime session, one run a call.

    python plain.py MODEL.onnx PORT

It answers ModelInfer of the Open Inference Protocol for a model of int64 inputs and says "ready ADDRESS" when it listens.
"""

import sys
import threading
from concurrent import futures

import grpc
import numpy as np
import onnxruntime
from tritonclient.grpc import service_pb2, service_pb2_grpc


class Server(service_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, model):
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    def ModelInfer(self, request, context):
        feeds = {tensor.name: np.frombuffer(raw, np.int64).reshape(tensor.shape)
                 for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)}
        names = [output.name for output in request.outputs]
        response = service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)
        for name, value in zip(names, self.session.run(names, feeds), strict=True):
            response.outputs.add(name=name, datatype="FP32", shape=value.shape)
            response.raw_output_contents.append(value.tobytes())
        return response


if __name__ == "__main__":
    server = grpc.server(futures.ThreadPoolExecutor(16))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Server(sys.argv[1]), server)
    address = f"127.0.0.1:{sys.argv[2]}"
    if server.add_insecure_port(address) == 0:
        sys.exit(f"port {sys.argv[2]} is taken")
    server.start()
    print("ready", address, flush=True)
    threading.Event().wait()
