"""From a fitted model to a bundle that can be pushed."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

try:
    import numpy as np
    import onnxruntime
    import pandas as pd
    from sklearn.base import clone, is_classifier, is_regressor
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss, mean_absolute_error, r2_score, roc_auc_score, root_mean_squared_error
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

    from . import _graph, _manifest
except ImportError as e:  # pragma: no cover
    raise ImportError(f"scry.export needs what pip install 'scry-client[export]' installs ({e})") from e

NEGATIVE_POSITIVE = (("0", "1"), ("no", "yes"), ("false", "true"))  # classes whose second is the event beyond doubt
MISSING_STRINGS = ("", "nan", "None", "missing")  # what a graph may know for a missing string
UNSEEN = "(unseen by scry.export)"
MAX_CATEGORIES = 1000  # of one feature; a text of more different values is not listed
CHECKED_ROWS = 2000  # that the graph is compared on with the model
PROBED_ROWS = 100  # in which a value is taken away, or replaced by one that training did not see
BANDS = (("low", 0.0), ("medium", 0.5), ("high", 0.8), ("very high", 0.95))  # with the share of customers below


@dataclass
class Exported:
    """What export wrote, and what it chose; str() says it in words."""

    path: Path
    head: str
    positive: str = ""
    calibration: str = ""
    threshold: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    difference: float = 0.0
    conversion: str = ""
    required: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"wrote {self.path}: head {self.head}" + (f", the probability of {self.positive}" if self.positive else "")]
        lines.append(f"  the graph ({self.conversion}) is within {self.difference:.1e} of the model")
        if self.calibration:
            lines.append(f"  calibration {self.calibration}, threshold {self.threshold:.2f}")
        if self.metrics:
            lines.append("  out of fold: " + ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items()))
        if self.required:
            lines.append("  required features: " + ", ".join(self.required))
        return "\n".join(lines)


def export(model: Any, X: pd.DataFrame, y: Any, directory: str | Path, *, event: str = "", positive: Any = None, unit: str = "",
           description: str = "", license: str = "", calibration: str = "auto", folds: int = 5, holdout: tuple[Any, Any] | None = None,
           threshold: float | None = None, bands: Mapping[str, float] | None = None, defaults: Mapping[str, Any] | None = None,
           required: Sequence[str] = (), tolerance: float = 1e-5, goldens: int = 16, background: int = 0, data: Sequence[str] = (),
           code: str = "", metrics: Mapping[str, float] | None = None, trained_at: dt.datetime | None = None, seed: int = 0) -> Exported:
    """Writes a fitted scikit-learn estimator or pipeline (its last step may be of LightGBM or XGBoost) as a bundle.

    X and y are the training data, X a DataFrame whose columns are the features. The directory gets model.onnx, which takes
    the features as named inputs and is compared with the model on the training rows; bundle.yaml with types, ranges,
    categories, what may be missing, the head, its calibration, threshold, percentiles and bands; and goldens.jsonl with the
    model's own answers. The model is not changed.

    A classifier of two classes gets a probability head of the positive class: 1, Yes or True, else what positive names. One
    of more classes gets a classes head, a regressor a value head in the given unit. The head is named by event (default: y's
    name).

    calibration: "auto" takes Platt's map, or an isotonic one, only where it lowers the log-loss by more than two standard
    errors; "platt", "isotonic" and "none" say so. It, the threshold (default: where F1 is highest), the percentiles and the metrics
    come from predictions for rows that the model has not seen: out of so many folds, for which the model is fitted anew
    each time, or of holdout = (X, y). folds=0 and no holdout go without: percentiles are then those of the training rows.
    Bands (name to smallest probability) are by default the lower half, up to the 80th percentile, the 95th, and the rest.

    A feature may be missing where model and graph agree on what then comes out; defaults gives values for others, required
    names features that must be there all the same. Categories that the model cannot encode are refused.

    goldens is the number of samples: rows mixed from the columns, nobody's own, besides one with everything missing that may
    be and one with unseen categories. background (100 are usual) puts so many training rows, as they are, into
    background.jsonl, with which the server explains scores; none without it. data, code, metrics and trained_at go into the
    lineage.

    Raises ValueError when the graph is further than tolerance from the model on any row, TypeError for data that cannot be
    exported.
    """
    if calibration not in ("auto", "platt", "isotonic", "none"):
        raise ValueError(f"calibration is {calibration!r}, want auto, platt, isotonic or none")
    if not 0 <= background <= 1000:
        raise ValueError(f"background is {background}, want 0 to 1000 rows")
    if not isinstance(X, pd.DataFrame):
        raise TypeError(f"X is a {type(X).__name__}, want a DataFrame: its columns name the features")
    if not (is_classifier(model) or is_regressor(model)):
        raise TypeError(f"{type(model).__name__} is neither a classifier nor a regressor")
    if is_classifier(model) and not hasattr(model, "predict_proba"):
        raise TypeError(f"{type(model).__name__} gives no probabilities; put it into sklearn.calibration.CalibratedClassifierCV")
    kinds = {name: _kind(name, X[name]) for name in X.columns}
    rng = np.random.default_rng(seed)
    classes = list(model.classes_) if is_classifier(model) else []
    place = _positive(classes, positive) if len(classes) == 2 else None
    event = event or str(getattr(y, "name", None) or ("class" if classes else "value"))
    head = _identifier(event)
    answer = _answers(model, place)

    graph = _find_graph(model, X, kinds, answer, place, tolerance, rng)
    features, optional, unseen = _features(graph, model, X, answer, tolerance, dict(defaults or {}), set(required))
    used = [f["name"] for f in features]

    exported = Exported(path=Path(directory), head=head, difference=graph.difference, conversion=graph.conversion,
                        positive=str(classes[place]) if place is not None else "",
                        required=[f["name"] for f in features if f.get("required")])
    unseen_rows = _held_out(model, X, y, folds, holdout, classes, seed)
    if unseen_rows is not None:
        exported.metrics = _metrics(unseen_rows, classes, place)
    spec: dict[str, Any]
    if place is not None:
        spec = _probability(exported, event, unseen_rows, answer(X), place, classes, calibration, threshold, bands, seed)
    elif classes:
        spec = {"source": "model.scores", "classes": {"names": [str(c) for c in classes]}}
    else:
        population = answer(X) if unseen_rows is None else unseen_rows[0]
        spec = {"source": "model.value", "value": {"unit": unit, "quantiles": _quantiles(population)}}

    samples = _samples(X[used], goldens, optional, unseen, rng)
    answers = answer(_typed(samples, X))
    graph.check(samples, answers, tolerance)
    content: dict[str, Any] = {
        **({"description": description} if description else {}), **({"license": license} if license else {}),
        "graphs": {"model": {"file": "model.onnx"}},
        "heads": {head: spec},
        "row": {"features": features},
        "goldens": {"file": "goldens.jsonl", "tolerances": [
            {"precision": "PRECISION_FP32", "absolute": tolerance, "relative": tolerance}]},
    }
    lineage = {"data": list(data), "code": code,
               "metrics": {name: round(float(v), 6) for name, v in {**exported.metrics, **(metrics or {})}.items()},
               "trained_at": trained_at and trained_at.astimezone(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}
    if any(lineage.values()):
        content["lineage"] = {name: value for name, value in lineage.items() if value}

    exported.path.mkdir(parents=True, exist_ok=True)
    (exported.path / "model.onnx").write_bytes(graph.content)
    source = spec["source"] if place is None else "model.probability"
    lines = [{"features": row, "outputs": {source: {"values": np.atleast_1d(values).tolist()}}}
             for row, values in zip(_rows(samples, kinds), answers)]
    _write_lines(exported.path / "goldens.jsonl", lines)
    if background:
        content["row"]["background"] = "background.jsonl"
        if not classes or place is not None:
            spec["value" if not classes else "probability"]["reasons"] = {}
        chosen = X[used].iloc[np.sort(rng.choice(len(X), min(background, len(X)), replace=False))]
        _write_lines(exported.path / "background.jsonl", _rows(chosen, kinds))
    _manifest.write(exported.path / "bundle.yaml", content, "scry.export")
    return exported


def _kind(name: Any, column: pd.Series) -> str:
    if not isinstance(name, str) or not name:
        raise TypeError(f"column {name!r} has no text for a name")
    dtype: Any = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = dtype.categories.dtype
        if pd.api.types.is_numeric_dtype(dtype):
            raise TypeError(f"column {name!r} is a category of numbers; give the model plain numbers or strings")
    if pd.api.types.is_bool_dtype(dtype):
        return "BOOL"
    if pd.api.types.is_integer_dtype(dtype):
        return "INT"
    if pd.api.types.is_float_dtype(dtype):
        return "FLOAT"
    if pd.api.types.is_string_dtype(dtype) or all(isinstance(v, str) for v in column.dropna()):
        return "STRING"
    raise TypeError(f"column {name!r} is of type {column.dtype}; ONNX takes numbers, truth values and strings")


def _positive(classes: list[Any], positive: Any) -> int:
    """The place of the event's class. Guessing would turn Churned/Retained round."""
    texts = [str(c) for c in classes]
    if positive is not None:
        if str(positive) not in texts:
            raise ValueError(f"positive is {positive!r}, but the classes are {', '.join(texts)}")
        return texts.index(str(positive))
    if tuple(t.lower() for t in texts) in NEGATIVE_POSITIVE:
        return 1
    raise ValueError(f"which class is the event, {texts[0]} or {texts[1]}? Say positive={classes[0]!r} or positive={classes[1]!r}")


