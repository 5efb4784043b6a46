"""Writes the small bundles of the daemon's tests beside this file: what serving
a text or a picture needs, without an encoder's weights.

    python3 make.py        needs onnx (1.20.1 was used)
"""

import json
import pathlib

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

HERE = pathlib.Path(__file__).parent
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "word", "fine"]


def save(name, nodes, inputs, outputs, weights):
    graph = h.make_graph(nodes, name, inputs, outputs, initializer=weights)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], producer_name="scry", ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    (HERE / name / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))


# The mean of three numbers a word, and their softmax.
table = np.zeros((len(WORDS), 3), np.float32)
table[WORDS.index("good"), 2] = table[WORDS.index("fine"), 2] = table[WORDS.index("bad"), 0] = 9
save("text",
     [h.make_node("Gather", ["table", "input_ids"], ["rows"]),
      h.make_node("ReduceMean", ["rows"], ["mean"], axes=[1], keepdims=0),
      h.make_node("Softmax", ["mean"], ["probabilities"], axis=-1)],
     [h.make_tensor_value_info("input_ids", T.INT64, ["n", "length"])],
     [h.make_tensor_value_info("mean", T.FLOAT, ["n", 3]), h.make_tensor_value_info("probabilities", T.FLOAT, ["n", 3])],
     [nh.from_array(table, "table")])
(HERE / "text" / "tokenizer.json").write_text(json.dumps({
    "version": "1.0", "truncation": None, "padding": None,
    "added_tokens": [{"id": i, "content": w, "single_word": False, "lstrip": False, "rstrip": False,
                      "normalized": False, "special": True} for i, w in enumerate(WORDS[:4])],
    "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                   "lowercase": True},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "TemplateProcessing",
                       "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                                  {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
                       "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                       "special_tokens": {t: {"id": t, "ids": [WORDS.index(t)], "tokens": [t]}
                                          for t in ("[CLS]", "[SEP]")}},
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 100, "vocab": {w: i for i, w in enumerate(WORDS)}},
}, indent=1) + "\n")

# The mean of each colour.
save("picture",
     [h.make_node("GlobalAveragePool", ["pixels"], ["pooled"]), h.make_node("Flatten", ["pooled"], ["colours"])],
     [h.make_tensor_value_info("pixels", T.FLOAT, ["n", 3, 8, 8])],
     [h.make_tensor_value_info("colours", T.FLOAT, ["n", 3])], [])
