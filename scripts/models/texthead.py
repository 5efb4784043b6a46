"""A small network over the outputs of models/sentiment's encoder: how it is trained and stored. Shared by emotions.py and targets.py.

The encoder stays as it is. A network reads vectors, [rows, parts, size], has one hidden layer, and its logits are the mean
over a row's parts: the tokens of a mention, or the one embedding of a text.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import optax
import yaml
from onnx import TensorProto, helper, numpy_helper
from sklearn.metrics import f1_score

from manifest import write

EPOCHS, BATCH = 12, 256
RATE, DECAY, DROPOUT, SMOOTHING = 1e-3, 1e-2, 0.5, 0.1
TEMPERATURES = np.linspace(0.4, 3, 131)


def train(x, mask, labels, weights, classes, width, seed, epochs=EPOCHS, dropout=DROPOUT):
    """Fits by AdamW with dropout. x is [rows, parts, size], mask [rows, parts]. Returns two matrices and biases, in float16."""
    rng = np.random.default_rng(seed)
    size = x.shape[2]
    parameters = [jnp.asarray(array, jnp.float32) for array in (
        rng.normal(0, size ** -0.5, (size, width)), np.zeros(width),
        rng.normal(0, width ** -0.5, (width, classes)), np.zeros(classes))]
    targets = np.eye(classes, dtype=np.float32)[labels] * (1 - SMOOTHING) + SMOOTHING / classes
    steps = epochs * (len(x) // BATCH)
    optimizer = optax.adamw(optax.cosine_decay_schedule(RATE, steps), weight_decay=DECAY)

    def loss(parameters, x, mask, targets, weights, key):
        w1, b1, w2, b2 = parameters
        keys = jax.random.split(key)
        # The same numbers are dropped in all parts of a row.
        x = x * jax.random.bernoulli(keys[0], 1 - dropout / 2, (len(x), 1, size)) / (1 - dropout / 2)
        x = jax.nn.gelu(x @ w1 + b1, approximate=False)
        x = x * jax.random.bernoulli(keys[1], 1 - dropout, (len(x), 1, width)) / (1 - dropout)
        logits = ((x @ w2 + b2) * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return (optax.softmax_cross_entropy(logits, targets) * weights).mean()

    @jax.jit
    def step(parameters, state, key, *batch):
        updates, state = optimizer.update(jax.grad(loss)(parameters, *batch, key), state, parameters)
        return optax.apply_updates(parameters, updates), state

    state, key = optimizer.init(parameters), jax.random.key(seed)
    arrays = [np.asarray(array, np.float32) for array in (x, mask, targets, weights)]
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for at in range(0, len(x) - BATCH + 1, BATCH):
            key, drop = jax.random.split(key)
            parameters, state = step(parameters, state, drop, *(array[order[at:at + BATCH]] for array in arrays))
    return [np.asarray(array).astype(np.float16) for array in parameters]


def logits(parameters, x, mask):
    w1, b1, w2, b2 = (array.astype(np.float32) for array in parameters)
    each = np.asarray(jax.nn.gelu(x @ w1 + b1, approximate=False)) @ w2 + b2
    return (each * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)


def balance(labels, power):
    """Weights of mean 1 under which classes are more equal: 0 leaves them as frequent as they are, 1 makes them equal."""
    counts = np.bincount(labels).astype(float)
    weights = (1 / counts ** power)[labels]
    return weights / weights.mean()


def macro_f1(scores, labels):
    return float(f1_score(labels, scores.argmax(axis=1), average="macro"))


def best_temperature(scores, labels):
    """The divisor of the logits that makes the labels likeliest (Guo et al., 2017)."""
    def likelihood(t):
        z = scores / t
        z = z - z.max(axis=1, keepdims=True)
        return float(np.mean(z[np.arange(len(labels)), labels] - np.log(np.exp(z).sum(axis=1))))

    return float(max(TEMPERATURES, key=likelihood))


def calibration_error(scores, labels, bins=10):
    """Expected calibration error of the likeliest class, in bins of equal mass."""
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    sure, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    parts = np.array_split(np.argsort(sure), bins)
    return float(sum(len(part) * abs(sure[part].mean() - right[part].mean()) for part in parts) / len(labels))


def gelu(into, out):
    """Nodes that compute GELU by erf of `into`."""
    return [helper.make_node(op, inputs, [output], name=output) for op, inputs, output in (
        ("Div", [into, "root2"], "gelu.div"), ("Erf", ["gelu.div"], "gelu.erf"), ("Add", ["gelu.erf", "one"], "gelu.add"),
        ("Mul", [into, "gelu.add"], "gelu.mul"), ("Mul", ["gelu.mul", "half"], out))]


def constants(halves, **floats):
    """Initializers and nodes for weights that are stored in float16 and computed with in float32, and for floats as they are."""
    tensors, nodes = [], []
    for name, array in halves.items():
        tensors.append(numpy_helper.from_array(np.asarray(array, np.float16), name + ".half"))
        nodes.append(helper.make_node("Cast", [name + ".half"], [name], name=name, to=TensorProto.FLOAT))
    floats = {"root2": np.sqrt(2), "one": 1, "half": 0.5} | floats
    tensors += [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in floats.items()]
    return tensors, nodes


def extend(folder, name, model, encoder, script, step, head, metrics, ports=None):
    """Adds a head, or puts it in the place of the one before, to the bundle in `folder`: graph, step, head, metrics and goldens.

    Each golden text gets what the graph gives for it.
    """
    (folder / f"{name}.onnx").write_bytes(model)
    content = yaml.safe_load((folder / "bundle.yaml").read_text(encoding="utf-8"))
    content["graphs"][name] = {"file": f"{name}.onnx"} | (ports or {}) | {"execution": {"devices": ["cpu"], "threads": 1}}
    content["steps"] = [old for old in content["steps"] if old["graph"] != name] + [step]
    content["heads"][name] = head
    lineage = content["lineage"]
    lineage["code"] = ", ".join(dict.fromkeys(lineage["code"].split(", ") + [f"scripts/models/{script}"]))
    lineage["metrics"] |= {key: round(value, 4) for key, value in metrics.items()}
    write(folder / "bundle.yaml", content, lineage["code"])

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    lines = []
    for line in (folder / "goldens.jsonl").read_text(encoding="utf-8").splitlines():
        golden = json.loads(line)
        feeds = encoder.outputs(golden["text"])
        logits = session.run(["logits"], {to: feeds[source.split(".")[1]] for to, source in step["inputs"].items()})[0]
        golden["outputs"][f"{name}.logits"] = {"values": [float(f"{x:.6g}") for x in logits.ravel()]}
        lines.append(json.dumps(golden, ensure_ascii=False))
    (folder / "goldens.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