def _identifier(event: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", event.lower()).strip("_")[:63]
    return name if re.match(r"[a-z]", name) else ("head_" + name).rstrip("_")[:63]


def _answers(model: Any, place: int | None) -> Any:
    """What the model answers: the probability of the class in place [N], of all [N, classes], or the prediction [N]."""
    def answer(X: pd.DataFrame) -> np.ndarray:
        if not is_classifier(model):
            return np.asarray(model.predict(X), dtype=np.float64).ravel()
        table = np.asarray(model.predict_proba(X), dtype=np.float64)
        return table if place is None else table[:, place]
    return answer


class _Checked:
    """A graph that was found to compute what the model computes."""

    def __init__(self, content: bytes, inputs: dict[str, str], kinds: dict[str, str], conversion: str) -> None:
        self.content = content
        self.conversion = conversion
        self.difference = 0.0
        self.missing_strings: dict[str, str] = {}
        self._session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        types = {value.name: value.type for value in self._session.get_inputs()}
        self.inputs = {name: graph_name for name, graph_name in inputs.items() if graph_name in types}
        self.kinds = kinds
        self._types = {name: types[graph_name] for name, graph_name in self.inputs.items()}
        self._output = self._session.get_outputs()[0].name

    def run(self, X: pd.DataFrame) -> np.ndarray:
        feeds = {}
        for name, graph_name in self.inputs.items():
            column = X[name]
            if self.kinds[name] == "STRING":
                values = column.astype(object).where(column.notna(), self.missing_strings.get(name, "")).to_numpy(dtype=object)
            else:
                wanted = {"tensor(double)": np.float64, "tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(bool)": np.bool_}
                values = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan).astype(wanted[self._types[name]])
            feeds[graph_name] = values[:, None]
        out = np.asarray(self._session.run([self._output], feeds)[0], dtype=np.float64)
        return out[:, 0] if out.shape[1] == 1 else out

    def takes_nan(self, name: str) -> bool:
        return self._types[name] in ("tensor(double)", "tensor(float)")

    def check(self, X: pd.DataFrame, answers: np.ndarray, tolerance: float) -> float:
        difference = _difference(self.run(X), answers)
        if not difference <= tolerance:
            raise ValueError(f"the graph is {difference:.2g} off from the model on the golden samples, more than {tolerance:g}")
        return difference


