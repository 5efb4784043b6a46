"""Writes the graphs of the conformance suite beside this file.

    python3 make.py        needs onnx (1.17.0 was used)

The bytes depend on nothing but this script, so that a diff shows what changed.
"""

import pathlib

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

HERE = pathlib.Path(__file__).parent
OPSETS = [h.make_opsetid("", 17), h.make_opsetid("ai.onnx.ml", 3)]


def value(name, elem, shape):
    return h.make_tensor_value_info(name, elem, shape)


def save(name, nodes, inputs, outputs, weights=(), check=True):
    graph = h.make_graph(nodes, name, inputs, outputs, initializer=list(weights))
    model = h.make_model(graph, opset_imports=OPSETS, producer_name="scry", ir_version=8)
    if check:
        onnx.checker.check_model(model, full_check=True)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
    return model


def const(name, array):
    return nh.from_array(np.asarray(array), name)


# x + y, elementwise, any number of rows.
save("add", [h.make_node("Add", ["x", "y"], ["sum"])],
     [value("x", T.FLOAT, ["n", 4]), value("y", T.FLOAT, ["n", 4])],
     [value("sum", T.FLOAT, ["n", 4])])

# x·w + b with w = [[1,2],[3,4],[5,6]], b = [0.5,-0.5].
save("matmul",
     [h.make_node("MatMul", ["x", "w"], ["xw"]), h.make_node("Add", ["xw", "b"], ["y"])],
     [value("x", T.FLOAT, ["batch", 3])], [value("y", T.FLOAT, ["batch", 2])],
     [const("w", np.arange(1, 7, dtype=np.float32).reshape(3, 2)), const("b", np.array([0.5, -0.5], np.float32))])

# Strings to numbers (yes 1, no 0, "ещё" 7, else -1), and the strings themselves.
save("labels",
     [h.make_node("LabelEncoder", ["text"], ["id"], domain="ai.onnx.ml", keys_strings=["yes", "no", "ещё"],
                  values_int64s=[1, 0, 7], default_int64=-1),
      h.make_node("Identity", ["text"], ["echo"])],
     [value("text", T.STRING, ["n", 1])], [value("id", T.INT64, ["n", 1]), value("echo", T.STRING, ["n", 1])])

# Every element type passes through; 0-dimensional ones too.
TYPES = {"f32": T.FLOAT, "f64": T.DOUBLE, "f16": T.FLOAT16, "bf16": T.BFLOAT16, "i8": T.INT8, "i16": T.INT16,
         "i32": T.INT32, "i64": T.INT64, "u8": T.UINT8, "u16": T.UINT16, "u32": T.UINT32, "u64": T.UINT64,
         "bool": T.BOOL, "text": T.STRING}
for graph, shape in (("types", ["n"]), ("scalars", [])):
    save(graph, [h.make_node("Identity", [t], [f"{t}_out"]) for t in TYPES],
         [value(t, e, shape) for t, e in TYPES.items()], [value(f"{t}_out", e, shape) for t, e in TYPES.items()])

# 16-bit floats doubled: by cast, as no provider has all kernels for them.
for name, elem in (("float16", T.FLOAT16), ("bfloat16", T.BFLOAT16)):
    save(name,
         [h.make_node("Cast", ["x"], ["wide"], to=T.FLOAT), h.make_node("Mul", ["wide", "two"], ["twice"]),
          h.make_node("Cast", ["twice"], ["y"], to=elem)],
         [value("x", elem, ["n", 3])], [value("y", elem, ["n", 3])], [const("two", np.float32(2))])

# Several outputs of different rank, a scalar among them.
save("multi",
     [h.make_node("ReduceSum", ["x", "last"], ["rows"], keepdims=0),
      h.make_node("ReduceMax", ["x"], ["max"], axes=[1], keepdims=1),
      h.make_node("ReduceSum", ["x"], ["total"], keepdims=0)],
     [value("x", T.FLOAT, ["n", "k"])],
     [value("rows", T.FLOAT, ["n"]), value("max", T.FLOAT, ["n", 1]), value("total", T.FLOAT, [])],
     [const("last", np.array([1], np.int64))])

