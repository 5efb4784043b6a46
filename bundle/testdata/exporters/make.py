"""Makes what lies beside it: tiny models as their exporters write them, and what ONNX Runtime answers for them.

Runs with client/python/requirements.txt and catboost 1.2.10; --torch, in an environment with torch 2.15, onnxscript and
onnxruntime, makes the folder torch alone. Nothing but the tests of Go reads it.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

HERE = Path(__file__).resolve().parent
RNG = np.random.default_rng(5)
X = RNG.normal(size=(200, 4)).astype(np.float32)
SCORE = X[:, 0] + X[:, 1] * X[:, 2]
ROWS = 6


def answers(path, feed):
    """The last output, a row for each row."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    out = session.run(None, feed(session.get_inputs()))[-1]
    rows = [list(row.values()) for row in out] if isinstance(out, list) else np.asarray(out).reshape(ROWS, -1).tolist()
    return [[float(np.float32(v)) for v in row] for row in rows]


def matrix(inputs):
    return {inputs[0].name: X[:ROWS]}


def write(found):
    path = HERE / "answers.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, **found}, indent=1, sort_keys=True) + "\n")


def classical():
    import lightgbm
    import onnxmltools
    import pandas as pd
    import skl2onnx
    import xgboost
    from catboost import CatBoostClassifier
    from onnxmltools.convert.common.data_types import FloatTensorType
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    binary, names = (SCORE > 0).astype(int), np.where(SCORE > 0, "Churned", "Retained")
    types = [("float_input", FloatTensorType([None, 4]))]
    small = {"n_estimators": 3, "random_state": 0}
    boosted = lightgbm.LGBMClassifier(**small, num_leaves=4, verbose=-1)
    frame = pd.DataFrame({"Monthly Charges ($)": X[:, 0], "tenure": X[:, 1], "Contract": np.where(X[:, 2] > 0, "One year", "Two year"),
                          "never read": X[:, 3]})
    pipeline = make_pipeline(make_column_transformer((StandardScaler(), ["Monthly Charges ($)", "tenure"]), (OneHotEncoder(), ["Contract"])),
                             LogisticRegression()).fit(frame, names)
    exported = {
        "lightgbm": onnxmltools.convert_lightgbm(boosted.fit(X, binary), initial_types=types, target_opset=15),
        "lightgbm_names": onnxmltools.convert_lightgbm(boosted.fit(X, names), initial_types=types, target_opset=15),
        "xgboost_classes": onnxmltools.convert_xgboost(xgboost.XGBClassifier(**small, max_depth=2).fit(X, np.digitize(SCORE, [-0.5, 0.8])),
                                                       initial_types=types, target_opset=15),
        "xgboost_value": onnxmltools.convert_xgboost(xgboost.XGBRegressor(**small, max_depth=2).fit(X, SCORE), initial_types=types, target_opset=15),
        "sklearn": skl2onnx.to_onnx(LogisticRegression().fit(X, binary), X[:1]),
        "sklearn_columns": skl2onnx.to_onnx(pipeline, frame[:1]),
    }
    found = {}
    for name, graph in exported.items():
        (HERE / f"{name}.onnx").write_bytes(graph.SerializeToString())
        found[name] = {"rows": X[:ROWS].tolist(), "answers": answers(HERE / f"{name}.onnx", matrix)} if name != "sklearn_columns" else {
            "rows": frame[:ROWS].astype({"Monthly Charges ($)": float}).to_numpy().tolist(), "answers": answers(HERE / f"{name}.onnx", lambda inputs: {
                v.name: frame[[c]].to_numpy(dtype=object if c == "Contract" else np.float32)[:ROWS] for v, c in zip(inputs, frame)})}
    CatBoostClassifier(iterations=3, depth=2, verbose=0, allow_writing_files=False, random_seed=0).fit(X, binary).save_model(
        str(HERE / "catboost.onnx"), format="onnx")
    graph = onnx.load(HERE / "catboost.onnx")
    graph.producer_version = "1.2.10"  # it names an author and a folder otherwise
    for entry in graph.metadata_props:
        if entry.key == "catboost_version_info":
            entry.value = "1.2.10"
    onnx.save(graph, HERE / "catboost.onnx")
    found["catboost"] = {"rows": X[:ROWS].tolist(), "answers": answers(HERE / "catboost.onnx", matrix)}
    write(found)


def network():
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1), torch.nn.Sigmoid()).eval()
    (HERE / "torch").mkdir(exist_ok=True)
    torch.onnx.export(model, (torch.randn(2, 4),), HERE / "torch/model.onnx", dynamic_shapes=({0: torch.export.Dim("batch")},))
    graph = onnx.load(HERE / "torch/model.onnx", load_external_data=False)
    for node in graph.graph.node:
        del node.metadata_props[:]  # stack traces, with the machine's paths
    (HERE / "torch/model.onnx").write_bytes(graph.SerializeToString())
    write({"torch": {"rows": X[:ROWS].tolist(), "answers": answers(HERE / "torch/model.onnx", matrix)}})


if __name__ == "__main__":
    network() if sys.argv[1:] == ["--torch"] else classical()
