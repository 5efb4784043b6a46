"""Trains and exports models/ltv: what a customer will spend in the next 39 weeks, from four numbers of the orders so far.

    python scripts/models/ltv.py --data DIR [--out models/ltv]

DIR holds tabular/CDNOW_master.txt: the orders of 23,570 customers of a music shop, all new in the first quarter of 1997,
until June 1998. Split as in the literature: 39 weeks of calibration, 39 weeks of holdout (Fader, Hardie and Lee, 2005).

The model is a small network whose answer is a distribution: zero, or else log-normal, fitted by its likelihood (Wang, Liu and
Miao, 2019). Four networks are trained and averaged, which is one network again. It is trained at three moments, after 13, 26 and
39 weeks, each with the 39 weeks that follow, so that it knows customers of one week as well as of nine months. It is measured
after 39 weeks, on customers whom it was not trained on, beside BG/NBD with Gamma-Gamma of the package lifetimes. The graph:

    one input per feature  [N, 1], int64 or float32; clipped to the range of training
    ltv                    float32 [N, 3]: log-odds of any order, mean of the logarithm, its deviation before softplus
"""

import argparse
import json
import os
import warnings
from pathlib import Path

# Sums in one thread: they have the same order, and so the same bits, every time.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import optax
from lifetimes import BetaGeoFitter, GammaGammaFitter
from onnx import TensorProto, helper, numpy_helper
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold

import background
from manifest import outward, write

ROOT = Path(__file__).resolve().parents[2]
HORIZON = 39  # weeks
NOW = 39  # weeks of calibration
LANDMARKS = (13, 26, NOW)  # weeks after which the model is trained
FOLDS = 5
MEMBERS, HIDDEN = 4, 8
STEPS, BATCH, RATE, DECAY = 800, 8192, 0.01, 1e-3
LEVEL = 0.8
DRAWS = 500  # of the bootstrap

# name, integer, code, en, ru, actionable, description
FEATURES = (
    ("orders", True, "FREQUENCY", "Number of orders", "Число заказов", False, "days with an order so far, the first included"),
    ("weeks_since_first", False, "AGE", "Time as a customer", "Давность первого заказа", False, "weeks since the first order"),
    ("weeks_since_last", False, "RECENCY", "Time since the last order", "Давность последнего заказа", True, "weeks since the last order"),
    ("total_spent", False, "SPENT", "Spent so far", "Сумма заказов", False, "US dollars"),
)
NAMES = [feature[0] for feature in FEATURES]
BANDS = (("low", 0.0), ("medium", 10.0), ("high", 40.0), ("top", 150.0))
TOLERANCE = 1e-5

# Rows written for this project; none is a customer of the data. The last is beyond what training saw.
GOLDENS = (
    dict(orders=1, weeks_since_first=33, weeks_since_last=33, total_spent=15.0),
    dict(orders=1, weeks_since_first=2, weeks_since_last=2, total_spent=40.0),
    dict(orders=3, weeks_since_first=30.5, weeks_since_last=4.5, total_spent=110.0),
    dict(orders=12, weeks_since_first=36, weeks_since_last=1, total_spent=620.0),
    dict(orders=8, weeks_since_first=38, weeks_since_last=25, total_spent=400.0),
    dict(orders=90, weeks_since_first=200, weeks_since_last=0, total_spent=20000.0),
)


def read(path):
    """The orders, one for each customer and day: customer, day since 1997-01-01, dollars; in order."""
    fields = np.array([line.split() for line in path.read_text().splitlines()[1:] if line.strip()])
    date = np.char.add(np.char.add(fields[:, 1].astype("U4"), "-"), [text[4:6] + "-" + text[6:] for text in fields[:, 1]])
    day = (date.astype("datetime64[D]") - np.datetime64("1997-01-01")).astype(int)
    customer = np.unique(fields[:, 0], return_inverse=True)[1]
    keys, place = np.unique(customer * 10_000 + day, return_inverse=True)
    return keys // 10_000, keys % 10_000, np.bincount(place, fields[:, 3].astype(float))


