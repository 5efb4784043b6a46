"""Trains and exports models/ctr: the probability that somebody clicks on an item that is shown in one of three places.

    python scripts/models/ctr.py --data DIR [--out models/ctr]

DIR holds tabular/obd_random_men.csv, obd_bts_men.csv and obd_men_item_context.csv (Open Bandit Dataset: a week of a fashion
shop's front page, 10,000 impressions chosen at random and 10,000 by Bernoulli Thompson sampling).

The model is additive: log-odds = intercept + one term per feature, a table for a category and a straight line for a number or its
logarithm, fitted by penalised maximum likelihood. Each term is zero on average over the training impressions, so the terms
are the reasons, exactly. With 115 clicks that is about as much as can be learned. Graph:

    one input per feature  [N, 1]: strings, int64 or float32 by the feature's type
    probability, log_odds  float32 [N, 1]
    contributions          float32 [N, features], the terms in the order of FEATURES

What the script prints, it computes by leaving one day of the seven out and predicting it. The policies are the model's ranking (the best
item of the 34 for this visitor in the first place, the second best in the second, the third best in the third), and items drawn with
chances in proportion to the model's odds. What clicks they would have had is estimated from the impressions that were chosen at random,
by weights of inverse propensity (IPS), those divided by their sum (SNIPS), and doubly robustly (DR), where the model's own prediction is
corrected by the weighted errors.
"""

import argparse
import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
from sklearn.linear_model import LogisticRegression

import background
from graphs import Graph, golden
from manifest import write

ROOT = Path(__file__).resolve().parents[2]
ITEMS, PLACES, DAYS = 34, 3, 7
PENALTY = 0.01  # sklearn's C of the squared coefficients
# How wide a number's column is made: the wider, the less its line is penalised. Categories stay at 1.
WIDTHS = {"item_feature_0": 1.0, "item_affinity": 3.0, "total_affinity": 3.0}
SELDOM = 100  # impressions of a category, below which scry warns of low support
DRAWS = 1000
TOLERANCE = 1e-5
BANDS = (("below average", 0.0), ("average", 0.8), ("high", 1.5), ("very high", 3.0))  # from how many times the base rate
STRING, INT, FLOAT = "STRING", "INT", "FLOAT"


def feature(name, kind, code, en, ru, actionable=False, description=""):
    return SimpleNamespace(name=name, type=kind, code=code, en=en, ru=ru, actionable=actionable, description=description)


FEATURES = (
    *(feature(f"user_feature_{k}", STRING, f"USER_{k}", f"Visitor's feature {k}", f"Признак посетителя {k}", description="hashed by the publisher")
      for k in range(4)),
    feature("item_feature_0", FLOAT, "ITEM_0", "Item's feature 0", "Признак товара 0", True, "scaled by the publisher"),
    *(feature(f"item_feature_{k}", STRING, f"ITEM_{k}", f"Item's feature {k}", f"Признак товара {k}", True, "hashed by the publisher") for k in range(1, 4)),
    feature("position", INT, "POSITION", "Place on the page", "Место на странице", True, "1 left, 2 centre, 3 right"),
    feature("item_affinity", FLOAT, "ITEM_AFFINITY", "Visitor's clicks on this item before", "Прошлые клики посетителя на этот товар", True),
    feature("total_affinity", FLOAT, "TOTAL_AFFINITY", "Visitor's clicks on any of the items before", "Прошлые клики посетителя на любые из товаров"),
)
NAMES = [f.name for f in FEATURES]
USER = [name for name in NAMES if name.startswith("user_")]
ITEM = [name for name in NAMES if name.startswith("item_feature")]
NUMBERS = list(WIDTHS)
CHAIN = [*USER, "total_affinity", *ITEM, "position", "item_affinity"]  # the order in which made-up rows are drawn
LOGARITHMS = ("item_affinity", "total_affinity")
MOST = 2  # clicks before, that is; more are too few to learn from and count as these


