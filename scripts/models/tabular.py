"""What the scripts of tabular classifiers share: folds and calibration errors, the graph of boosted trees, and the bundle.

A classifier is log-odds by boosted trees, calibrated by the head (Platt, 1999). What the trees read of a row is computed by
ONNX operators, in training too: the graph's first part makes the training matrix, so that training and serving cannot differ.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import background
from manifest import write

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(5)
FOLDS = 5
TOLERANCE = 1e-4
RARE = 0.01  # the share of rows below which a category has a warning
STRING, INT, FLOAT, BOOL, SEQUENCE = "STRING", "INT", "FLOAT", "BOOL", "SEQUENCE"
TYPES = {STRING: TensorProto.STRING, INT: TensorProto.INT64, FLOAT: TensorProto.FLOAT, BOOL: TensorProto.BOOL}
ARRAYS = {STRING: object, INT: np.int64, FLOAT: np.float32, BOOL: np.bool_}
MISSING = {STRING: "", INT: 0, FLOAT: np.nan, BOOL: False}


# Measuring.


def take(columns, index):
    return {name: values[index] for name, values in columns.items()}


def cross_validate(make, data, labels, known=None):
    """Repeated stratified folds. Returns each fold's AUC and the out-of-fold probabilities [repeats, N]. `data` is a matrix
    or a dictionary of columns; `known`, if given, is trained on in its place; `make` gives something with fit and predict."""
    known = data if known is None else known
    areas, predictions = [], np.empty((len(SEEDS), len(labels)))
    for seed, train, test in folds(labels):
        old, new = (take(source, index) if isinstance(source, dict) else source[index]
                    for source, index in ((known, train), (data, test)))
        predictions[seed, test] = make().fit(old, labels[train]).predict(new)
        areas.append(roc_auc_score(labels[test], predictions[seed, test]))
    return np.array(areas), predictions


def folds(labels):
    for seed in SEEDS:
        for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(labels[:, None], labels):
            yield seed, train, test


def log_odds(probabilities):
    p = np.clip(probabilities, 1e-9, 1 - 1e-9)
    return np.log(p / (1 - p))


def sigmoid(scores):
    return 1 / (1 + np.exp(-scores))


def platt(scores, labels):
    """The slope and intercept that calibrate log-odds."""
    fit = LogisticRegression(C=1e6).fit(scores.reshape(-1, 1), labels)
    return float(fit.coef_[0, 0]), float(fit.intercept_[0])


def calibrate(predictions, labels):
    """Calibrates out-of-fold probabilities [repeats, N], each fold on the other folds of its repeat. Returns them and the
    map's slope and intercept; both are as they were where the log-loss is no better for it."""
    result = np.empty_like(predictions)
    for seed, train, test in folds(labels):
        scores = log_odds(predictions[seed])
        slope, intercept = platt(scores[train], labels[train])
        result[seed, test] = sigmoid(slope * scores[test] + intercept)
    every = np.tile(labels, len(predictions))
    if log_loss(every, result.ravel()) < log_loss(every, predictions.ravel()):
        return result, platt(log_odds(predictions).ravel(), every)
    return predictions, (1.0, 0.0)


def calibration_error(predictions, labels, bins=10):
    """Expected calibration error of the pooled repeats [repeats, N], over bins of equal mass."""
    p, y = predictions.ravel(), np.tile(labels, len(predictions))
    groups = np.array_split(np.argsort(p, kind="stable"), bins)
    return sum(abs(p[group].mean() - y[group].mean()) * len(group) for group in groups) / len(p)


def chance_error(predictions, draws=200):
    """What a perfectly calibrated model of the same predictions would show: mean and 95th percentile."""
    rng = np.random.default_rng(0)
    truth = predictions.mean(axis=0)
    errors = [calibration_error(predictions, rng.random(len(truth)) < truth) for _ in range(draws)]
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))


def best_threshold(predictions, labels):
    """Where the F1 score of the pooled out-of-fold predictions is highest, to two digits."""
    p, y = predictions.ravel(), np.tile(labels, len(predictions))

    def f1(threshold):
        hit = ((p >= threshold) & (y == 1)).sum()
        return 2 * hit / ((p >= threshold).sum() + y.sum())

    return float(max(np.round(np.arange(0.1, 0.9, 0.01), 2), key=f1))