# The positive elements, as float32 and float16: how many is known only after.
save("filter",
     [h.make_node("Greater", ["x", "zero"], ["keep"]), h.make_node("Compress", ["x", "keep"], ["y"], axis=0),
      h.make_node("Cast", ["y"], ["y16"], to=T.FLOAT16)],
     [value("x", T.FLOAT, ["n"])], [value("y", T.FLOAT, ["m"]), value("y16", T.FLOAT16, ["m"])],
     [const("zero", np.float32(0))])

# As "filter", but the graph says that no element goes: false unless all are
# positive. The other output is what it says.
save("liar",
     [h.make_node("Greater", ["x", "zero"], ["keep"]), h.make_node("Compress", ["x", "keep"], ["y"], axis=0),
      h.make_node("Add", ["x", "x"], ["twice"])],
     [value("x", T.FLOAT, ["n"])], [value("y", T.FLOAT, ["n"]), value("twice", T.FLOAT, ["n"])],
     [const("zero", np.float32(0))], check=False)

# Nothing is said about shapes, which the checker does not like.
save("norank", [h.make_node("Relu", ["x"], ["y"])], [value("x", T.FLOAT, None)], [value("y", T.FLOAT, None)],
     check=False)

# Every axis is fixed.
save("fixed", [h.make_node("Relu", ["x"], ["y"])], [value("x", T.FLOAT, [2, 3])], [value("y", T.FLOAT, [2, 3])])

# Rows of a table of ten: an index beyond is the caller's mistake.
save("gather", [h.make_node("Gather", ["table", "ids"], ["y"])], [value("ids", T.INT64, ["n", "length"])],
     [value("y", T.FLOAT, ["n", "length", 2])],
     [const("table", np.arange(20, dtype=np.float32).reshape(10, 2))])

# n steps of v = v + step: seconds, or for ever.
body = h.make_graph(
    [h.make_node("Add", ["v", "step"], ["v_next"]), h.make_node("Identity", ["cond"], ["cond_next"])], "body",
    [value("i", T.INT64, []), value("cond", T.BOOL, []), value("v", T.FLOAT, [1])],
    [value("cond_next", T.BOOL, []), value("v_next", T.FLOAT, [1])])
save("loop", [h.make_node("Loop", ["n", "go", "start"], ["v"], body=body)],
     [value("n", T.INT64, []), value("step", T.FLOAT, [1])], [value("v", T.FLOAT, [1])],
     [const("go", np.array(True)), const("start", np.zeros(1, np.float32))])

# As many zeros as asked for: memory can run out.
save("grow", [h.make_node("ConstantOfShape", ["shape"], ["y"])], [value("shape", T.INT64, [1])],
     [value("y", T.FLOAT, ["n"])])

# scikit-learn's default classifier output: a sequence of maps.
label_map = h.make_map_type_proto(T.STRING, h.make_tensor_type_proto(T.FLOAT, []))
save("zipmap",
     [h.make_node("ZipMap", ["x"], ["maps"], domain="ai.onnx.ml", classlabels_strings=["no", "yes"]),
      h.make_node("Relu", ["x"], ["y"])],
     [value("x", T.FLOAT, ["n", 2])],
     [h.make_value_info("maps", h.make_sequence_type_proto(label_map)), value("y", T.FLOAT, ["n", 2])])

# Three layers of 32 units, weights all alike: for the benchmark.
save("mlp",
     [h.make_node("Expand", ["c", "square"], ["w"])] +
     [n for i, (a, b) in enumerate([("x", "h1"), ("h1", "h2"), ("h2", "y")])
      for n in (h.make_node("MatMul", [a, "w"], [f"m{i}"]), h.make_node("Relu", [f"m{i}"], [b]))],
     [value("x", T.FLOAT, ["n", 32])], [value("y", T.FLOAT, ["n", 32])],
     [const("c", np.full((1, 1), 1 / 32, np.float32)), const("square", np.array([32, 32], np.int64))])