def features(orders, weeks):
    """What is known of each customer after so many weeks, and what the baseline needs besides: the first order's dollars."""
    customer, day, dollars = orders
    size, end = customer.max() + 1, weeks * 7 - 1  # the last day that is known
    known = day <= end
    customer, day, dollars = customer[known], day[known], dollars[known]
    first, last = np.full(size, end), np.zeros(size, int)
    np.minimum.at(first, customer, day)
    np.maximum.at(last, customer, day)
    opening = np.zeros(size)
    starts = np.unique(customer, return_index=True)[1]
    opening[customer[starts]] = dollars[starts]
    return {"orders": np.bincount(customer, minlength=size), "weeks_since_first": (end - first) / 7,
            "weeks_since_last": (end - last) / 7, "total_spent": np.bincount(customer, dollars, size)}, opening


def spent(orders, start, weeks):
    """The dollars of each customer in the weeks after `start`."""
    customer, day, dollars = orders
    within = (day >= start * 7) & (day < (start + weeks) * 7)
    return np.bincount(customer[within], dollars[within], customer.max() + 1)


def matrix(columns):
    return np.log1p(np.column_stack([columns[name] for name in NAMES]))


class Network:
    """The model, over log(1 + feature)."""

    def fit(self, x, y):
        ends = [outward(low, high) for low, high in zip(np.expm1(x.min(0)), np.expm1(x.max(0)))]
        self.low, self.high = np.log1p(ends).T
        self.mean, self.deviation = x.mean(0), x.std(0)
        members = _train(jnp.asarray((x - self.mean) / self.deviation, jnp.float32), jnp.asarray(y, jnp.float32))
        w1, b1, w2, b2 = (np.asarray(part, float) for part in members)
        # The members' mean is one network, their hidden layers side by side.
        self.w1, self.b1 = np.hstack(list(w1)), b1.ravel()
        self.w2, self.b2 = np.vstack(list(w2)) / MEMBERS, b2.mean(0)
        return self

    def outputs(self, x):
        x = (np.clip(x, self.low, self.high) - self.mean) / self.deviation
        return np.tanh(x @ self.w1 + self.b1) @ self.w2 + self.b2


def _likelihood(weights, x, y):
    """The mean negative log-likelihood of zero-inflated log-normal numbers."""
    w1, b1, w2, b2 = weights
    out = jnp.tanh(x @ w1 + b1) @ w2 + b2
    positive = y > 0
    any_order = optax.sigmoid_binary_cross_entropy(out[:, 0], positive.astype(jnp.float32))
    sigma = jax.nn.softplus(out[:, 2])
    away = (jnp.log(jnp.where(positive, y, 1.0)) - out[:, 1]) / sigma
    return jnp.mean(any_order + jnp.where(positive, away**2 / 2 + jnp.log(sigma), 0.0))


@jax.jit
def _train(x, y):
    optimizer = optax.adamw(optax.cosine_decay_schedule(RATE, STEPS), weight_decay=DECAY)

    def member(key):
        kernel, head, batches = jax.random.split(key, 3)
        width = x.shape[1]
        weights = (jax.random.normal(kernel, (width, HIDDEN)) / np.sqrt(width), jnp.zeros(HIDDEN),
                   jax.random.normal(head, (HIDDEN, 3)) / 10, jnp.array([-1.0, 4.0, 0.5]))

        def step(state, key):
            weights, moments = state
            rows = jax.random.randint(key, (BATCH,), 0, len(x))
            updates, moments = optimizer.update(jax.grad(_likelihood)(weights, x[rows], y[rows]), moments, weights)
            return (optax.apply_updates(weights, updates), moments), None

        return jax.lax.scan(step, (weights, optimizer.init(weights)), jax.random.split(batches, STEPS))[0][0]

    return jax.lax.map(member, jax.random.split(jax.random.key(0), MEMBERS))


