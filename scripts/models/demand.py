"""Trains and exports models/demand: how many units of a product are sold in each of the next 8 weeks.

    python scripts/models/demand.py --data DIR [--out models/demand]

DIR holds forecast/sales_weekly.csv (UCI, Sales Transactions Weekly).

One small network for all products. It weighs the means of a product's last 1, 2, 3, 4, 6, 8, 13 and 26 weeks, moves the level
that comes out by at most e^±0.3, and opens a fan of quantiles around it, whose width goes with the root of the level, as
counts do. What it weighs by is how those means differ, how the weeks scatter and how many are zero. The mean of three
such networks is served. Quantiles are rounded, since units are whole. Graph:

    units      float32 [N, weeks], oldest first
    weeks      int64 [N], how many of them are there
    quantiles  float32 [N, 8, 7], in the order of LEVELS
"""

import argparse
import csv
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pandas as pd
from scipy.stats import poisson
from statsforecast import StatsForecast
from statsforecast.models import AutoETS

from forecasting import LEVELS, MEDIAN, Score, fan, normal_fan, print_table, require_better, train
from graphs import Graph, golden
from manifest import write

ROOT = Path(__file__).resolve().parents[2]
HORIZON = 8
WINDOWS = (1, 2, 3, 4, 6, 8, 13, 26)
PAST = WINDOWS[-1]  # weeks that are read
ORIGINS = (28, 32, 36, 40, 44)  # weeks known when a forecast is made
SHORTEST = 8  # weeks known in training, at least
HIDDEN, MEMBERS = 16, 3
STEPS = np.linspace(-1, 1, HORIZON).astype(np.float32)
TOLERANCE = 1e-4
SEASON = 4  # weeks of the seasonal naive forecast; a year has not yet come round

# Weeks of products made up for this project.
GOLDENS = (
    [13, 9, 15, 12, 10, 16, 11, 14, 8, 12, 17, 10, 13, 9, 11, 15, 12, 6, 14, 10, 13, 11, 16, 9, 12, 10, 14, 7],
    [0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0],
    [40, 42, 38, 44, 39, 41, 45, 43, 12, 10, 14, 11],
    [3, 5, 2],
    [30 + 10 * (k % 4) for k in range(60)],
)


def read(path):
    """The products' weeks [products, 52]."""
    with open(path, newline="", encoding="utf-8") as file:
        return np.array([[float(row[f"W{week}"]) for week in range(52)] for row in csv.DictReader(file)], np.float32)


def features(history):
    """What the network weighs by [products, 11], and the means of WINDOWS [products, 8]."""
    past = history[:, -PAST:]
    means = np.stack([past[:, -weeks:].mean(axis=1) for weeks in WINDOWS], axis=1)
    scale = means[:, -1] + 0.3
    spread = np.sqrt(((past - means[:, -1:]) ** 2).mean(axis=1))
    x = np.column_stack([np.log(scale), (means[:, :-1] - means[:, -1:]) / np.sqrt(scale)[:, None],
                         np.log(spread + 0.1) - 0.5 * np.log(scale), (past == 0).mean(axis=1), (past[:, -8:] == 0).mean(axis=1)])
    return x.astype(np.float32), means.astype(np.float32)


def member(params, x, means):
    """The quantiles [N, 8, 7] of one network."""
    (w1, b1), (w2, b2) = params
    out = jnp.tanh(x @ w1 + b1) @ w2 + b2
    weights, move, flat, tilt = jnp.split(out, (len(WINDOWS), len(WINDOWS) + 1, len(WINDOWS) + 1 + len(LEVELS)), axis=1)
    level = (jax.nn.softmax(3 * weights) * means).sum(axis=1, keepdims=True) + 0.02
    level = level * jnp.exp(0.3 * jnp.tanh(move))
    shape = flat[:, None] + 0.3 * STEPS[:, None] * tilt[:, None]
    centre = jnp.maximum(level + 0.3 * jnp.sqrt(level) * shape[..., MEDIAN], 0)
    gaps = jnp.sqrt(level + 0.1)[..., None] * jax.nn.softplus(2 * shape - 0.8)
    return fan(centre, gaps[..., :MEDIAN], gaps[..., MEDIAN + 1:])