# What a text encoder takes and gives, its axes named as badly as exporters do:
# each token's row plus the sum over the text, and that sum. Padding that the
# mask does not hide, or that is not cut off again, shows.
save("texts",
     [h.make_node("Gather", ["words", "input_ids"], ["word"]), h.make_node("Gather", ["types", "token_type_ids"], ["type"]),
      h.make_node("Gather", ["seen", "attention_mask"], ["mask"]), h.make_node("Add", ["word", "type"], ["both"]),
      h.make_node("Mul", ["both", "mask"], ["token"]), h.make_node("ReduceSum", ["token", "last"], ["text"], keepdims=1),
      h.make_node("Add", ["token", "text"], ["hidden"]), h.make_node("ReduceSum", ["token", "last"], ["pooled"], keepdims=0)],
     [value(n, T.INT64, ["batch", "batch"]) for n in ("input_ids", "attention_mask", "token_type_ids")],
     [value("hidden", T.FLOAT, ["batch", "Addhidden_dim_1", 2]), value("pooled", T.FLOAT, ["batch", 2])],
     [const("words", np.arange(1, 41, dtype=np.float32).reshape(20, 2)), const("types", np.array([[0, 0], [100, 200]], np.float32)),
      const("seen", np.array([[0, 0], [1, 1]], np.float32)), const("last", np.array([1], np.int64))])

# What a row answers depends on the rows beside it: less the largest of each column.
save("centred",
     [h.make_node("ReduceMax", ["x"], ["most"], axes=[0], keepdims=1), h.make_node("Sub", ["x", "most"], ["y"])],
     [value("x", T.FLOAT, ["n", 3])], [value("y", T.FLOAT, ["n", 3])])

# Sums over a sequence as exporters of Hugging Face's write them: one that counts padding, and one that leaves it
# out by the mask.
WORDS = const("words", np.arange(1, 11, dtype=np.float32))
SECOND = const("second", np.array([1], np.int64))
save("leaky",
     [h.make_node("Gather", ["words", "input_ids"], ["w"]), h.make_node("ReduceSum", ["w", "second"], ["y"], keepdims=1)],
     [value("input_ids", T.INT64, ["batch", "sequence"])], [value("y", T.FLOAT, ["batch", 1])], [WORDS, SECOND])
save("masked",
     [h.make_node("Gather", ["words", "input_ids"], ["w"]), h.make_node("Cast", ["attention_mask"], ["m"], to=T.FLOAT),
      h.make_node("Mul", ["w", "m"], ["kept"]), h.make_node("ReduceSum", ["kept", "second"], ["y"], keepdims=1)],
     [value("input_ids", T.INT64, ["batch", "sequence"]), value("attention_mask", T.INT64, ["batch", "sequence"])],
     [value("y", T.FLOAT, ["batch", 1])], [WORDS, SECOND])

# A model with twenty positions: a longer sequence is an error.
save("positions",
     [h.make_node("Gather", ["words", "input_ids"], ["w"]), h.make_node("Gather", ["places", "position_ids"], ["p"]),
      h.make_node("Add", ["w", "p"], ["y"])],
     [value("input_ids", T.INT64, ["batch", "sequence"]), value("position_ids", T.INT64, ["batch", "sequence"])],
     [value("y", T.FLOAT, ["batch", "sequence"])], [WORDS, const("places", np.arange(20, dtype=np.float32))])

# x * w with w = [1,2,3,4] in a file of its own.
model = save("external", [h.make_node("Mul", ["x", "w"], ["y"])], [value("x", T.FLOAT, ["n", 4])],
             [value("y", T.FLOAT, ["n", 4])], [const("w", np.arange(1, 5, dtype=np.float32))])
onnx.external_data_helper.convert_model_to_external_data(model, location="external.bin", size_threshold=0)
(HERE / "external.bin").unlink(missing_ok=True)
onnx.save_model(model, str(HERE / "external.onnx"))