def _difference(got: np.ndarray, want: np.ndarray) -> float:
    """The largest difference, relative where the answers are larger than 1; NaN where one of them is not a number."""
    return float(np.max(np.abs(got - want) / np.maximum(1, np.abs(want)), initial=0.0))


def _find_graph(model: Any, X: pd.DataFrame, kinds: dict[str, str], answer: Any, place: int | None, tolerance: float,
                rng: np.random.Generator) -> _Checked:
    rows = X.iloc[np.sort(rng.choice(len(X), min(CHECKED_ROWS, len(X)), replace=False))]
    want = answer(rows)
    missing = [name for name, kind in kinds.items() if kind == "STRING" and rows[name].isna().any()]
    tried: dict[str, str] = {}  # what was wrong, to the first way that had it
    for conversion, convert in _graph.candidates(model, kinds):
        try:
            converted, inputs = convert()
            result = [value.name for value in converted.graph.output][-1]
            _settle_type(converted, result)
            _graph.finish(converted, result, place)
            checked = _Checked(converted.SerializeToString(deterministic=True), inputs, kinds, conversion)
            _find_markers(checked, rows, missing, want)
            checked.difference = _difference(checked.run(rows), want)
            if checked.difference <= tolerance:
                return checked
            tried.setdefault(f"{checked.difference:.2g} off", conversion)
        except Exception as e:  # whatever converter or runtime raise: the next way may do
            tried.setdefault(f"{type(e).__name__}: {(str(e).strip().splitlines() or [''])[0]}"[:300], conversion)
    hint = ""
    if hasattr(model, "steps") and getattr(model.steps[0][1], "sparse_output_", False) and hasattr(model.steps[-1][1], "get_booster"):
        hint = "\nXGBoost takes the zeros of a sparse matrix for missing values: train with ColumnTransformer(…, sparse_threshold=0)"
    reasons = "".join(f"\n  {conversion}: {wrong}" for wrong, conversion in tried.items())
    raise ValueError(f"no graph was found that is within {tolerance:g} of the model:{reasons}{hint}")