def loss(params, x, means, truth):
    error = truth[..., None] - member(params, x, means)
    return (jnp.maximum(LEVELS * error, (LEVELS - 1) * error).mean(axis=(1, 2)) / jnp.sqrt(means[:, -1] + 0.3)).mean()


class Model:
    """The networks, trained on the weeks that are known."""

    def fit(self, weeks, epochs=3):
        known = weeks.shape[1]
        cut = range(SHORTEST, known - HORIZON + 1)
        x, means = (np.concatenate(part) for part in zip(*(features(weeks[:, :t]) for t in cut)))
        truth = np.concatenate([weeks[:, t:t + HORIZON] for t in cut])
        self.mean, self.deviation = x.mean(axis=0), x.std(axis=0) + 1e-6
        x = self.scale(x)
        self.members = []
        for seed in range(MEMBERS):
            keys = jax.random.split(jax.random.PRNGKey(seed))
            width = len(WINDOWS) + 1 + 2 * len(LEVELS)
            start = [(jax.random.normal(keys[0], (x.shape[1], HIDDEN)) / np.sqrt(x.shape[1]), jnp.zeros(HIDDEN)),
                     (0.05 * jax.random.normal(keys[1], (HIDDEN, width)), jnp.zeros(width))]
            self.members.append(train(loss, start, (x, means, truth), epochs=epochs, rate=5e-3, decay=1e-3, batch=256, seed=seed))
        return self

    def scale(self, x):
        return np.clip((x - self.mean) / self.deviation, -3, 3)

    def level(self, history):
        """The quantiles before they are rounded."""
        x, means = features(history)
        x = self.scale(x)
        return np.mean([member(params, x, means) for params in self.members], axis=0)

    def predict(self, history):
        return np.round(self.level(history))


