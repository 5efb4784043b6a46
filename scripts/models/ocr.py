"""Rebuilds models/ocr/detector.onnx, recognizer.onnx, characters.txt and cyrillic.txt from the registry package rapidocr (PyPI).

    .venv/bin/python scripts/models/ocr.py --out models/ocr

The package holds PP-OCRv6 (small) of the PaddleOCR project as ONNX files. Their weights stay as they are; what a graph
answers is made smaller, so that a line of text does not bring 3 MB of probabilities with it.

    detector       where text is: Differentiable Binarization (Liao et al., 2020)
      image          float32 [N, 3, rows, columns], blue, green, red, (value - 127.5) / 127.5; sides are multiples of 32
      probabilities  float32 [N, 1, rows, columns]: how likely each pixel is within a line of text
      overview       float32 [N, 1, rows / 32, columns / 32]: their means over squares, for golden samples
    recognizer     what a line says: a network trained with CTC (Graves et al., 2006)
      image          float32 [N, 3, 48, columns], as above; one line, filled up with grey on its right
      characters     int64 [N, steps]: the likeliest character of each step; 0 = none, k = line k of characters.txt
      scores         float32 [N, steps]: its probability
      cyrillic_characters, cyrillic_scores: the same in the letters of cyrillic.txt

PP-OCRv6 knows no Cyrillic letters. They are read by layers of our own (models/ocr/cyrillic.npz, trained by ocr_cyrillic.py)
on what the network has seen before its last layer.
"""

import argparse
import os
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, checker, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "setup"))
from wheels import SetupError, Wheel, fetch, sha256

SOURCE = Wheel("rapidocr", "3.10.0", "2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050")
DETECTOR = "rapidocr/models/PP-OCRv6_det_small.onnx"
RECOGNIZER = "rapidocr/models/PP-OCRv6_rec_small.onnx"
CYRILLIC = Path(__file__).resolve().parents[2] / "models/ocr/cyrillic.npz"
SEEN = ["p2o.pd_op.add.78.0", "p2o.pd_op.pool2d.1.0"]  # 120 and 384 numbers a step: after and before the layers that look along the line
FILES = {
    "detector.onnx": "72c5fe659199989b2078a355d17e2233ee56da8e7c25df1b03069463e8cdd67f",
    "recognizer.onnx": "00746d3794fb5fcac2952693a4e2542c17b142a19bab09a11c6d0251cafb3d39",
    "cyrillic.txt": "df4d4b50dac285331f1d4953dd23dff14e5425542f717ddb0cd6546ef1302c28",
    "characters.txt": "d051391881962ec266c4b4ee7b6a493fa2aeabaa2cd9ee369148cf3f6980af99",
}


def rename(graph, old, new):
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]


def read(wheel, member, columns):
    """A network with one input and one output, which it calls `image` and `probabilities`."""
    model = onnx.load_from_string(wheel.read(member))
    graph = model.graph
    rename(graph, graph.input[0].name, "image")
    rename(graph, graph.output[0].name, "probabilities")
    del graph.input[:], graph.output[:]
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, *columns]))
    del graph.value_info[:]
    return model


def write(model, outputs, path):
    model.graph.output.extend(outputs)
    del model.metadata_props[:]
    model.producer_name = "scry"
    checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def detector(wheel, path):
    model = read(wheel, DETECTOR, ["rows", "columns"])
    model.graph.node.append(helper.make_node("AveragePool", ["probabilities"], ["overview"], kernel_shape=[32, 32], strides=[32, 32]))
    write(model, [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 1, "rows", "columns"]),
        helper.make_tensor_value_info("overview", TensorProto.FLOAT, ["N", 1, "squares_down", "squares_across"]),
    ], path)


def reads(graph, probabilities, prefix=""):
    """Adds what of the probabilities is answered."""
    graph.node.extend([
        helper.make_node("ArgMax", [probabilities], [f"{prefix}characters"], axis=2, keepdims=0),
        helper.make_node("ReduceMax", [probabilities], [f"{prefix}scores"], axes=[2], keepdims=0),
    ])
    graph.output.extend([
        helper.make_tensor_value_info(f"{prefix}characters", TensorProto.INT64, ["N", "steps"]),
        helper.make_tensor_value_info(f"{prefix}scores", TensorProto.FLOAT, ["N", "steps"]),
    ])


def cyrillic(graph, characters):
    """Adds the layers that read Cyrillic: two convolutions along the line, the second beside a shortcut, and a linear one."""
    with np.load(CYRILLIC) as head:
        for name in ("in", "along", "out"):
            weights = head[name].astype(np.float32)
            graph.initializer.append(numpy_helper.from_array(weights.reshape(*weights.shape[:2], 1, -1), f"cyrillic.{name}"))
            graph.initializer.append(numpy_helper.from_array(head[f"{name}_bias"].astype(np.float32), f"cyrillic.{name}_bias"))
        names = bytes(head["characters"]).decode()
    characters.write_text("".join(f"{name}\n" for name in names), encoding="utf-8", newline="")

    def node(op, inputs, output, **attributes):
        graph.node.append(helper.make_node(op, inputs, [f"cyrillic.{output}"], **attributes))
        return f"cyrillic.{output}"

    def conv(x, name, **attributes):
        return node("Conv", [x, f"cyrillic.{name}", f"cyrillic.{name}_bias"], f"{name}.conv", **attributes)

    def swish(x, output):
        return node("Mul", [x, node("Sigmoid", [x], f"{output}.sigmoid")], output)

    x = swish(conv(node("Concat", SEEN, "seen", axis=1), "in"), "first")
    x = swish(node("Add", [conv(x, "along", pads=[0, 2, 0, 2]), x], "sum"), "second")
    logits = node("Transpose", [node("Squeeze", [conv(x, "out")], "row", axes=[2])], "logits", perm=[0, 2, 1])
    reads(graph, node("Softmax", [logits], "probabilities", axis=2), "cyrillic_")


def recognizer(wheel, path, characters):
    model = read(wheel, RECOGNIZER, [48, "columns"])
    (names,) = [p.value for p in model.metadata_props if p.key == "character"]
    names = [*names.split("\n"), " "]  # as the package reads them: after them comes the space
    characters.write_text("".join(f"{name}\n" for name in names), encoding="utf-8", newline="")
    reads(model.graph, "probabilities")
    cyrillic(model.graph, characters.with_name("cyrillic.txt"))
    write(model, [], path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the bundle's directory")
    args = parser.parse_args()
    if all((args.out / file).is_file() and sha256(args.out / file) == digest for file, digest in FILES.items()):
        return

    args.out.mkdir(parents=True, exist_ok=True)
    print(f"  rebuilding {', '.join(str(args.out / file) for file in FILES)}")
    with tempfile.TemporaryDirectory(prefix=".rebuild-", dir=args.out) as scratch:
        with zipfile.ZipFile(fetch(SOURCE, Path(scratch))) as wheel:
            detector(wheel, Path(scratch, "detector.onnx"))
            recognizer(wheel, Path(scratch, "recognizer.onnx"), Path(scratch, "characters.txt"))
        for file, want in FILES.items():
            if (digest := sha256(Path(scratch, file))) != want:
                raise SetupError(f"{file} came out with sha256 {digest}, pinned is {want}")
            os.replace(Path(scratch, file), args.out / file)


if __name__ == "__main__":
    try:
        main()
    except SetupError as problem:
        sys.exit(f"setup: {problem}")