def read(path, items):
    """The impressions of one log: columns by name, clicks, propensities, days, items, affinities [N, items]."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    item = np.array([int(row["item_id"]) for row in rows])
    affinity = np.array([[float(row[f"user-item_affinity_{k}"]) for k in range(ITEMS)] for row in rows])
    columns = {name: np.array([row[name] for row in rows]) for name in USER}
    columns |= {"position": np.array([int(row["position"]) for row in rows])}
    log = SimpleNamespace(columns=columns, affinity=affinity, item=item, click=np.array([int(row["click"]) for row in rows]),
                          propensity=np.array([float(row["propensity_score"]) for row in rows]),
                          day=np.unique([row["timestamp"][:10] for row in rows], return_inverse=True)[1])
    log.columns = shown(log, items, item)
    return log


def shown(log, items, item):
    """The columns of the log's impressions with other items shown."""
    return log.columns | {name: items[name][item] for name in ITEM} | {
        "item_affinity": log.affinity[np.arange(len(item)), item], "total_affinity": log.affinity.sum(axis=1)}


def read_items(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["item_id"]))
    return {name: np.array([row[name] for row in rows], float if name in NUMBERS else str) for name in ITEM}


class Additive:
    """The model: per feature a table or a line, centred on the training impressions."""

    def fit(self, columns, clicks):
        self.categories = {name: np.unique(columns[name]) for name in NAMES if name not in NUMBERS}
        lines = {name: self.number(name, columns[name]) for name in NUMBERS}
        self.middle = {name: (line.mean(), line.std() / WIDTHS[name]) for name, line in lines.items()}
        parts = [self.basis(name, columns[name]) for name in NAMES]
        fit = LogisticRegression(C=PENALTY, solver="newton-cholesky", tol=1e-8, max_iter=1000).fit(np.hstack(parts), clicks)
        ends = np.cumsum([part.shape[1] for part in parts])[:-1]
        self.weights = dict(zip(NAMES, np.split(fit.coef_[0], ends)))
        self.means = {name: float((part @ self.weights[name]).mean()) for name, part in zip(NAMES, parts)}
        self.intercept = float(fit.intercept_[0]) + sum(self.means.values())
        return self

    @staticmethod
    def number(name, values):
        return np.log1p(np.minimum(values, MOST)) if name in LOGARITHMS else np.asarray(values, float)

    def basis(self, name, values):
        if name in NUMBERS:
            mean, width = self.middle[name]
            return ((self.number(name, values) - mean) / width)[:, None]
        return (values[:, None] == self.categories[name]).astype(float)

    def term(self, name, values):
        if name in NUMBERS:
            return self.basis(name, values)[:, 0] * self.weights[name][0] - self.means[name]
        known = self.categories[name]
        at = np.minimum(np.searchsorted(known, values), len(known) - 1)
        return np.where(known[at] == values, self.weights[name][at] - self.means[name], 0.0)

    def log_odds(self, columns):
        return self.intercept + sum(self.term(name, columns[name]) for name in NAMES)

    def predict(self, columns):
        return 1 / (1 + np.exp(-self.log_odds(columns)))


def together(logs, rows):
    """The columns and clicks of the chosen rows of several logs."""
    columns = {name: np.concatenate([log.columns[name][row] for log, row in zip(logs, rows)]) for name in NAMES}
    return columns, np.concatenate([log.click[row] for log, row in zip(logs, rows)])


def resample(values, rows):
    """The 95 % interval of a statistic of arrays whose rows are drawn anew. values(drawn) gives it."""
    rng = np.random.default_rng(0)
    return np.quantile([values(rng.integers(0, rows, rows)) for _ in range(DRAWS)], (0.025, 0.975))


def area_of(p, clicks):
    """A function of drawn rows that gives their AUC; ties count half."""
    groups, group = np.unique(p, return_inverse=True)

    def area(drawn):
        hit, missed = (np.bincount(group[drawn], clicks[drawn] == label, len(groups)) for label in (1, 0))
        return (hit * (np.cumsum(missed) - missed / 2)).sum() / hit.sum() / missed.sum()
    return area


def log_loss(p, clicks):
    return -np.where(clicks == 1, np.log(p), np.log1p(-p))


def calibration_error(p, clicks, bins=5):
    """Over bins of equal mass; five, so that each has clicks."""
    groups = np.array_split(np.argsort(p, kind="stable"), bins)
    return sum(abs(p[group].mean() - clicks[group].mean()) * len(group) for group in groups) / len(p)