def seasonal_naive(history):
    """The last SEASON weeks again; the deviation is that of such forecasts in the past."""
    last = history[:, -SEASON:][:, np.arange(HORIZON) % SEASON]
    deviation = np.sqrt(((history[:, SEASON:] - history[:, :-SEASON]) ** 2).mean(axis=1))
    return normal_fan(last, deviation[:, None] * np.sqrt(1 + np.arange(HORIZON) // SEASON))


def ets(history):
    """Exponential smoothing of each product, its kind chosen by AICc; the intervals are its own."""
    products, weeks = history.shape
    frame = pd.DataFrame({"unique_id": np.repeat(np.arange(products), weeks), "ds": np.tile(np.arange(weeks), products),
                          "y": history.ravel().astype(float)})
    out = StatsForecast([AutoETS(season_length=1)], freq=1).forecast(df=frame, h=HORIZON, level=[50, 80, 90])
    names = ["lo-90", "lo-80", "lo-50", "", "hi-50", "hi-80", "hi-90"]
    columns = [out[f"AutoETS-{name}".removesuffix("-")].to_numpy() for name in names]
    return np.maximum(np.stack(columns, axis=1).reshape(products, HORIZON, len(LEVELS)), 0)


def mean_of_8(history):
    """The quantiles of a Poisson distribution about the mean of the last 8 weeks."""
    return np.repeat(poisson.ppf(LEVELS, history[:, -8:].mean(axis=1)[:, None] + 0.05)[:, None], HORIZON, axis=1)


def export(model):
    """The ONNX graph of the model."""
    g = Graph()
    # The last PAST weeks, at the right end; what is not there counts for nothing.
    at = g("Add", g("Unsqueeze", "weeks", [1]), np.arange(-PAST, 0))
    there = g("Cast", g("GreaterOrEqual", at, 0), to=1)
    past = g("Mul", g("GatherElements", "units", g("Max", at, 0), axis=1), there)
    counts = [g("Max", g("ReduceSum", g.slice(there, PAST - w, PAST), [1]), 1.0) for w in WINDOWS]
    each = [g("Div", g("ReduceSum", g.slice(past, PAST - w, PAST), [1]), count) for w, count in zip(WINDOWS, counts)]
    means = g("Concat", *each, axis=1)
    scale = g("Add", each[-1], 0.3)
    off = g("Mul", g("Sub", past, each[-1]), there)
    spread = g("Sqrt", g("Div", g("ReduceSum", g("Mul", off, off), [1]), counts[-1]))
    zero = g("Mul", g("Cast", g("Equal", past, 0.0), to=1), there)
    zeros = [g("Div", g("ReduceSum", g.slice(zero, PAST - w, PAST), [1]), counts[WINDOWS.index(w)]) for w in (PAST, 8)]
    logarithm = g("Log", scale)
    x = g("Concat", logarithm,
          g("Div", g("Sub", g.slice(means, 0, len(WINDOWS) - 1), each[-1]), g("Sqrt", scale)),
          g("Sub", g("Log", g("Add", spread, 0.1)), g("Mul", logarithm, 0.5)), *zeros, axis=1)
    x = g("Clip", g("Div", g("Sub", x, model.mean[None]), model.deviation[None]), np.float32(-3), np.float32(3))

    fans = []
    for (w1, b1), (w2, b2) in model.members:
        out = g("Gemm", g("Tanh", g("Gemm", x, w1, b1)), w2, b2)
        k, n = len(WINDOWS), len(LEVELS)
        weights = g("Softmax", g("Mul", g.slice(out, 0, k), 3.0), axis=1)
        level = g("Add", g("ReduceSum", g("Mul", weights, means), [1]), 0.02)
        level = g("Mul", level, g("Exp", g("Mul", g("Tanh", g.slice(out, k, k + 1)), 0.3)))
        tilt = g("Mul", g("Unsqueeze", g.slice(out, k + 1 + n, k + 1 + 2 * n), [1]), 0.3 * STEPS[None, :, None])
        shape = g("Add", g("Unsqueeze", g.slice(out, k + 1, k + 1 + n), [1]), tilt)
        level = g("Unsqueeze", level, [2])
        middle = g("Mul", g.slice(shape, MEDIAN, MEDIAN + 1, 2), g("Mul", g("Sqrt", level), 0.3))
        centre = g("Relu", g("Add", level, middle))
        gaps = g("Mul", g("Softplus", g("Sub", g("Mul", shape, 2.0), 0.8)), g("Sqrt", g("Add", level, 0.1)))
        fans.append(g.fan(centre, g.slice(gaps, 0, MEDIAN, 2), g.slice(gaps, MEDIAN + 1, n, 2)))
    g("Round", g("Mean", *fans), name="quantiles")
    return g.model("demand", {"units": ("float", ["N", "W"]), "weeks": ("int64", ["N"])},
                   {"quantiles": ("float", ["N", HORIZON, len(LEVELS)])})


def run(session, histories):
    width = max(map(len, histories))
    units = np.zeros((len(histories), width), np.float32)
    for row, history in zip(units, histories):
        row[:len(history)] = history
    return session.run(["quantiles"], {"units": units, "weeks": np.array([len(h) for h in histories], np.int64)})[0]


def manifest(top, metrics):
    """The content of bundle.yaml."""
    return {
        "description": "Units of a product sold in each of the next 8 weeks, with quantiles, from the weeks before.",
        "license": "Apache-2.0",
        "graphs": {"model": {"file": "model.onnx", "execution": {"devices": ["cpu"], "threads": 1},
                             "inputs": {"units": {"batch_axis": 0, "sequence_axis": 1, "pad_value": 0}}}},
        "heads": {"demand": {"source": "model.quantiles", "forecast": {
            "unit": "units", "horizon": HORIZON, "quantiles": [round(float(level), 2) for level in LEVELS], "step": "604800s"}}},
        "row": {"features": [{
            "name": "history", "type": "FEATURE_TYPE_SEQUENCE", "required": True, "max_events": 52, "length_input": "weeks",
            "description": "weeks, oldest first, none left out",
            "fields": [{"name": "units", "type": "FEATURE_TYPE_FLOAT", "required": True, "min": 0.0, "max": top,
                        "description": "sold in the week"}]}]},
        "goldens": {"file": "goldens.jsonl", "tolerances": [
            {"precision": "PRECISION_FP32", "absolute": TOLERANCE, "relative": 0.0}]},
        "lineage": {"data": ["Sales Transactions Weekly, UCI Machine Learning Repository, CC BY 4.0"],
                    "code": "scripts/models/demand.py", "metrics": metrics},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds forecast/sales_weekly.csv")
    parser.add_argument("--out", type=Path, default=ROOT / "models/demand", help="the bundle's directory")
    args = parser.parse_args()
    weeks = read(args.data / "forecast/sales_weekly.csv")
    print(f"{len(weeks)} products × {weeks.shape[1]} weeks; forecasts of {HORIZON} weeks after {', '.join(map(str, ORIGINS))} weeks, "
          "each by what was trained on those alone")

    makers = {"demand": lambda past: Model().fit(past).predict(past), f"seasonal naive ({SEASON} weeks)": seasonal_naive, "ETS": ets,
              "mean of 8 weeks, Poisson": mean_of_8}
    truth = np.stack([weeks[:, origin:origin + HORIZON] for origin in ORIGINS], axis=1)
    quantiles = {name: np.stack([maker(weeks[:, :origin]) for origin in ORIGINS], axis=1) for name, maker in makers.items()}
    scores = {name: Score(q, truth) for name, q in quantiles.items()}
    print_table(scores)

    level = np.array([weeks[:, :origin].mean(axis=1) for origin in ORIGINS]).T
    slices = {"under 1 a week": level < 1, "1 to 5": (level >= 1) & (level < 5), "5 to 20": (level >= 5) & (level < 20), "20 and more": level >= 20}
    slices |= {f"after {origin} weeks": np.broadcast_to(np.arange(len(ORIGINS)) == k, level.shape) for k, origin in enumerate(ORIGINS)}
    print(f"\n{'slice':<20}{'forecasts':>10}" + "".join(f"{name:>30}" for name in makers) + "   (WAPE, pinball)")
    for name, rows in slices.items():
        parts = [Score(q[rows], truth[rows]) for q in quantiles.values()]
        print(f"{name:<20}{rows.sum():>10}" + "".join(f"{f'{s.wape:.3f}, {s.pinball:.3f}':>30}" for s in parts))
    print(f"{'':<20}{'':>10}   80 % interval holds by step: " + " ".join(
        f"{Score(quantiles['demand'][:, :, [t]], truth[:, :, [t]]).coverage:.3f}" for t in range(HORIZON)))
    names = list(makers)
    require_better(scores, *names[1:3])

    model = Model().fit(weeks)
    graph = export(model)
    session = onnxruntime.InferenceSession(graph)
    differences = [np.abs(run(session, list(weeks[:, :n])) - model.predict(weeks[:, :n])) for n in (4, 20, 26, 52)]
    changed = np.mean([d > 0 for d in differences])
    print(f"\nthe graph rounds {changed:.1e} of the numbers otherwise than the model, at most by {max(d.max() for d in differences):g}")
    if changed > 1e-4 or max(d.max() for d in differences) > 1:
        raise SystemExit("not exported: the graph does not compute the model")
    for history in GOLDENS:
        exact = model.level(np.array([history], np.float32))
        if np.abs(exact % 1 - 0.5).min() < TOLERANCE:
            raise SystemExit("not exported: a golden lies so near a half that another machine may round it otherwise")
    metrics = {"wape": scores["demand"].wape, "wape_seasonal_naive": scores[names[1]].wape, "wape_ets": scores["ETS"].wape,
               "pinball": scores["demand"].pinball, "pinball_seasonal_naive": scores[names[1]].pinball, "pinball_ets": scores["ETS"].pinball}
    content = manifest(float(weeks.max()), {name: round(float(value), 4) for name, value in metrics.items()})

    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "model.onnx").write_bytes(graph)
    lines = [golden({"history": [{"units": n} for n in history]}, "model.quantiles", run(session, [history[-52:]])) for history in GOLDENS]
    (args.out / "goldens.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    write(args.out / "bundle.yaml", content, "scripts/models/demand.py")
    print(f"wrote {args.out}: {len(graph)} bytes of graph")


if __name__ == "__main__":
    main()