def distribution(outputs):
    """The probability of any order, and mean and deviation of the logarithm."""
    return 1 / (1 + np.exp(-outputs[:, 0])), outputs[:, 1], np.logaddexp(0, outputs[:, 2])


def expected(outputs):
    p, mu, sigma = distribution(outputs)
    return p * np.exp(mu + sigma**2 / 2)


def quantile(outputs, share):
    p, mu, sigma = distribution(outputs)
    above = np.clip((share - (1 - p)) / p, 0, 1)
    return np.where(above > 0, np.exp(mu + sigma * norm.ppf(np.where(above > 0, above, 0.5))), 0.0)


class Btyd:
    """BG/NBD for the orders to come, Gamma-Gamma for what each is worth. As the package's own guide does it, an order's worth is
    learnt from the repeat orders; with `first`, from all orders, which is the stronger here."""

    def __init__(self, first):
        self.first = first

    def fit(self, columns, opening):
        self.orders = BetaGeoFitter().fit(*self._frequency(columns))
        count, worth = self._money(columns, opening)
        known = (count > 0) & (worth > 0)
        self.worth = GammaGammaFitter().fit(count[known], worth[known])
        return self

    @staticmethod
    def _frequency(columns):
        age = columns["weeks_since_first"]
        return columns["orders"] - 1, age - columns["weeks_since_last"], age

    def _money(self, columns, opening):
        count, total = columns["orders"], columns["total_spent"]
        if not self.first:
            count, total = count - 1, total - opening
        return count, total / np.maximum(count, 1)

    def predict(self, columns, opening):
        orders = self.orders.conditional_expected_number_of_purchases_up_to_time(HORIZON, *self._frequency(columns))
        return np.asarray(orders) * np.asarray(self.worth.conditional_expected_average_profit(*self._money(columns, opening)))


def take(columns, index):
    return {name: values[index] for name, values in columns.items()}


def gini(truth, predictions, weights=None):
    """The normalised Gini: how well predictions rank customers by what they spend. 1 = as the truth does, 0 = by chance."""
    weights = np.ones(len(truth)) if weights is None else weights

    def area(order):
        share, money = weights[order], (weights * truth)[order]
        before = np.cumsum(money) - money / 2  # half of a customer's own, so that equal scores make no difference to the sum
        return (before * share).sum() / money.sum() / share.sum() - 0.5

    return area(np.argsort(-predictions, kind="stable")) / area(np.argsort(-truth, kind="stable"))


def measure(truth, predictions, weights=None):
    """Gini, predicted total over the actual, mean absolute and root mean squared error."""
    error = predictions - truth
    return np.array([gini(truth, predictions, weights), np.average(predictions, weights=weights) / np.average(truth, weights=weights),
                     np.average(np.abs(error), weights=weights), np.sqrt(np.average(error**2, weights=weights))])


def bootstrap(truth, models):
    """Draws of `measure` for every model, over the same resamples of customers: [models, DRAWS, 4]."""
    rng = np.random.default_rng(0)
    counts = (rng.multinomial(len(truth), np.full(len(truth), 1 / len(truth))).astype(float) for _ in range(DRAWS))
    return np.stack([[measure(truth, predictions, weights) for predictions in models] for weights in counts], axis=1)


def interval(draws):
    return np.quantile(draws, [0.025, 0.975], axis=0)


def cross_validate(orders):
    """The out-of-fold outputs of the network at each landmark, and what the two baselines expect, by folds of customers."""
    known = {weeks: features(orders, weeks) for weeks in LANDMARKS}
    target = {weeks: spent(orders, weeks, HORIZON) for weeks in LANDMARKS}
    size = len(target[NOW])
    outputs = {weeks: np.empty((size, 3)) for weeks in LANDMARKS}
    baselines = {(weeks, first): np.empty(size) for weeks in LANDMARKS for first in (False, True)}
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(np.arange(size)):
        x = np.vstack([matrix(take(known[weeks][0], train)) for weeks in LANDMARKS])
        model = Network().fit(x, np.concatenate([target[weeks][train] for weeks in LANDMARKS]))
        for weeks in LANDMARKS:
            columns, opening = known[weeks]
            outputs[weeks][test] = model.outputs(matrix(take(columns, test)))
            for first in (False, True):
                fitted = Btyd(first).fit(take(columns, train), opening[train])
                baselines[weeks, first][test] = fitted.predict(take(columns, test), opening[test])
    return known, target, outputs, baselines


