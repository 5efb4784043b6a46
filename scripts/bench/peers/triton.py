"""PyTriton: Triton's server with its dynamic batcher before an ONNX Runtime session in Python.

    python triton.py MODEL.onnx PORT

It takes the ports PORT to PORT+2 and says "ready ADDRESS" when the model answers.
"""

import sys
import threading

import numpy as np
import onnxruntime
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "output_0"


def main(model, port):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    @batch
    def infer(**inputs):
        return dict(zip([OUTPUT], session.run([OUTPUT], inputs), strict=True))

    config = TritonConfig(http_address="127.0.0.1", http_port=port + 1, metrics_port=port + 2, grpc_address="127.0.0.1",
                          grpc_port=port, log_verbose=0)
    with Triton(config=config) as triton:
        triton.bind(model_name="texts", infer_func=infer,
                    inputs=[Tensor(name=name, dtype=np.int64, shape=(-1,)) for name in INPUTS],
                    outputs=[Tensor(name=OUTPUT, dtype=np.float32, shape=(-1, 384))],
                    config=ModelConfig(max_batch_size=32, batcher=DynamicBatcher(max_queue_delay_microseconds=0)))
        triton.run()
        print("ready", f"127.0.0.1:{port}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