def print_slices(groups, labels, predictions, event):
    """How the out-of-fold predictions do for groups of rows, a dictionary of name to mask."""
    mean = predictions.mean(axis=0)
    print(f"\n{'slice':<34}{'rows':>6}{event:>10}{'predicted':>11}{'AUC':>8}")
    for name, rows in {"all": np.ones(len(labels), bool), **groups}.items():
        area = np.mean([roc_auc_score(labels[rows], p[rows]) for p in predictions])
        print(f"{name:<34}{rows.sum():>6}{labels[rows].mean():>10.3f}{mean[rows].mean():>11.3f}{area:>8.3f}")


def print_bands(bands, labels, predictions, event):
    print(f"\n{'band':<34}{'share':>6}{event:>10}")
    limits = [minimum for _, minimum in bands] + [1.01]
    for (name, low), high in zip(bands, limits[1:]):
        rows = (predictions >= low) & (predictions < high)
        print(f"{name:<34}{rows.mean():>6.2f}{np.broadcast_to(labels, rows.shape)[rows].mean():>10.3f}")


# Models.


class Trees:
    """Boosted trees over a matrix in float32, whose first `categories` columns hold codes, -1 for none."""

    def __init__(self, categories, **settings):
        self.categories = categories
        self.forest = HistGradientBoostingClassifier(
            categorical_features=range(categories), early_stopping=False, random_state=0, **settings)

    def shown(self, matrix):
        """The matrix as scikit-learn takes it: a category that is none is NaN."""
        matrix = np.array(matrix, np.float64)
        codes = matrix[:, :self.categories]
        codes[codes < 0] = np.nan
        return matrix

    def fit(self, matrix, labels):
        self.forest.fit(self.shown(matrix), labels)
        return self

    def log_odds(self, matrix):
        return self.forest.decision_function(self.shown(matrix))

    def predict(self, matrix):
        return sigmoid(self.log_odds(matrix))

    def attributes(self):
        """The attributes of a TreeEnsemble (ai.onnx.ml 5), and the number to add to its sum."""
        less_or_equal, member = 0, 6
        nodes, members, leaves, roots = [], [], [], []
        # scikit-learn numbers the codes that it saw.
        seen = self.forest._preprocessor.named_transformers_["encoder"].categories_

        def split(nodes_of, at, bitsets):
            """Appends an inner node and all below it; returns its place."""
            node, place = nodes_of[at], len(nodes)
            nodes.append(None)
            entry = {"featureids": int(node["feature_idx"]), "missing_value_tracks_true": int(node["missing_go_to_left"])}
            if node["is_categorical"]:
                bits = bitsets[node["bitset_idx"]]
                codes = seen[node["feature_idx"]]
                left = [float(code) for at, code in enumerate(codes) if code == code and bits[at // 32] >> (at % 32) & 1]
                left += [-1.0] if node["missing_go_to_left"] else []
                members.extend([*left, np.nan])
                entry |= {"modes": member, "splits": 0.0}
            else:
                # The largest float32 that is not above: of float32 numbers the same are below it.
                limit = np.float32(node["num_threshold"])
                if limit > node["num_threshold"]:
                    limit = np.nextafter(limit, np.float32(-np.inf))
                entry |= {"modes": less_or_equal, "splits": limit}
            for side, child in (("true", node["left"]), ("false", node["right"])):
                leaf = bool(nodes_of[child]["is_leaf"])
                entry[f"{side}leafs"] = int(leaf)
                if leaf:
                    entry[f"{side}nodeids"] = len(leaves)
                    leaves.append(nodes_of[child]["value"])
                else:
                    entry[f"{side}nodeids"] = split(nodes_of, child, bitsets)
            nodes[place] = entry
            return place

        for (tree,) in self.forest._predictors:
            if not tree.nodes[0]["is_leaf"]:
                roots.append(split(tree.nodes, 0, tree.raw_left_cat_bitsets))
        attributes = {f"nodes_{name}": [node[name] for node in nodes] for name in nodes[0] if name not in ("modes", "splits")}
        attributes |= {
            "nodes_modes": numpy_helper.from_array(np.array([node["modes"] for node in nodes], np.uint8)),
            "nodes_splits": numpy_helper.from_array(np.array([node["splits"] for node in nodes], np.float32)),
            "leaf_targetids": [0] * len(leaves), "leaf_weights": numpy_helper.from_array(np.array(leaves, np.float32)),
            "tree_roots": roots, "n_targets": 1, "aggregate_function": 1,
        }
        if members:
            attributes["membership_values"] = numpy_helper.from_array(np.array(members, np.float32))
        return attributes, float(self.forest._baseline_prediction.ravel()[0])


class Logistic:
    """The baseline: logistic regression on logarithms of the numbers and one column for each category."""

    def __init__(self, categories, penalty):
        def logarithm(x):
            return np.sign(x) * np.log1p(np.abs(x))
        self.pipeline = make_pipeline(
            make_column_transformer(
                (make_pipeline(SimpleImputer(), FunctionTransformer(logarithm), StandardScaler()), slice(categories, None)),
                (OneHotEncoder(handle_unknown="ignore"), slice(categories))),
            LogisticRegression(C=penalty, max_iter=3000))

    def fit(self, matrix, labels):
        self.pipeline.fit(matrix, labels)
        return self

    def predict(self, matrix):
        return self.pipeline.predict_proba(matrix)[:, 1]


# Bundles.


@dataclass(frozen=True)
class Feature:
    """What callers send: its name and type, and what people read of it."""

    name: str
    type: str
    code: str = ""
    en: str = ""
    ru: str = ""
    actionable: bool = False
    description: str = ""
    required: bool = False
    fields: tuple = ()  # of a sequence's events
    max_events: int = 0


@dataclass(frozen=True)
class Group:
    """Features that are explained as one, because not every mixture of them is possible."""

    name: str
    features: tuple
    code: str
    en: str
    ru: str
    actionable: bool = False


class Graph:
    """An ONNX graph in the making."""

    def __init__(self, name, features):
        self.name, self.nodes, self.constants, self.inputs = name, [], [], []
        for feature in features:
            if feature.type == SEQUENCE:
                self.inputs += [helper.make_tensor_value_info(field.name, TYPES[field.type], ["N", "events"])
                                for field in feature.fields]
                self.inputs.append(helper.make_tensor_value_info(f"{feature.name}.count", TensorProto.INT64, ["N"]))
            else:
                self.inputs.append(helper.make_tensor_value_info(feature.name, TYPES[feature.type], ["N", 1]))

    def node(self, op, inputs, output, domain="", **attributes):
        """Adds the node that computes `output`, unless it is there."""
        if all(output != node.name for node in self.nodes):
            self.nodes.append(helper.make_node(op, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def constant(self, name, value, dtype=np.float32):
        if all(name != constant.name for constant in self.constants):
            self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def code(self, name, categories):
        """A category as its place among `categories`, -1 for any other."""
        return self.node("LabelEncoder", [name], f"{name}.code", domain="ai.onnx.ml", keys_strings=list(categories),
                         values_floats=[float(place) for place in range(len(categories))], default_float=-1.0)

    def finish(self, output, width):
        """The model's bytes; the same graph gives the same."""
        model = helper.make_model(
            helper.make_graph(self.nodes, self.name, self.inputs,
                              [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", width])], self.constants),
            opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 5)], ir_version=8,
            producer_name="scry")
        onnx.checker.check_model(model)
        return model.SerializeToString(deterministic=True)


@dataclass(frozen=True)
class Task:
    """One starter model."""

    name: str
    event: str
    description: str
    data: str  # name and licence, for the lineage
    file: str  # under --data
    features: tuple
    bands: tuple
    settings: dict  # of the trees
    goldens: tuple
    read: object  # path -> columns (name to array), labels
    to_row: object  # a dictionary of one row's columns -> what a caller sends
    columns: object  # Graph -> names of the tensors [N, …] that hold codes, and of those that hold numbers
    chain: tuple  # the order in which columns of made-up rows are drawn
    slices: object  # columns -> groups
    baselines: object  # columns -> dictionary of name to (make, matrix)
    categories: dict  # of a feature
    less: object  # rows, random generator -> the rows to train on, some of which tell less
    groups: tuple = ()
    also: object = None  # prints more: (columns, labels, Measured)


@dataclass
class Measured:
    """What a run found, for a task that prints more of it."""

    areas: np.ndarray
    predictions: np.ndarray  # calibrated, out of fold
    task: Task
    trees: object  # -> unfitted trees
    matrix_of: object  # rows as callers send them -> matrix
    known: np.ndarray  # the matrix to train on


def feeds(features, rows):
    """The graph's inputs of rows as callers send them, missing values as the manifest says."""
    result = {}
    for feature in features:
        if feature.type != SEQUENCE:
            values = [row.get(feature.name) for row in rows]
            result[feature.name] = np.array(
                [MISSING[feature.type] if value is None else value for value in values], ARRAYS[feature.type])[:, None]
            continue
        paths = [row.get(feature.name, [])[-feature.max_events:] for row in rows]
        length = max(1, max(map(len, paths)))
        for field in feature.fields:
            cells = np.zeros((len(rows), length), ARRAYS[field.type])
            for at, path in enumerate(paths):
                cells[at, :len(path)] = [event[field.name] for event in path]
            result[field.name] = cells
        result[f"{feature.name}.count"] = np.array([len(path) for path in paths], np.int64)
    return result


def matrix_graph(task):
    """The part of the graph before the trees, and how many of its columns hold codes."""
    graph = Graph(task.name, task.features)
    codes, numbers = task.columns(graph)
    graph.node("Concat", [*codes, *numbers], "columns", axis=1)
    return graph, len(codes)


def export(task, trees):
    graph, _ = matrix_graph(task)
    attributes, baseline = trees.attributes()
    graph.node("TreeEnsemble", ["columns"], "trees", domain="ai.onnx.ml", **attributes)
    graph.node("Add", ["trees", graph.constant("baseline", baseline)], "log_odds")
    return graph.finish("log_odds", 1)


def manifest(task, columns, rows, calibration, quantiles, threshold, metrics):
    grouped = {name for group in task.groups for name in group.features}
    told = [*(feature for feature in task.features if feature.name not in grouped), *task.groups]
    reasons = [{"feature": one.name, "code": one.code, "text": {"en": one.en, "ru": one.ru}, "actionable": one.actionable}
               for one in told]
    row = {"features": [feature_entry(task, feature, columns, rows) for feature in task.features],
           "background": "background.jsonl"}
    if task.groups:
        row["groups"] = [{"name": group.name, "features": list(group.features)} for group in task.groups]
    return {
        "description": task.description,
        "license": "Apache-2.0",
        "graphs": {"model": {"file": "model.onnx", "execution": {"devices": ["cpu"], "threads": 1}}
                   | sequence_axes(task.features)},
        "heads": {task.name: {
            "source": "model.log_odds",
            "probability": {
                "event": task.event,
                "calibration": {"logistic": dict(zip(("slope", "intercept"), (round(x, 6) for x in calibration)))},
                "threshold": threshold,
                "quantiles": quantiles,
                "bands": [{"name": name, "min_probability": minimum} for name, minimum in task.bands],
                "reasons": {"codes": reasons},
            },
        }},
        "row": row,
        "goldens": {"file": "goldens.jsonl", "tolerances": [
            {"precision": "PRECISION_FP32", "absolute": TOLERANCE, "relative": TOLERANCE}]},
        "lineage": {"data": [task.data], "code": f"scripts/models/{task.name}.py", "metrics": metrics},
    }


def sequence_axes(features):
    """Which axes differ from row to row."""
    fields = [field.name for feature in features for field in feature.fields]
    if not fields:
        return {}
    inputs = {name: {"batch_axis": 0, "sequence_axis": 1} for name in fields}
    return {"inputs": inputs, "outputs": {"log_odds": {"batch_axis": 0}}}


def feature_entry(task, feature, columns, rows):
    entry = {"name": feature.name, "type": f"FEATURE_TYPE_{feature.type}"}
    if feature.type == SEQUENCE:
        events = [event for row in rows for event in row[feature.name]]
        values = {field.name: np.array([event[field.name] for event in events]) for field in feature.fields}
        entry |= {"max_events": feature.max_events, "length_input": f"{feature.name}.count",
                  "fields": [feature_entry(task, field, values, rows) for field in feature.fields]}
    elif feature.type == STRING:
        categories = list(task.categories[feature.name])
        entry |= {"default": "", "categories": categories}
        rare = [text for text in categories if (columns[feature.name] == text).mean() < RARE]
        if rare:
            entry["rare_categories"] = rare
    elif feature.type == BOOL:
        entry["default"] = False
    else:
        values = columns[feature.name]
        entry |= {"min": float(f"{np.nanmin(values):.6g}"), "max": float(f"{np.nanmax(values):.6g}")}
    if feature.required:
        entry["required"] = True
    if feature.description:
        entry["description"] = feature.description
    return entry


def goldens(task, session):
    """One golden a line: the row and what the graph gives, in protobuf JSON."""
    lines = []
    for row in task.goldens:
        (score,) = session.run(["log_odds"], feeds(task.features, [row]))
        values = [float(f"{score.item():.9g}")]
        lines.append(json.dumps({"features": row, "outputs": {"model.log_odds": {"values": values}}}, ensure_ascii=False))
    return "\n".join(lines) + "\n"


def hide_one(names, share):
    """Rows to train on, of which this share lacks one of these features, so that trees learn what a missing one means."""
    def less(rows, rng):
        hidden = [rng.choice(names) if rng.random() < share else None for _ in rows]
        return [{name: value for name, value in row.items() if name != hide} for row, hide in zip(rows, hidden)]
    return less


def rows_of(task, columns):
    """The rows of columns as callers send them; what is missing is left out."""
    lists = {name: values.tolist() for name, values in columns.items()}
    count = len(next(iter(lists.values())))
    return [task.to_row({name: values[at] for name, values in lists.items() if values[at] == values[at]})
            for at in range(count)]


def main(task):
    parser = argparse.ArgumentParser(description=f"Trains and exports models/{task.name}.")
    parser.add_argument("--data", type=Path, required=True, help=f"holds {task.file}")
    parser.add_argument("--out", type=Path, default=ROOT / "models" / task.name, help="the bundle's directory")
    args = parser.parse_args()
    columns, labels = task.read(args.data / task.file)
    print(f"{len(labels)} rows, {labels.mean():.1%} {task.event}; {FOLDS} stratified folds × {len(SEEDS)} seeds")

    graph, categories = matrix_graph(task)
    first = onnxruntime.InferenceSession(graph.finish("columns", "columns"))

    def matrix_of(rows):
        return first.run(["columns"], feeds(task.features, rows))[0]

    def trees():
        return Trees(categories, **task.settings)

    rows = rows_of(task, columns)
    matrix, known = matrix_of(rows), matrix_of(task.less(rows, np.random.default_rng(0)))
    print(f"\n{'model':<14}{'AUC':>8}{'± folds':>9}{'ECE':>8}{'slope':>8}")
    results = {}
    for name, (make, *data) in {"this one": (trees, matrix, known), **task.baselines(columns)}.items():
        areas, raw = cross_validate(make, data[0], labels, data[-1])
        predictions, calibration = calibrate(raw, labels)
        error = calibration_error(predictions, labels)
        results[name] = areas, predictions, calibration, error
        print(f"{name:<14}{areas.mean():>8.4f}{areas.std() / np.sqrt(len(areas)):>9.4f}{error:>8.4f}"
              f"{calibration[0]:>8.3f}", flush=True)
    areas, predictions, calibration, error = results["this one"]
    chance, chance_high = chance_error(predictions)
    print(f"a perfectly calibrated model's ECE by chance: {chance:.4f}, in 1 of 20 draws over {chance_high:.4f}")
    print_slices(task.slices(columns), labels, predictions, task.event)
    print_bands(task.bands, labels, predictions, task.event)
    if task.also:
        task.also(columns, labels, Measured(areas, predictions, task, trees, matrix_of, known))
    best = max(found[0].mean() for name, found in results.items() if name != "this one")
    if areas.mean() < best - 0.003 or error > max(0.02, 1.3 * chance):
        raise SystemExit(f"not exported: AUC {areas.mean():.4f} against {best:.4f}, ECE {error:.4f} against {chance:.4f}")

    model = trees().fit(known, labels)
    content = export(task, model)
    session = onnxruntime.InferenceSession(content)
    scores = session.run(["log_odds"], feeds(task.features, rows))[0][:, 0]
    difference = np.abs(scores - model.log_odds(matrix)).max()
    print(f"\nthe graph, {len(content) / 1024:.0f} KiB, is within {difference:.1e} of the model's log-odds on every row")
    if difference > TOLERANCE:
        raise SystemExit("not exported: the graph does not compute the model")
    quantiles = [round(float(value), 6) for value in np.quantile(predictions, np.linspace(0, 1, 101))]
    made = background.make_up({name: columns[name] for name in task.chain},
                              lambda source: model.log_odds(matrix_of(rows_of(task, source))))
    metrics = {"auc": areas.mean(), "ece": error, "ece_by_chance": chance}
    metrics |= {f"auc_{name}": found[0].mean() for name, found in results.items() if name != "this one"}
    written = manifest(task, columns, rows, calibration, quantiles, best_threshold(predictions, labels),
                       {name: round(float(value), 4) for name, value in metrics.items()})

    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "model.onnx").write_bytes(content)
    (args.out / "goldens.jsonl").write_text(goldens(task, session), encoding="utf-8")
    background.write(args.out / "background.jsonl", made, task.to_row)
    write(args.out / "bundle.yaml", written, f"scripts/models/{task.name}.py")
    print(f"wrote {args.out}")
