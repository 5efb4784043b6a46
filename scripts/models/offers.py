"""Trains and exports models/offers: what an offer, or messages, would change for a customer.

    python scripts/models/offers.py [--out models/offers]

The customers, the experiment and the truth are simulated (simulator.py): there is no licensed data here that says what
would have become of a customer under another treatment. One network of two hidden layers reads the features and gives
the probability of the outcome under every treatment; of each customer of the experiment only the treatment that was
given counts in training (Shalit, Johansson and Sontag, "Estimating individual treatment effect", 2017, without its
balancing term: the treatments were drawn at random).

    one input per feature  [N, 1]: string, int64 or float32 by the feature's type
    staying                float32 [N, 4]: probability of staying under none, call, discount_10, discount_20
    ordering               float32 [N, 4]: probability of an order under 0, 1, 2, 4 messages a week
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import simulator
from manifest import write

ROOT = Path(__file__).resolve().parents[2]
TRAINED, TESTED, SEED = 60_000, 30_000, 0
HIDDEN, EPOCHS, BATCH, RATE, DECAY = (32, 16), 40, 512, 3e-3, 1e-4
TOLERANCE = 1e-5
NUMBERS = [name for name in simulator.FEATURES if name != "contract"]
FLOATS = ("monthly_charge", "discount_share", "opened_share")
ARMS = {"staying": list(simulator.OFFERS), "ordering": list(simulator.MESSAGES)}
COSTS = {**simulator.OFFERS, **simulator.MESSAGES}
WORTH = {"staying": simulator.KEPT, "ordering": simulator.ORDER}
TEXTS = {
    "tenure": "months since joining", "contract": "monthly or yearly", "monthly_charge": "EUR", "complaints": "in the last 90 days",
    "days_since_order": "at most 180", "discount_share": "share of purchases made at a discount",
    "opened_share": "share of messages that were opened", "messages_30d": "messages sent in the last 30 days",
}
TITLES = {
    "call": ("A call by an adviser", "Звонок консультанта"),
    "discount_10": ("10 % off for three months", "Скидка 10 % на три месяца"),
    "discount_20": ("20 % off for three months", "Скидка 20 % на три месяца"),
    "messages_1": ("One message a week", "Одно сообщение в неделю"),
    "messages_2": ("Two messages a week", "Два сообщения в неделю"),
    "messages_4": ("Four messages a week", "Четыре сообщения в неделю"),
}
# A discount is not for newcomers, who joined at a low price; messages are for those who open some.
ELIGIBLE = {
    "discount_10": 'tenure >= 3', "discount_20": 'tenure >= 6 AND contract = "monthly"', "messages_4": "opened_share >= 0.1 AND messages_30d <= 8",
}
GOLDENS = (
    dict(tenure=2, contract="monthly", monthly_charge=89.9, complaints=2, days_since_order=10, discount_share=0.1, opened_share=0.2, messages_30d=3),
    dict(tenure=14, contract="monthly", monthly_charge=95.0, complaints=0, days_since_order=40, discount_share=0.7, opened_share=0.35, messages_30d=4),
    dict(tenure=48, contract="yearly", monthly_charge=35.5, complaints=0, days_since_order=5, discount_share=0.05, opened_share=0.6, messages_30d=2),
    dict(tenure=60, contract="yearly", monthly_charge=70.0, complaints=4, days_since_order=120, discount_share=0.3, opened_share=0.05, messages_30d=11),
    dict(tenure=20),
    dict(tenure=90, contract="weekly", monthly_charge=None, complaints=9, days_since_order=400, discount_share=0.9, opened_share=1.0, messages_30d=40),
)


class Network:
    """Two hidden layers under all arms of both outcomes."""

    def matrix(self, columns):
        numbers = np.column_stack([columns[name].astype(float) for name in NUMBERS])
        scaled = np.clip((numbers - self.mean) / self.scale, -4, 4)
        return np.column_stack([scaled, columns["contract"] == "yearly"])

    def fit(self, columns, given, happened, rng):
        numbers = np.column_stack([columns[name].astype(float) for name in NUMBERS])
        self.mean, self.scale, self.median = numbers.mean(0), numbers.std(0), np.median(numbers, 0)
        self.ranges = {name: (float(columns[name].min()), float(columns[name].max())) for name in NUMBERS}
        x = self.matrix(columns)
        width = [x.shape[1], *HIDDEN, sum(map(len, ARMS.values()))]
        weights = [rng.normal(0, np.sqrt(2 / a), (a, b)) for a, b in zip(width, width[1:])]
        weights[-1] *= 0.1
        biases = [np.zeros(b) for b in width[1:]]
        params = weights + biases
        first, second = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
        steps = EPOCHS * (len(x) // BATCH)
        step = 0
        for _ in range(EPOCHS):
            order = rng.permutation(len(x))
            for start in range(0, len(x) - BATCH + 1, BATCH):
                rows = order[start:start + BATCH]
                layers = [x[rows]]
                for w, b in zip(weights[:-1], biases[:-1]):
                    layers.append(np.maximum(layers[-1] @ w + b, 0))
                p = simulator.sigmoid(layers[-1] @ weights[-1] + biases[-1])
                back = np.zeros_like(p)  # the gradient of the log-loss, of the arms that were given alone
                at = 0
                for name, arms in ARMS.items():
                    k = at + given[name][rows]
                    back[np.arange(BATCH), k] = (p[np.arange(BATCH), k] - happened[name][rows]) / BATCH
                    at += len(arms)
                gradients = [None] * len(params)
                for i in reversed(range(len(weights))):
                    gradients[i] = layers[i].T @ back + DECAY * weights[i]
                    gradients[len(weights) + i] = back.sum(0)
                    if i > 0:
                        back = (back @ weights[i].T) * (layers[i] > 0)
                step += 1
                rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
                for i, (p_, g) in enumerate(zip(params, gradients)):  # Adam (Kingma and Ba, 2015)
                    first[i] = 0.9 * first[i] + 0.1 * g
                    second[i] = 0.999 * second[i] + 0.001 * g * g
                    p_ -= rate * (first[i] / (1 - 0.9**step)) / (np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8)
        self.weights, self.biases = weights, biases
        return self


def export(model):
    """The ONNX model."""
    nodes, constants = [], []

    def node(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(name, value):
        constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    parts = []
    for i, name in enumerate(NUMBERS):
        x = name if name in FLOATS else node("Cast", [name], f"{name}.float", to=TensorProto.FLOAT)
        if name in FLOATS:
            missing = node("IsNaN", [name], f"{name}.missing")
            x = node("Where", [missing, constant(f"{name}.median", model.median[i]), x], f"{name}.imputed")
        parts.append(x)
    x = node("Concat", parts, "numbers", axis=1)
    x = node("Div", [node("Sub", [x, constant("mean", model.mean)], "centred"), constant("scale", model.scale)], "scaled")
    x = node("Clip", [x, constant("low", -4), constant("high", 4)], "clipped")
    yearly = node("LabelEncoder", ["contract"], "yearly", domain="ai.onnx.ml", keys_strings=["yearly"], values_floats=[1.0], default_float=0.0)
    x = node("Concat", [x, yearly], "layer0", axis=1)
    for i, (w, b) in enumerate(zip(model.weights, model.biases)):
        x = node("Gemm", [x, constant(f"w{i}", w), constant(f"b{i}", b)], f"sum{i}")
        x = node("Relu", [x], f"layer{i + 1}") if i < len(model.weights) - 1 else node("Sigmoid", [x], "outcomes")
    widths = [len(arms) for arms in ARMS.values()]
    constants.append(numpy_helper.from_array(np.array(widths, np.int64), "widths"))
    nodes.append(helper.make_node("Split", [x, "widths"], list(ARMS), name="split", axis=1))
    types = {"contract": TensorProto.STRING}
    graph = helper.make_graph(
        nodes, "offers",
        [helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT if name in FLOATS else TensorProto.INT64), ["N", 1])
         for name in simulator.FEATURES],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", len(arms)]) for name, arms in ARMS.items()], constants)
    onnx_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=8)
    onnx.checker.check_model(onnx_model)
    return onnx_model.SerializeToString()


def defaults(model):
    """What stands for a missing whole number: the median. Fractions are imputed by the graph."""
    return {name: int(model.median[i]) for i, name in enumerate(NUMBERS) if name not in FLOATS}


def feeds(columns):
    types = {name: np.float32 if name in FLOATS else np.int64 for name in NUMBERS}
    return {name: np.asarray(values, object if name == "contract" else types[name])[:, None] for name, values in columns.items()}


def qini(effect, treated, happened):
    """The area between the Qini curve and the line of random order (Radcliffe, 2007), in outcomes per 1,000 customers."""
    order = np.argsort(-effect, kind="stable")
    t, y = treated[order], happened[order].astype(float)
    n_t, n_c = np.cumsum(t), np.cumsum(~t)
    gain = np.cumsum(y * t) - np.cumsum(y * ~t) * n_t / np.maximum(n_c, 1)
    line = gain[-1] * np.arange(1, len(t) + 1) / len(t)
    return 1000 * float(np.mean(gain - line)) / t.sum()


def profits(outcomes, head):
    """What each arm is expected to bring over doing nothing, [N, arms]."""
    return (outcomes - outcomes[:, :1]) * WORTH[head] - np.array([COSTS[arm] for arm in ARMS[head]])


def table(truth, told, given, happened):
    """Prints Qini and regret beside random and oracle; returns the metrics."""
    metrics = {}
    print(f"\n{'Qini per 1,000 customers':<26}{'random':>9}{'model':>9}{'oracle':>9}")
    for head, arms in ARMS.items():
        for k, arm in enumerate(arms[1:], 1):
            rows = (given[head] == 0) | (given[head] == k)
            args = given[head][rows] == k, happened[head][rows]
            by = {name: qini((p[head][:, k] - p[head][:, 0])[rows], *args) for name, p in (("model", told), ("oracle", truth))}
            print(f"{arm:<26}{0:>9.1f}{by['model']:>9.1f}{by['oracle']:>9.1f}")
            metrics |= {f"qini_{arm}": by["model"], f"qini_{arm}_oracle": by["oracle"]}
    print(f"\n{'EUR per 1,000 customers':<26}{'profit':>9}{'regret':>9}")
    for head, arms in ARMS.items():
        true, guess = profits(truth[head], head), profits(told[head], head)
        pick = {"random": true.mean(1), **{f"{arm} for all": true[:, k] for k, arm in enumerate(arms)},
                "model": true[np.arange(len(true)), guess.argmax(1)], "oracle": true.max(1)}
        for name, gained in pick.items():
            print(f"{head + ': ' + name:<26}{1000 * gained.mean():>9.0f}{1000 * (true.max(1) - gained).mean():>9.0f}")
        best = max((true[:, k].mean() for k in range(len(arms))))
        metrics |= {f"profit_{head}": 1000 * pick["model"].mean(), f"regret_{head}": 1000 * (true.max(1) - pick["model"]).mean(),
                    f"regret_{head}_random": 1000 * (true.max(1) - pick["random"]).mean()}
        if pick["model"].mean() <= best:
            raise SystemExit(f"not exported: for {head} one treatment for all is better")
    return metrics


def manifest(model, metrics):
    """The content of bundle.yaml."""
    features = []
    for name in simulator.FEATURES:
        if name == "contract":
            entry = {"name": name, "type": "FEATURE_TYPE_STRING", "default": "", "categories": list(simulator.CONTRACTS)}
        else:
            low, high = model.ranges[name]
            entry = {"name": name, "type": f"FEATURE_TYPE_{'FLOAT' if name in FLOATS else 'INT'}", "min": low, "max": high}
            if name == "tenure":
                entry["required"] = True
            elif name not in FLOATS:
                entry["default"] = defaults(model)[name]
        features.append(entry | {"description": TEXTS[name]})
    heads, actions = {}, []
    for head, arms in ARMS.items():
        heads[head] = {"source": f"model.{head}", "uplift": {
            "control_column": 0, "value": WORTH[head], "currency": "EUR",
            "treatments": [{"name": arm, "title": dict(zip(("en", "ru"), TITLES[arm])), "column": k, "cost": COSTS[arm]}
                           for k, arm in enumerate(arms) if k > 0]}}
        for arm in arms[1:]:
            action = {"name": arm, "title": dict(zip(("en", "ru"), TITLES[arm])), "treatment": f"{head}.{arm}",
                      "value": WORTH[head], "cost": COSTS[arm]}
            if arm in ELIGIBLE:
                action["eligibility"] = ELIGIBLE[arm]
            channel = {"call": "phone"}.get(arm, "email")
            actions.append(action | {"attributes": {"channel": channel, "goal": {"staying": "retention", "ordering": "orders"}[head]}})
    return {
        "description": "What a call, a discount or messages would change for a customer, and which of them pays. Simulated customers.",
        "license": "Apache-2.0",
        "graphs": {"model": {"file": "model.onnx", "execution": {"devices": ["cpu"], "threads": 1}}},
        "heads": heads,
        "row": {"features": features},
        "goldens": {"file": "goldens.jsonl", "tolerances": [
            {"precision": "PRECISION_FP32", "absolute": TOLERANCE, "relative": TOLERANCE}]},
        "lineage": {"data": ["simulated by scripts/models/simulator.py"], "code": "scripts/models/offers.py", "metrics": metrics},
        "catalogue": {"actions": actions},
    }


def goldens(session, model):
    lines = []
    for row in GOLDENS:
        filled = {**defaults(model), **dict.fromkeys(FLOATS, float("nan")), "contract": "", **{k: v for k, v in row.items() if v is not None}}
        outputs = session.run(list(ARMS), feeds({name: [filled[name]] for name in simulator.FEATURES}))
        lines.append(json.dumps({"features": row, "outputs": {
            f"model.{name}": {"values": [float(f"{x:.9g}") for x in out.ravel()]} for name, out in zip(ARMS, outputs)}}))
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "models/offers", help="the bundle's directory")
    args = parser.parse_args()
    rng = np.random.default_rng(SEED)
    columns, given, happened, truth = {}, {}, {}, {}
    for part, n in (("train", TRAINED), ("test", TESTED)):
        columns[part] = simulator.customers(rng, n)
        truth[part] = {"staying": 1 - simulator.leaving(columns[part]), "ordering": simulator.ordering(columns[part])}
        seen = {head: simulator.observe(rng, p) for head, p in truth[part].items()}
        given[part], happened[part] = ({head: s[i] for head, s in seen.items()} for i in (0, 1))
    print(f"{TRAINED} customers in the experiment, {TESTED} others to judge by; "
          f"{truth['test']['staying'][:, 0].mean():.1%} stay and {truth['test']['ordering'][:, 0].mean():.1%} order by themselves")
    model = Network().fit(columns["train"], given["train"], happened["train"], rng)
    graph = export(model)
    session = onnxruntime.InferenceSession(graph)
    told = dict(zip(ARMS, (out.astype(float) for out in session.run(list(ARMS), feeds(columns["test"])))))
    metrics = table(truth["test"], told, given["test"], happened["test"])
    errors = {head: float(np.sqrt(np.mean((told[head][:, 1:] - told[head][:, :1] - truth["test"][head][:, 1:] + truth["test"][head][:, :1])**2)))
              for head in ARMS}
    print("\nroot of the mean squared error of effects: " + ", ".join(f"{head} {e:.4f}" for head, e in errors.items()))
    metrics |= {f"effect_rmse_{head}": e for head, e in errors.items()}

    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "model.onnx").write_bytes(graph)
    (args.out / "goldens.jsonl").write_text(goldens(session, model), encoding="utf-8")
    write(args.out / "bundle.yaml", manifest(model, {name: round(float(value), 4) for name, value in metrics.items()}), "scripts/models/offers.py")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