def policies(scores, position):
    """The chance of each item for each impression [N, items], by policy. scores are log-odds [N, items]."""
    ranked = np.argsort(-scores, axis=1, kind="stable")[np.arange(len(scores)), position - 1]
    soft = np.exp(scores - scores.max(axis=1, keepdims=True))
    return {"the model's ranking": np.eye(ITEMS)[ranked], "drawn by the model's odds": soft / soft.sum(axis=1, keepdims=True)}


def estimate(log, chances, predicted):
    """IPS, SNIPS and DR of a policy with their intervals, the effective number of impressions, and the clicks that count."""
    weight = chances[np.arange(len(log.item)), log.item] / log.propensity
    model = (chances * predicted).sum(axis=1)
    own = predicted[np.arange(len(log.item)), log.item]
    corrected = model + weight * (log.click - own)
    values = {
        "IPS": lambda drawn: (weight * log.click)[drawn].mean(),
        "SNIPS": lambda drawn: (weight * log.click)[drawn].sum() / weight[drawn].sum(),
        "DR": lambda drawn: corrected[drawn].mean(),
    }
    everything = np.arange(len(log.item))
    return ({name: (value(everything), *resample(value, len(log.item))) for name, value in values.items()},
            weight.sum() ** 2 / (weight ** 2).sum(), int(((weight > 0) & (log.click == 1)).sum()))


def percent(value, low, high):
    return f"{value:.2%} [{low:.2%}, {high:.2%}]"


def export(model):
    """The ONNX graph."""
    g = Graph()
    terms = []
    for f in FEATURES:
        if f.name in NUMBERS:
            mean, width = model.middle[f.name]
            x = g("Where", g("IsNaN", f.name), model.number(f.name, np.zeros(1)) if f.name in LOGARITHMS else np.array([mean]), f.name)
            if f.name in LOGARITHMS:
                x = g("Log", g("Add", g("Clip", x, np.float32(0), np.float32(MOST)), 1.0))
            slope = model.weights[f.name][0] / width
            terms.append(g("Add", g("Mul", x, slope), -mean * slope - model.means[f.name]))
            continue
        table = {value: float(weight - model.means[f.name]) for value, weight in zip(model.categories[f.name].tolist(), model.weights[f.name])}
        keys = "keys_int64s" if f.type == INT else "keys_strings"
        terms.append(g("LabelEncoder", f.name, domain="ai.onnx.ml", values_floats=list(table.values()), default_float=0.0, **{keys: list(table)}))
    g("Concat", *terms, name="contributions", axis=1)
    g("Add", g("ReduceSum", "contributions", [1]), model.intercept, name="log_odds")
    g("Sigmoid", "log_odds", name="probability")
    types = {STRING: "string", INT: "int64", FLOAT: "float"}
    return g.model("ctr", {f.name: (types[f.type], ["N", 1]) for f in FEATURES},
                   {name: ("float", ["N", width]) for name, width in (("probability", 1), ("log_odds", 1), ("contributions", len(FEATURES)))})


def feeds(columns):
    types = {STRING: object, INT: np.int64, FLOAT: np.float32}
    return {f.name: np.asarray(columns[f.name]).astype(types[f.type])[:, None] for f in FEATURES}