def by_time(orders, known):
    """What a network expects that has seen nothing after week 39: trained after 13, 16 and 19 weeks with the 20 weeks that
    follow, whose answer is scaled to 39."""
    short = 20
    moments = (13, 16, NOW - short)
    x = np.vstack([matrix(features(orders, weeks)[0]) for weeks in moments])
    model = Network().fit(x, np.concatenate([spent(orders, weeks, short) for weeks in moments]))
    return expected(model.outputs(matrix(known[NOW][0]))) * HORIZON / short


def export(model):
    """The ONNX model. The same weights give the same bytes."""
    nodes, constants = [], []

    def node(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(name, value):
        constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    columns = [node("Cast", [name], f"{name}.float", to=TensorProto.FLOAT) if whole else name for name, whole, *_ in FEATURES]
    # Nobody's last order is before the first.
    columns[2] = node("Min", [columns[2], columns[1]], "weeks_since_last.possible")
    x = node("Concat", columns, "features", axis=1)
    x = node("Max", [x, constant("min", np.expm1(model.low)[None])], "from_min")
    x = node("Min", [x, constant("max", np.expm1(model.high)[None])], "clipped")
    x = node("Log", [node("Add", [x, constant("one", 1)], "plus_one")], "logarithms")
    x = node("Mul", [node("Sub", [x, constant("mean", model.mean[None])], "centred"), constant("scale", 1 / model.deviation[None])], "scaled")
    x = node("Tanh", [node("Gemm", [x, constant("w1", model.w1), constant("b1", model.b1)], "hidden.sum")], "hidden")
    node("Gemm", [x, constant("w2", model.w2), constant("b2", model.b2)], "ltv")

    result = helper.make_model(
        helper.make_graph(
            nodes, "ltv",
            [helper.make_tensor_value_info(name, TensorProto.INT64 if whole else TensorProto.FLOAT, ["N", 1])
             for name, whole, *_ in FEATURES],
            [helper.make_tensor_value_info("ltv", TensorProto.FLOAT, ["N", 3])], constants),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="scry")
    onnx.checker.check_model(result)
    return result.SerializeToString(deterministic=True)


def feeds(columns):
    return {name: np.asarray(columns[name], np.int64 if whole else np.float32).reshape(-1, 1) for name, whole, *_ in FEATURES}


def goldens(session):
    """One golden a line: the row and what the graph gives, in protobuf JSON."""
    lines = []
    for row in GOLDENS:
        output, = session.run(["ltv"], feeds({name: [value] for name, value in row.items()}))
        lines.append(json.dumps({"features": row, "outputs": {
            "model.ltv": {"values": [float(f"{value:.9g}") for value in output.ravel()]}}}))
    return "\n".join(lines) + "\n"


def from_chain(made):
    """Features of made-up columns: a customer of one order has not ordered since, and nobody has later than today."""
    age = made["weeks_since_first"]
    return {"orders": made["orders"], "weeks_since_first": age,
            "weeks_since_last": np.where(made["orders"] == 1, age, np.round(made["idle"] * age, 2)),
            "total_spent": np.round(made["orders"] * made["average"], 2)}


def typical(model, columns):
    """Made-up rows, drawn as age, orders, the share of the age since the last order, and an order's worth."""
    age = np.round(columns["weeks_since_first"], 2)
    idle = np.divide(columns["weeks_since_last"], age, out=np.ones(len(age)), where=age > 0)
    chain = {"weeks_since_first": age, "orders": columns["orders"].astype(float), "idle": np.round(idle, 4),
             "average": np.round(columns["total_spent"] / columns["orders"], 2)}
    made = background.make_up(chain, lambda made: expected(model.outputs(matrix(from_chain(made)))))
    return from_chain(made)


def manifest(columns, quantiles, metrics):
    """The content of bundle.yaml."""
    entries = [{"name": name, "type": f"FEATURE_TYPE_{'INT' if whole else 'FLOAT'}", "required": True,
                **dict(zip(("min", "max"), outward(columns[name].min(), columns[name].max()))), "description": description}
               for name, whole, *_, description in FEATURES]
    return {
        "description": "What a customer will spend in the next 39 weeks, from the orders so far.",
        "license": "Apache-2.0",
        "graphs": {"model": {"file": "model.onnx", "execution": {"devices": ["cpu"], "threads": 1}}},
        "heads": {"ltv": {
            "source": "model.ltv",
            "value": {
                "unit": "USD",
                "log_normal": {"probability_column": 0, "probability_activation": "ACTIVATION_SIGMOID", "mu_column": 1,
                               "sigma_column": 2, "softplus_sigma": True, "level": LEVEL},
                "quantiles": quantiles,
                "bands": [{"name": name, "min_value": minimum} for name, minimum in BANDS],
                "reasons": {"codes": [{"feature": name, "code": code, "text": {"en": en, "ru": ru}, "actionable": actionable}
                                      for name, _, code, en, ru, actionable, _ in FEATURES]},
            },
        }},
        "row": {"features": entries, "background": "background.jsonl"},
        "goldens": {"file": "goldens.jsonl", "tolerances": [
            {"precision": "PRECISION_FP32", "absolute": TOLERANCE, "relative": TOLERANCE}]},
        "lineage": {"data": ["CDNOW master data (Fader and Hardie), as in the package Lifetimes 0.11.3, MIT"],
                    "code": "scripts/models/ltv.py", "metrics": metrics},
    }


def deciles(truth, predictions, count=10):
    """Customers in ten equal groups by what is expected of them, the best first: pairs of mean expected and mean spent."""
    return [(predictions[rows].mean(), truth[rows].mean())
            for rows in np.array_split(np.argsort(-predictions, kind="stable"), count)]


def chart(rows):
    """The deciles as bars: expected beside spent."""
    top = max(max(row) for row in rows)
    bars = []
    for place, pair in enumerate(rows):
        for side, (value, name) in enumerate(zip(pair, ("expected", "spent"))):
            height = 200 * value / top
            bars.append(f'<rect class="{name}" x="{45 + place * 52 + side * 20}" y="{230 - height:.1f}" width="18" height="{height:.1f}"/>')
        bars.append(f'<text x="{64 + place * 52}" y="246" text-anchor="middle">{place + 1}</text>')
        bars.append(f'<text x="{64 + place * 52}" y="{222 - 200 * max(pair) / top:.1f}" text-anchor="middle">{pair[1]:.0f}</text>')
    return "\n".join([
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 580 275" font-family="sans-serif" font-size="12">',
        "<title>Dollars a customer in 39 weeks by decile of the expected value: expected and spent</title>",
        "<style>text{fill:#222}.back{fill:#fff}.expected{fill:#8ab4dd}.spent{fill:#1668b0}path{stroke:#888}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}.back{fill:#161616}.expected{fill:#35597b}.spent{fill:#6db3f2}}</style>",
        '<rect class="back" width="100%" height="100%"/>',
        '<rect class="expected" x="360" y="10" width="12" height="12"/><text x="377" y="20">expected</text>',
        '<rect class="spent" x="450" y="10" width="12" height="12"/><text x="467" y="20">spent</text>',
        *bars, '<path d="M35 230.5h530"/>',
        '<text x="300" y="266" text-anchor="middle">decile of the expected value; US dollars a customer</text>', "</svg>"]) + "\n"


def print_slices(columns, truth, outputs, baseline):
    p, value = distribution(outputs)[0], expected(outputs)
    low, high = (quantile(outputs, share) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    orders, idle = columns["orders"], columns["weeks_since_last"]
    groups = {"all": np.ones(len(truth), bool), "1 order": orders == 1, "2-3 orders": (orders > 1) & (orders < 4),
              "4 orders or more": orders >= 4, "last order within 13 weeks": idle <= 13, "last order before": idle > 13}
    print(f"\n{'slice':<30}{'rows':>7}{'any':>8}{'expected':>10}{'spent':>8}{'expected':>10}{'BG/NBD':>8}{'Gini':>8}{'BG/NBD':>8}{'covered':>9}")
    for name, rows in groups.items():
        within = (truth >= low) & (truth <= high)
        print(f"{name:<30}{rows.sum():>7}{(truth[rows] > 0).mean():>8.3f}{p[rows].mean():>10.3f}{truth[rows].mean():>8.1f}{value[rows].mean():>10.1f}"
              f"{baseline[rows].mean():>8.1f}{gini(truth[rows], value[rows]):>8.3f}{gini(truth[rows], baseline[rows]):>8.3f}{within[rows].mean():>9.3f}")
    print(f"\n{'band':<30}{'share':>7}{'of money':>10}{'expected':>10}{'spent':>8}")
    limits = [minimum for _, minimum in BANDS] + [np.inf]
    for (name, least), most in zip(BANDS, limits[1:]):
        rows = (value >= least) & (value < most)
        print(f"{name:<30}{rows.mean():>7.3f}{truth[rows].sum() / truth.sum():>10.3f}{value[rows].mean():>10.1f}{truth[rows].mean():>8.1f}")


def print_interval(truth, outputs):
    """How often the truth lies where the distribution says."""
    p, mu, sigma = distribution(outputs)
    low, high = (quantile(outputs, share) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    within = (truth >= low) & (truth <= high)
    # Zeros are many: where the truth is zero, its place in the distribution is drawn from the share of zeros.
    place = np.where(truth > 0, 1 - p + p * norm.cdf((np.log(np.maximum(truth, 1e-9)) - mu) / sigma),
                     np.random.default_rng(0).random(len(truth)) * (1 - p))
    middle = np.abs(place - 0.5) <= LEVEL / 2
    buyers = truth > 0
    inner = np.abs(norm.cdf((np.log(truth[buyers]) - mu[buyers]) / sigma[buyers]) - 0.5) <= LEVEL / 2
    print(f"\nthe {LEVEL:.0%} interval holds {within.mean():.3f} of the outcomes, {(truth > high).mean():.3f} lie above; with zeros spread "
          f"over their share {middle.mean():.3f}; of those who spent, the log-normal part's holds {inner.mean():.3f}")
    print(f"probability of any order: AUC {roc_auc_score(buyers, p):.4f}, mean {p.mean():.4f} against {buyers.mean():.4f}")
    return float(within.mean()), float(middle.mean())


def main():
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # lifetimes' fits try impossible parameters on their way
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds tabular/CDNOW_master.txt")
    parser.add_argument("--out", type=Path, default=ROOT / "models/ltv", help="the bundle's directory")
    args = parser.parse_args()
    orders = read(args.data / "tabular/CDNOW_master.txt")
    known, target, outputs, baselines = cross_validate(orders)
    truth, columns = target[NOW], known[NOW][0]
    print(f"{len(truth)} customers, {(truth > 0).mean():.1%} spent {truth.sum():.0f} dollars in the holdout; {FOLDS} folds of customers")

    models = {"this one": expected(outputs[NOW]), "BG/NBD + Gamma-Gamma": baselines[NOW, False],
              "the same, first orders too": baselines[NOW, True], "this one, nothing after week 39": by_time(orders, known)}
    draws = bootstrap(truth, list(models.values()))
    results = {name: measure(truth, predictions) for name, predictions in models.items()}
    print(f"\n{'model':<34}{'Gini':>8}{'95 %':>16}{'total':>8}{'95 %':>14}{'MAE':>8}{'RMSE':>8}")
    for (name, (area, total, mae, rmse)), drawn in zip(results.items(), draws):
        low, high = interval(drawn)
        print(f"{name:<34}{area:>8.4f}{f'{low[0]:.3f}-{high[0]:.3f}':>16}{total:>8.3f}{f'{low[1]:.3f}-{high[1]:.3f}':>14}{mae:>8.2f}{rmse:>8.1f}")
    for name, other in (("BG/NBD + Gamma-Gamma", 1), ("the same, first orders too", 2)):
        low, high = interval(draws[0, :, 0] - draws[other, :, 0])
        print(f"Gini over that of {name}: {results['this one'][0] - results[name][0]:+.4f}, 95 % {low:+.4f} to {high:+.4f}")
    level = models["the same, first orders too"] / results["the same, first orders too"][1]
    print(f"with its total put right, the latter's MAE is {np.abs(level - truth).mean():.2f}, its RMSE {np.sqrt(((level - truth)**2).mean()):.1f}")
    for weeks in LANDMARKS:
        print(f"after {weeks} weeks: Gini {gini(target[weeks], expected(outputs[weeks])):.4f}, BG/NBD + Gamma-Gamma "
              f"{gini(target[weeks], baselines[weeks, False]):.4f}, first orders too {gini(target[weeks], baselines[weeks, True]):.4f}; total "
              f"{expected(outputs[weeks]).sum() / target[weeks].sum():.3f}, {baselines[weeks, False].sum() / target[weeks].sum():.3f}")
    covered, spread = print_interval(truth, outputs[NOW])
    groups = {name: deciles(truth, models[name]) for name in ("this one", "the same, first orders too")}
    print(f"\n{'decile':<8}{'expected':>10}{'spent':>8}{'BG/NBD expected':>18}{'spent':>8}")
    for place, (ours, theirs) in enumerate(zip(*groups.values())):
        print(f"{place + 1:<8}{ours[0]:>10.1f}{ours[1]:>8.1f}{theirs[0]:>18.1f}{theirs[1]:>8.1f}")
    print_slices(columns, truth, outputs[NOW], baselines[NOW, True])
    best = max(results["BG/NBD + Gamma-Gamma"][0], results["the same, first orders too"][0])
    if results["this one"][0] < best - 0.01:
        raise SystemExit(f"not exported: Gini {results['this one'][0]:.4f} against {best:.4f}")

    trained = {name: np.concatenate([known[weeks][0][name] for weeks in LANDMARKS]) for name in NAMES}
    model = Network().fit(matrix(trained), np.concatenate([target[weeks] for weeks in LANDMARKS]))
    graph = export(model)
    session = onnxruntime.InferenceSession(graph)
    answers = session.run(["ltv"], feeds(trained))[0]
    difference = np.abs(answers - model.outputs(matrix(trained))).max()
    print(f"\nthe graph's outputs are within {difference:.1e} of the model's on every row")
    if difference > TOLERANCE:
        raise SystemExit("not exported: the graph does not compute the model")
    quantiles = [float(f"{value:.6g}") for value in np.quantile(expected(model.outputs(matrix(columns))), np.linspace(0, 1, 101))]
    metrics = {"gini": results["this one"][0], "gini_bg_nbd": results["BG/NBD + Gamma-Gamma"][0],
               "gini_bg_nbd_first_orders": results["the same, first orders too"][0], "total_ratio": results["this one"][1],
               "mae": results["this one"][2], "interval_coverage": covered, "interval_coverage_zeros_spread": spread}

    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "model.onnx").write_bytes(graph)
    (args.out / "goldens.jsonl").write_text(goldens(session), encoding="utf-8")
    (args.out / "deciles.svg").write_text(chart(groups["this one"]), encoding="utf-8")
    background.write(args.out / "background.jsonl", typical(model, columns), lambda row: row | {"orders": int(row["orders"])})
    write(args.out / "bundle.yaml", manifest(trained, quantiles, {name: round(float(value), 4) for name, value in metrics.items()}),
          "scripts/models/ltv.py")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