def _find_markers(graph: _Checked, rows: pd.DataFrame, columns: list[str], want: np.ndarray) -> None:
    """For each column of strings that may be missing, the string that the graph takes for it."""
    gone = rows[columns].isna().to_numpy()
    for i, name in enumerate(columns):
        graph.missing_strings[name] = MISSING_STRINGS[0]
        alone = gone[:, i] & (gone.sum(axis=1) == 1)
        if alone.any():
            off = {}
            for marker in MISSING_STRINGS:
                graph.missing_strings[name] = marker
                off[marker] = _difference(graph.run(rows[alone]), want[alone])
            graph.missing_strings[name] = min(off, key=lambda marker: off[marker])


def _settle_type(converted: Any, result: str) -> None:
    """Declares the result as float32 where its operator gives that whatever its input is."""
    try:
        onnxruntime.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as e:
        if "does not match expected type (tensor(float))" not in str(e):
            raise
        next(v for v in converted.graph.output if v.name == result).type.tensor_type.elem_type = 1


def _features(graph: _Checked, model: Any, X: pd.DataFrame, answer: Any, tolerance: float, defaults: dict[str, Any],
              required: set[str]) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """The manifest's features, and the names of those that may be missing and of those that take unseen categories."""
    for name in (*defaults, *required):
        if name not in graph.inputs:
            raise ValueError(f"{name!r} in defaults or required is no feature that the model reads")
    probe = X.dropna(subset=list(graph.inputs)).head(PROBED_ROWS)
    if probe.empty:
        probe = X.head(PROBED_ROWS)

    def agrees(name: str, value: Any, marker: str | None = None) -> bool:
        changed = probe.copy()
        changed[name] = pd.Series([value] * len(probe), index=probe.index,
                                  dtype=object if graph.kinds[name] in ("STRING", "BOOL") else np.float64)
        try:
            want = answer(changed)
        except (ValueError, TypeError):
            return False
        if marker is not None:
            changed[name] = pd.Series([marker] * len(probe), index=probe.index, dtype=object)
        return _difference(graph.run(changed), want) <= tolerance

    features, optional, unseen = [], [], []
    for name, graph_name in graph.inputs.items():
        kind, column = graph.kinds[name], X[name]
        spec: dict[str, Any] = {"name": name, "type": f"FEATURE_TYPE_{kind}"}
        if graph_name != name:
            spec["input"] = graph_name
            if graph_name not in graph.inputs:
                spec["aliases"] = [graph_name]
        if name in required:
            spec["required"] = True
        elif name in defaults:
            spec["default"] = defaults[name]
        elif kind == "STRING":
            known = graph.missing_strings.get(name)
            marker = known if known is not None else next((m for m in MISSING_STRINGS if agrees(name, np.nan, m)), None)
            if marker is None:
                spec["required"] = True
            else:
                spec["default"] = marker
                graph.missing_strings[name] = marker
                optional.append(name)
        elif kind != "BOOL" and graph.takes_nan(name) and agrees(name, np.nan):
            optional.append(name)
        else:
            spec["required"] = True
        if kind in ("INT", "FLOAT"):
            numbers = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
            numbers = numbers[np.isfinite(numbers)]
            if len(numbers):
                spec["min"], spec["max"] = float(numbers.min()), float(numbers.max())
        if kind == "STRING":
            seen = sorted({str(v) for v in column.dropna()})
            if agrees(name, UNSEEN):
                unseen.append(name)
            elif len(seen) > MAX_CATEGORIES:
                raise ValueError(f"column {name!r} has {len(seen)} different strings, and the model refuses or the graph "
                                 "mistakes any other: encode it with handle_unknown")
            else:
                spec["unknown"] = "UNKNOWN_POLICY_ERROR"
            if len(seen) <= MAX_CATEGORIES:
                spec["categories"] = seen
        features.append(spec)
    return features, optional, unseen