def samples(model):
    """Rows for the goldens, drawn without looking at who saw what; the last lack values and hold what training did not see."""
    rng = np.random.default_rng(1)
    rows = [{name: rng.choice(known).item() for name, known in model.categories.items()}
            | {"item_feature_0": round(rng.uniform(-1, 3), 1), "item_affinity": float(k // 3), "total_affinity": float(k)} for k in range(5)]
    return rows + [{"position": 2}, {"position": 1, "user_feature_0": "unseen", "item_feature_0": 4.5, "item_affinity": 20, "total_affinity": 30}]


def to_json(row):
    """A row as a caller would send it."""
    return {name: int(row[name]) if name == "position" else row[name] for name in NAMES if name in row}


def manifest(model, columns, quantiles, rate, metrics):
    """The content of bundle.yaml."""
    features = []
    for f in FEATURES:
        entry = {"name": f.name, "type": f"FEATURE_TYPE_{f.type}"}
        if f.type == STRING:
            known, counts = np.unique(columns[f.name], return_counts=True)
            entry |= {"default": "", "categories": known.tolist()}
            seldom = known[counts < SELDOM].tolist()
            if seldom:
                entry["rare_categories"] = seldom
        else:
            entry |= {"min": float(columns[f.name].min()), "max": float(columns[f.name].max())}
        if f.name == "position":
            entry["required"] = True
        if f.name in LOGARITHMS:
            entry["default"] = 0
        if f.description:
            entry["description"] = f.description
        features.append(entry)
    return {
        "description": "Probability that a visitor of a fashion shop clicks on an item that is shown, with reasons.",
        "license": "Apache-2.0",
        "graphs": {"model": {"file": "model.onnx", "execution": {"devices": ["cpu"], "threads": 1}}},
        "heads": {"click": {
            "source": "model.probability",
            "probability": {
                "event": "click", "raw_score": "model.log_odds", "threshold": round(2 * rate, 4), "quantiles": quantiles,
                "bands": [{"name": name, "min_probability": round(times * rate, 4)} for name, times in BANDS],
                "reasons": {"contributions": "model.contributions", "codes": [
                    {"feature": f.name, "code": f.code, "text": {"en": f.en, "ru": f.ru}, "actionable": f.actionable} for f in FEATURES]},
            }}},
        "row": {"features": features, "background": "background.jsonl",
                "groups": [{"name": "visitor", "features": [*USER, "total_affinity"]}, {"name": "item", "features": [*ITEM, "item_affinity"]}]},
        "goldens": {"file": "goldens.jsonl", "tolerances": [
            {"precision": "PRECISION_FP32", "absolute": TOLERANCE, "relative": TOLERANCE}]},
        "lineage": {"data": ["Open Bandit Dataset (ZOZO), men's campaign, the sample of PyPI obp 0.4.1, Apache-2.0"], "code": "scripts/models/ctr.py",
                    "metrics": metrics},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds tabular/obd_*_men*.csv")
    parser.add_argument("--out", type=Path, default=ROOT / "models/ctr", help="the bundle's directory")
    args = parser.parse_args()
    items = read_items(args.data / "tabular/obd_men_item_context.csv")
    logs = chance, thompson = [read(args.data / f"tabular/obd_{name}_men.csv", items) for name in ("random", "bts")]
    whole = [np.ones(len(log.click), bool) for log in logs]
    columns, clicks = together(logs, whole)
    rate = float(clicks.mean())
    print(f"{len(clicks)} impressions, {clicks.sum()} clicks ({rate:.2%}): {chance.click.sum()} of {len(chance.click)} chosen at random, "
          f"{thompson.click.sum()} of {len(thompson.click)} by Thompson sampling; each of {DAYS} days predicted by the others", flush=True)

    # Of every impression: the model's probability, that of the other days' rate, and what the model says of all items.
    predicted, base, scores = ([np.empty(len(log.click)) for log in logs], [np.empty(len(log.click)) for log in logs],
                               [np.empty((len(log.click), ITEMS)) for log in logs])
    for day in range(DAYS):
        train, seen = together(logs, [log.day != day for log in logs])
        model = Additive().fit(train, seen)
        for k, log in enumerate(logs):
            out = log.day == day
            predicted[k][out] = model.predict({name: values[out] for name, values in log.columns.items()})
            base[k][out] = seen.mean()
            for item in range(ITEMS):
                other = shown(log, items, np.full(len(log.item), item))
                scores[k][out, item] = model.log_odds({name: other[name][out] for name in NAMES})
    p, b = np.concatenate(predicted), np.concatenate(base)
    losses, plain = log_loss(p, clicks), log_loss(b, clicks)
    area = area_of(p, clicks)(np.arange(len(p)))
    chance_errors = [calibration_error(p, np.random.default_rng(seed).random(len(p)) < p) for seed in range(200)]
    print(f"\n{'':<16}{'AUC':>7} {'95 %':<16}{'log-loss':>9}{'calibration error':>19}")
    low, high = resample(area_of(p, clicks), len(p))
    print(f"{'ctr':<16}{area:>7.3f} {f'[{low:.3f}, {high:.3f}]':<16}{losses.mean():>9.5f}{calibration_error(p, clicks):>19.5f}")
    print(f"{'base rate':<16}{0.5:>7.3f} {'':<16}{plain.mean():>9.5f}")
    gain, (low, high) = 1 - losses.mean() / plain.mean(), resample(lambda drawn: 1 - losses[drawn].mean() / plain[drawn].mean(), len(p))
    print(f"log-loss lower by {gain:.1%} [{low:.1%}, {high:.1%}]; a perfectly calibrated model's calibration error by chance: "
          f"{np.mean(chance_errors):.5f}, in 1 of 20 draws over {np.quantile(chance_errors, 0.95):.5f}")

    groups = {"chosen at random": np.repeat([True, False], [len(chance.click), len(thompson.click)])}
    groups["by Thompson sampling"] = ~groups["chosen at random"]
    groups |= {f"position {place}": columns["position"] == place for place in range(1, PLACES + 1)}
    groups |= {"clicked before": columns["total_affinity"] > 0, "never clicked": columns["total_affinity"] == 0}
    for (name, least), (_, most) in zip(BANDS, BANDS[1:] + (("", np.inf),)):
        groups[f"band {name}"] = (p >= least * rate) & (p < most * rate)
    print(f"\n{'slice':<24}{'impressions':>12}{'clicks':>8}{'rate':>8}{'predicted':>11}{'AUC':>7}")
    for name, rows in groups.items():
        print(f"{name:<24}{rows.sum():>12}{clicks[rows].sum():>8}{clicks[rows].mean():>8.2%}{p[rows].mean():>11.2%}{area_of(p, clicks)(np.flatnonzero(rows)):>7.3f}")

    print(f"\n{'click rate of a policy':<28}{'log':<10}{'IPS':<24}{'SNIPS':<24}{'DR':<24}{'worth':>12}{'clicks':>8}")
    metrics = {}
    for name, log in (("random", chance), ("Thompson", thompson)):
        measured = log.click.mean(), *resample(lambda drawn: log.click[drawn].mean(), len(log.click))
        print(f"{f'{name}, as it ran':<28}{name:<10}{percent(*measured):<24}{'':<48}{len(log.click):>12}{log.click.sum():>8}")
    for name, log, table in (("random", chance, scores[0]), ("Thompson", thompson, scores[1])):
        for policy, chances in policies(table, log.columns["position"]).items():
            values, worth, count = estimate(log, chances, 1 / (1 + np.exp(-table)))
            print(f"{policy:<28}{name:<10}" + "".join(f"{percent(*values[kind]):<24}" for kind in values) + f"{worth:>12.0f}{count:>8}")
            if name == "random" and policy.endswith("ranking"):
                metrics = {f"ranking_{kind.lower()}": values[kind][0] for kind in values}
    print("worth: how many impressions of the policy itself would tell as much; clicks: those with a weight above 0")

    model = Additive().fit(columns, clicks)
    graph = export(model)
    session = onnxruntime.InferenceSession(graph)
    answers = session.run(["probability", "log_odds"], feeds(columns))
    difference = np.abs(answers[1][:, 0] - model.log_odds(columns)).max()
    print(f"\nthe graph's log-odds are within {difference:.1e} of the model's on every impression")
    if difference > TOLERANCE:
        raise SystemExit("not exported: the graph does not compute the model")
    typical = background.make_up({name: columns[name] for name in CHAIN}, model.log_odds)
    quantiles = [round(float(value), 6) for value in np.quantile(answers[0], np.linspace(0, 1, 101))]
    metrics = {"auc": area, "log_loss": losses.mean(), "log_loss_base_rate": plain.mean(), "rate_random": chance.click.mean(),
               "rate_thompson": thompson.click.mean()} | metrics
    content = manifest(model, columns, quantiles, rate, {name: round(float(value), 5) for name, value in metrics.items()})

    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "model.onnx").write_bytes(graph)
    lines = []
    for row in map(to_json, samples(model)):
        filled = {f.name: np.array([row.get(f.name, {STRING: "", FLOAT: 0.0 if f.name in LOGARITHMS else np.nan}.get(f.type))]) for f in FEATURES}
        values = session.run(["probability", "log_odds", "contributions"], feeds(filled))
        line = {"features": row, "outputs": {}}
        for name, value in zip(("probability", "log_odds", "contributions"), values):
            line["outputs"] |= golden(row, f"model.{name}", value)["outputs"]
        lines.append(json.dumps(line) + "\n")
    (args.out / "goldens.jsonl").write_text("".join(lines), encoding="utf-8")
    background.write(args.out / "background.jsonl", typical, to_json)
    write(args.out / "bundle.yaml", content, "scripts/models/ctr.py")
    print(f"wrote {args.out}: {len(graph)} bytes of graph")


if __name__ == "__main__":
    main()