def _held_out(model: Any, X: pd.DataFrame, y: Any, folds: int, holdout: tuple[Any, Any] | None, classes: list[Any],
              seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Predictions for rows that the model has not seen, and the truth: class places or numbers."""
    method = "predict_proba" if classes else "predict"
    if holdout is not None:
        predicted, truth = np.asarray(getattr(model, method)(holdout[0])), np.asarray(holdout[1])
    elif folds and y is not None:
        truth = np.asarray(y)
        splits = (StratifiedKFold if classes else KFold)(folds, shuffle=True, random_state=seed)
        predicted = np.asarray(cross_val_predict(clone(model), X, y, cv=splits, method=method))
    else:
        return None
    if classes:
        places = {str(c): i for i, c in enumerate(classes)}
        strange = sorted({str(t) for t in truth} - places.keys())
        if strange:
            raise ValueError(f"y holds {', '.join(strange)}, which the model does not know; its classes are {', '.join(places)}")
        truth = np.array([places[str(t)] for t in truth])
    return predicted.astype(np.float64), truth


def _metrics(unseen: tuple[np.ndarray, np.ndarray], classes: list[Any], place: int | None) -> dict[str, float]:
    predicted, truth = unseen
    if not classes:
        return {"rmse": float(root_mean_squared_error(truth, predicted)), "mae": float(mean_absolute_error(truth, predicted)),
                "r2": float(r2_score(truth, predicted))}
    if place is None:
        return {"log_loss": float(log_loss(truth, predicted, labels=range(len(classes)))),
                "accuracy": float((predicted.argmax(axis=1) == truth).mean())}
    return {"auc": float(roc_auc_score(truth == place, predicted[:, place]))}


def log_odds(p: np.ndarray) -> np.ndarray:
    """As the graph computes them."""
    p = np.clip(p, _graph.LOWEST, 1 - _graph.LOWEST)
    return np.log(p / (1 - p))


class _Map:
    """A calibration of log-odds, applied as the server applies it."""

    def __init__(self, kind: str, scores: np.ndarray, truth: np.ndarray) -> None:
        self.spec: dict[str, Any] | None = None
        self._points: tuple[np.ndarray, np.ndarray] | None = None
        self._line = (1.0, 0.0)
        if kind == "platt":
            fit = LogisticRegression(C=1e12, solver="newton-cholesky", tol=1e-8, max_iter=1000).fit(scores[:, None], truth)
            self._line = (float(fit.coef_[0, 0]), float(fit.intercept_[0]))
            self.spec = {"logistic": {"slope": self._line[0], "intercept": self._line[1]}}
        elif kind == "isotonic":
            edge = 1 / (len(truth) + 2)  # nothing is certain
            fit = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip").fit(scores, truth)
            x, y = fit.X_thresholds_, fit.y_thresholds_
            if len(x) < 2:
                raise ValueError("an isotonic calibration needs scores that differ")
            self._points = (x, y)
            self.spec = {"points": {"scores": x.tolist(), "probabilities": y.tolist()}}

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        if self._points is not None:
            return np.interp(scores, *self._points)
        return 1 / (1 + np.exp(-(self._line[0] * scores + self._line[1])))


def _losses(p: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return -np.log(np.clip(np.where(truth, p, 1 - p), _graph.LOWEST, None))


def _cross_fitted(kind: str, scores: np.ndarray, truth: np.ndarray, seed: int) -> np.ndarray:
    """What a map says of rows that it was not fitted on."""
    mapped = np.empty_like(scores)
    for train, test in StratifiedKFold(5, shuffle=True, random_state=seed).split(scores, truth):
        mapped[test] = _Map(kind, scores[train], truth[train])(scores[test])
    return mapped


def _choose(scores: np.ndarray, truth: np.ndarray, seed: int) -> str:
    """The simplest map whose log-loss no other improves beyond doubt."""
    best, losses = "none", _losses(_Map("none", scores, truth)(scores), truth)
    for kind in ("platt", "isotonic"):
        gains = losses - (tried := _losses(_cross_fitted(kind, scores, truth, seed), truth))
        if gains.mean() > 2 * gains.std() / math.sqrt(len(gains)):
            best, losses = kind, tried
    return best


def _probability(exported: Exported, event: str, unseen: tuple[np.ndarray, np.ndarray] | None, fitted: np.ndarray, place: int,
                 classes: list[Any], calibration: str, threshold: float | None, bands: Mapping[str, float] | None,
                 seed: int) -> dict[str, Any]:
    """The probability head. fitted is what the model answers for the training rows."""
    chosen, population = "none", fitted
    if unseen is not None:
        predicted, truth = unseen[0][:, place], unseen[1] == place
        scores = log_odds(predicted)
        few = min(truth.sum(), (~truth).sum()) < 10  # too few to tell maps apart
        if calibration != "auto" or not few:
            chosen = _choose(scores, truth, seed) if calibration == "auto" else calibration
        calibrate = _Map(chosen, scores, truth)
        population = calibrate(scores) if calibrate.spec else predicted
        judged = population if few else _cross_fitted(chosen, scores, truth, seed)
        exported.metrics |= {"log_loss": float(_losses(judged, truth).mean()), "ece": calibration_error(judged, truth),
                             "rate": float(truth.mean())}
        if threshold is None:
            threshold = _best_threshold(population, truth)
    elif calibration in ("platt", "isotonic"):
        raise ValueError(f"calibration={calibration!r} needs y with folds, or a holdout")
    exported.calibration, exported.threshold = chosen, 0.5 if threshold is None else threshold
    spec: dict[str, Any] = {"event": event}
    if chosen == "none":
        source, spec["raw_score"] = "model.probability", "model.log_odds"
    else:
        source, spec["calibration"] = "model.log_odds", calibrate.spec
    spec["threshold"] = exported.threshold
    spec["quantiles"] = _quantiles(population)
    if bands is None:
        ranges = {name: 0.0 if share == 0 else round(float(np.quantile(population, share)), 4) for name, share in BANDS}
    else:
        ranges = dict(sorted(bands.items(), key=lambda band: band[1]))
    low, spec["bands"] = -1.0, []
    for name, minimum in ranges.items():
        if minimum > low:  # half of the customers may have one probability
            spec["bands"].append({"name": name, "min_probability": minimum})
            low = minimum
    return {"source": source, "probability": spec}


def _quantiles(population: np.ndarray) -> list[float]:
    return [round(float(q), 6) for q in np.quantile(population, np.linspace(0, 1, 101))]


def calibration_error(p: np.ndarray, truth: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over bins of equal mass."""
    groups = np.array_split(np.argsort(p, kind="stable"), bins)
    return float(sum(abs(p[group].mean() - truth[group].mean()) * len(group) for group in groups if len(group)) / len(p))


def _best_threshold(p: np.ndarray, truth: np.ndarray) -> float:
    """Where F1 is highest, to two digits."""
    def f1(at: float) -> float:
        hit = p >= at
        return 2 * float((hit & truth).sum()) / float(hit.sum() + truth.sum())

    return float(max(np.round(np.arange(0.01, 1.0, 0.01), 2), key=f1))


def _samples(X: pd.DataFrame, count: int, optional: list[str], unseen: list[str], rng: np.random.Generator) -> pd.DataFrame:
    """Rows in which each value comes from another one of X: nobody's own."""
    mixed = pd.DataFrame({name: X[name].dropna().sample(count + 2, replace=True, random_state=rng).to_numpy(dtype=object)
                          if X[name].notna().any() else [None] * (count + 2) for name in X}, dtype=object)
    mixed.loc[count, optional] = None
    mixed.loc[count + 1, unseen] = UNSEEN
    return mixed


def _typed(samples: pd.DataFrame, X: pd.DataFrame) -> pd.DataFrame:
    """The samples in the types that the model was trained with, as far as they hold them."""
    out = {}
    for name in X:
        column = samples[name] if name in samples else pd.Series([X[name].iloc[0]] * len(samples))
        if pd.api.types.is_numeric_dtype(X[name].dtype) and column.isna().any():
            out[name] = column.astype(np.float64)
        elif pd.api.types.is_numeric_dtype(X[name].dtype):
            out[name] = column.astype(X[name].dtype)
        else:
            out[name] = column.astype(object).where(column.notna(), np.nan)
    return pd.DataFrame(out)


def _rows(frame: pd.DataFrame, kinds: dict[str, str]) -> list[dict[str, Any]]:
    """Rows as JSON, without what is missing."""
    to = {"FLOAT": float, "INT": int, "BOOL": bool, "STRING": str}
    return [{name: to[kinds[name]](value) for name, value in zip(frame.columns, row) if not pd.isna(value)}
            for row in frame.itertuples(index=False, name=None)]


def _write_lines(path: Path, lines: list[Any]) -> None:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
