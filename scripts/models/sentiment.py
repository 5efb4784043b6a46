"""Trains, measures and exports the head of models/sentiment: the polarity of a Russian or English text.

    python scripts/models/sentiment.py --data DIR [--out models/sentiment] [--cache DIR]

DIR holds the text sets of sentiment_data.py; the encoder is there after `make setup`. Needs numpy, onnx, onnxruntime,
tokenizers, scikit-learn, pyyaml, jax and optax. Two cores take about ten minutes, most of them for the embeddings, which
--cache keeps.

The encoder stays as it is. Its embedding of a Russian text is shifted against that of an English one, so the head first
tells the language by a linear gate and subtracts that language's mean embedding; without this it calls Russian texts as
negative as the Russian training texts happen to be. Then MEMBERS small networks with one hidden layer each vote; they
are one wider network in the graph. Two folds each leave out an English and a Russian source; what the head says there is
the measured quality, and the logits' temperature is fitted on it (Guo et al., 2017). The head that is exported is trained
on everything.

    embedding                float32 [N, 384], the encoder's sentence_embedding
    logits, probabilities    float32 [N, 3], in the order negative, neutral, positive
"""

import argparse
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import optax
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from tokenizers import Tokenizer

from encoder import HIDDEN, SHA256
from manifest import write
from sentiment_data import NEGATIVE, NEUTRAL, POLARITIES, POSITIVE, SOURCES, load

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "query: "
MAX_LENGTH = 512
STRIDE = 64  # tokens that the chunks of a longer text share
LANGUAGES = ["ru", "en"]
SEED = 0
ENDS = np.array([NEGATIVE, POSITIVE])

FOLDS = (("amazon", "xed_ru"), ("imdb", "ru_goemotions"))
LITERAL = ("xed_ru",)  # nothing else is left out; see TRANSLATIONS
UNSEEN = 500  # English GoEmotions texts of each polarity on which the second fold is measured, not trained
# Russian XED is the translation of lines of English XED, labels included. The three English lines nearest to each Russian
# one that is left out are left out with it, but from LITERAL.
TRANSLATIONS = 3

MEMBERS, WIDTH, EPOCHS, BATCH = 4, 256, 8, 256
RATE, DECAY, DROPOUT, SMOOTHING = 1e-3, 1e-2, 0.5, 0.1
TEMPERATURES = np.linspace(0.5, 3, 251)

# Over 300 texts bfloat16 moved a logit by 0.019 at most; TF32 and float16 keep three bits more.
TOLERANCES = [{"precision": f"PRECISION_{name}", "absolute": absolute, "relative": relative}
              for name, absolute, relative in (("FP32", 1e-4, 1e-4), ("TF32", 0.01, 0.01), ("FP16", 0.01, 0.01),
                                               ("BF16", 0.03, 0.01))]
GOLDENS = (
    "Отличный чайник, закипает быстро и совсем не шумит!",
    "Доставка опоздала на неделю, коробка мятая, поддержка не отвечает.",
    "Магазин работает с девяти до шести, вход со двора.",
    "Ну, неплохо, но за эти деньги ждал большего.",
    "Не работает.",
    "The headphones sound wonderful and the battery lasts for days.",
    "Broke after two days and the shop refused a refund. Never again.",
    "The parcel holds one cable and a printed manual.",
    " I   can't say I disliked it 🙂",
    "ok",
)


class Encoder:
    """The bundle's encoder.onnx, run as the server runs it."""

    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.session = onnxruntime.InferenceSession(str(folder / "encoder.onnx"), providers=["CPUExecutionProvider"])

    def embed(self, texts, batch=32):
        """float32 [len(texts), 384]; texts of like length share a run."""
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch([PREFIX + text for text in texts])]
        result = np.zeros((len(texts), HIDDEN), np.float32)
        order = np.argsort([len(text) for text in ids], kind="stable")
        for at in range(0, len(order), batch):
            group = order[at:at + batch]
            shape = len(group), max(len(ids[i]) for i in group)
            feeds = {"input_ids": np.ones(shape, np.int64), "attention_mask": np.zeros(shape, np.int64)}
            for row, i in enumerate(group):
                feeds["input_ids"][row, :len(ids[i])] = ids[i]
                feeds["attention_mask"][row, :len(ids[i])] = 1
            result[group] = self.session.run(["sentence_embedding"], feeds)[0]
        return result

    def outputs(self, text):
        """What the encoder gives for one text alone, by name."""
        ids = np.array([self.tokenizer.encode(PREFIX + text).ids], np.int64)
        names = ["last_hidden_state", "sentence_embedding"]
        return dict(zip(names, self.session.run(names, {"input_ids": ids, "attention_mask": np.ones_like(ids)})))


def embeddings(name, texts, encoder, cache):
    """The texts' embeddings; kept in the folder `cache` if there is one, by source and encoder."""
    path = cache and cache / f"{name}-{len(texts)}-{SHA256['encoder.onnx'][:12]}.npy"
    if path and path.is_file():
        return np.load(path)
    result = encoder.embed(texts)
    if path:
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, result)
    return result


class Head:
    """From embeddings [N, 384] to logits [N, 3]."""

    def __init__(self, x, labels, russian, weights, seed):
        """Fits to embeddings x, polarities, whether a text is Russian, and how much it weighs."""
        weights = balance(labels, russian, weights)
        gate = LogisticRegression(C=1000, max_iter=1000).fit(x, russian)
        self.gate, self.gate_bias = gate.coef_[0], gate.intercept_
        self.english, self.russian = (np.average(x[rows], axis=0, weights=weights[rows]) for rows in (~russian, russian))
        x = self.centre(x)
        self.scale = x.std()
        members = [train(x / self.scale, labels, weights, seed + i) for i in range(MEMBERS)]
        w1, b1, w2, b2 = zip(*members)
        self.w1, self.b1 = np.concatenate(w1, axis=1) / self.scale, np.concatenate(b1)
        self.w2, self.b2 = np.concatenate(w2) / MEMBERS, np.mean(b2, axis=0)

    def centre(self, x):
        share = 1 / (1 + np.exp(-(x @ self.gate + self.gate_bias)))[:, None]
        return x - self.english - share * (self.russian - self.english)

    def logits(self, x):
        return np.asarray(jax.nn.gelu(self.centre(x) @ self.w1 + self.b1, approximate=False) @ self.w2 + self.b2)

    def export(self, temperature):
        """The ONNX model. The same weights give the same bytes."""
        constants = {"gate": self.gate[:, None], "gate.bias": self.gate_bias, "english": self.english,
                     "shift": self.russian - self.english, "hidden": self.w1, "hidden.bias": self.b1,
                     "output": self.w2 / temperature, "output.bias": self.b2 / temperature,
                     "root2": np.sqrt(2), "one": 1, "half": 0.5}
        nodes = [helper.make_node(op, inputs, [output], name=output, **attributes) for op, inputs, output, attributes in (
            ("Gemm", ["embedding", "gate", "gate.bias"], "gate.logit", {}),
            ("Sigmoid", ["gate.logit"], "gate.share", {}),
            ("Mul", ["gate.share", "shift"], "centre.shift", {}),
            ("Add", ["english", "centre.shift"], "centre", {}),
            ("Sub", ["embedding", "centre"], "centred", {}),
            ("Gemm", ["centred", "hidden", "hidden.bias"], "hidden.sum", {}),
            ("Div", ["hidden.sum", "root2"], "gelu.div", {}),
            ("Erf", ["gelu.div"], "gelu.erf", {}),
            ("Add", ["gelu.erf", "one"], "gelu.add", {}),
            ("Mul", ["hidden.sum", "gelu.add"], "gelu.mul", {}),
            ("Mul", ["gelu.mul", "half"], "gelu", {}),
            ("Gemm", ["gelu", "output", "output.bias"], "logits", {}),
            ("Softmax", ["logits"], "probabilities", {"axis": 1}))]

        def value(name, width):
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])

        model = helper.make_model(
            helper.make_graph(nodes, "sentiment", [value("embedding", HIDDEN)],
                              [value(name, len(POLARITIES)) for name in ("logits", "probabilities")],
                              [numpy_helper.from_array(np.asarray(x, np.float32), name) for name, x in constants.items()]),
            opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="scry")
        onnx.checker.check_model(model)
        return model.SerializeToString(deterministic=True)


def balance(labels, russian, weights):
    """Weights under which the polarities are equally frequent in each language: else the language tells the polarity."""
    weights = weights.copy()
    for language in (False, True):
        for polarity in range(len(POLARITIES)):
            rows = (russian == language) & (labels == polarity)
            weights[rows] /= weights[rows].sum()
        weights[russian == language] *= np.sum(russian == language)
    return weights


def train(x, labels, weights, seed):
    """A network with one hidden layer, fitted by AdamW with dropout. Returns its two matrices and biases.

    The loss counts polarity twice: among three classes, and for texts that have one, negative against positive.
    """
    rng = np.random.default_rng(seed)
    outputs = len(POLARITIES)
    parameters = [jnp.asarray(array, jnp.float32) for array in (
        rng.normal(0, HIDDEN ** -0.5, (HIDDEN, WIDTH)), np.zeros(WIDTH),
        rng.normal(0, WIDTH ** -0.5, (WIDTH, outputs)), np.zeros(outputs))]
    targets = np.eye(outputs, dtype=np.float32)[labels] * (1 - SMOOTHING) + SMOOTHING / outputs
    steps = EPOCHS * (len(x) // BATCH)
    optimizer = optax.adamw(optax.cosine_decay_schedule(RATE, steps), weight_decay=DECAY)

    def loss(parameters, x, targets, weights, key):
        w1, b1, w2, b2 = parameters
        keys = jax.random.split(key)
        x = x * jax.random.bernoulli(keys[0], 1 - DROPOUT, x.shape) / (1 - DROPOUT)
        x = jax.nn.gelu(x @ w1 + b1, approximate=False)
        x = x * jax.random.bernoulli(keys[1], 1 - DROPOUT, x.shape) / (1 - DROPOUT)
        logits = x @ w2 + b2
        ends, polar = targets[:, ENDS], targets[:, NEUTRAL] < 0.5
        either = optax.softmax_cross_entropy(logits[:, ENDS], ends / ends.sum(axis=1, keepdims=True))
        return ((optax.softmax_cross_entropy(logits, targets) + either * polar) * weights).mean()

    @jax.jit
    def step(parameters, state, key, *batch):
        updates, state = optimizer.update(jax.grad(loss)(parameters, *batch, key), state, parameters)
        return optax.apply_updates(parameters, updates), state

    state, key = optimizer.init(parameters), jax.random.key(seed)
    arrays = [np.asarray(array, np.float32) for array in (x, targets, weights)]
    for _ in range(EPOCHS):
        order = rng.permutation(len(x))
        for at in range(0, len(x) - BATCH + 1, BATCH):
            key, dropout = jax.random.split(key)
            parameters, state = step(parameters, state, dropout, *(array[order[at:at + BATCH]] for array in arrays))
    return [np.asarray(array) for array in parameters]


class Corpus:
    """The embeddings and polarities of all sources, by name."""

    def __init__(self, sources, encoder, cache):
        self.labels = {name: source.labels for name, source in sources.items()}
        self.embeddings = {}
        for name, source in sources.items():
            self.embeddings[name] = embeddings(name, source.texts, encoder, cache)
            print(f"  {name}: {len(source.texts)} texts, {np.bincount(source.labels, minlength=3).tolist()}"
                  f" {', '.join(POLARITIES)}", flush=True)

    def rows(self, held_out):
        """What is trained on: a mask of rows by source."""
        rows = {name: np.ones(len(labels), bool) for name, labels in self.labels.items() if name not in held_out}
        if "xed_ru" in held_out and held_out != LITERAL:
            likeness = self.embeddings["xed_ru"] @ self.embeddings["xed_en"].T
            rows["xed_en"][np.argpartition(-likeness, TRANSLATIONS, axis=1)[:, :TRANSLATIONS]] = False
        if held_out == FOLDS[-1]:
            rows["goemotions"][self.unseen()] = False
        return rows

    def unseen(self):
        """Rows of English GoEmotions that the last fold is measured on: as many of each polarity."""
        rng = np.random.default_rng(SEED)
        return np.concatenate([rng.permutation(np.flatnonzero(self.labels["goemotions"] == polarity))[:UNSEEN]
                               for polarity in range(len(POLARITIES))])

    def measured(self, held_out):
        """(name, embeddings, polarities) of what a fold is measured on."""
        for name in held_out:
            yield name, self.embeddings[name], self.labels[name]
        if held_out == FOLDS[-1]:
            rows = self.unseen()
            yield "goemotions_unseen", self.embeddings["goemotions"][rows], self.labels["goemotions"][rows]

    def fit(self, held_out=()):
        """Fits to all sources but those held out. Returns (logistic baseline, head)."""
        rows = self.rows(held_out)
        x, labels, russian, weights = (np.concatenate(parts) for parts in zip(*(
            (self.embeddings[name][keep], self.labels[name][keep], np.full(keep.sum(), SOURCES[name].language == "ru"),
             np.full(keep.sum(), SOURCES[name].weight)) for name, keep in rows.items())))
        baseline = LogisticRegression(C=10, max_iter=200).fit(x - x.mean(axis=0), labels, balance(labels, russian, weights))
        baseline.intercept_ -= baseline.coef_ @ x.mean(axis=0)
        return baseline, Head(x, labels, russian, weights, SEED)


def polar(logits, labels):
    """(accuracy, area under the ROC curve) of telling positive from negative; neutral texts are left aside."""
    rows = labels != NEUTRAL
    margin = logits[rows, POSITIVE] - logits[rows, NEGATIVE]
    positive = labels[rows] == POSITIVE
    return float(np.mean((margin > 0) == positive)), float(roc_auc_score(positive, margin))


def macro_f1(logits, labels):
    return float(f1_score(labels, logits.argmax(axis=1), average="macro"))


def log_likelihood(logits, labels):
    """Mean over the texts. Where a source knows no neutral texts, neutral is no option."""
    if NEUTRAL not in labels:
        logits = np.delete(logits, NEUTRAL, axis=1)
        labels = (labels == POSITIVE).astype(int)
    logits = logits - logits.max(axis=1, keepdims=True)
    return float(np.mean(logits[np.arange(len(labels)), labels] - np.log(np.exp(logits).sum(axis=1))))


def best_temperature(predictions):
    """The divisor of the logits that makes the held-out labels likeliest, each source with the same weight."""
    return float(max(TEMPERATURES, key=lambda t: sum(log_likelihood(x / t, labels) for x, labels in predictions.values())))


def calibration_error(logits, labels, bins=10):
    """Expected calibration error of the likeliest class, in bins of equal mass."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    sure, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    parts = np.array_split(np.argsort(sure), bins)
    return float(sum(len(part) * abs(sure[part].mean() - right[part].mean()) for part in parts) / len(labels))


def measure(corpus):
    """Trains and measures the folds. Returns (metrics by name, temperature)."""
    metrics, predictions = {}, {}
    print(f"\n{'held out':<18} {'texts':>6} {'larger class':>13} {'accuracy':>9} (linear) {'AUC':>6} {'macro-F1':>9} (linear)")
    for held_out in FOLDS:
        baseline, head = corpus.fit(held_out)
        for name, x, labels in corpus.measured(held_out):
            logits, linear = head.logits(x), baseline.decision_function(x)
            predictions[name] = logits, labels
            larger = np.bincount(labels[labels != NEUTRAL]).max() / np.sum(labels != NEUTRAL)
            metrics[f"accuracy.{name}"], metrics[f"auc.{name}"] = polar(logits, labels)
            line = (f"{name:<18} {len(labels):>6} {larger:>13.3f} {metrics[f'accuracy.{name}']:>9.3f}"
                    f"  ({polar(linear, labels)[0]:.3f}) {metrics[f'auc.{name}']:>6.3f}")
            if NEUTRAL in labels:
                metrics[f"macro_f1.{name}"] = macro_f1(logits, labels)
                line += f" {metrics[f'macro_f1.{name}']:>9.3f}  ({macro_f1(linear, labels):.3f})"
            print(line, flush=True)
    metrics["accuracy.ru_mean"] = (metrics["accuracy.xed_ru"] + metrics["accuracy.ru_goemotions"]) / 2
    temperature = best_temperature(predictions)
    print(f"\nmean of the Russian accuracies {metrics['accuracy.ru_mean']:.3f}; temperature {temperature:.2f}")

    head = corpus.fit(LITERAL)[1]
    accuracy, auc = polar(head.logits(corpus.embeddings["xed_ru"]), corpus.labels["xed_ru"])
    print(f"with the English originals of xed_ru in training: accuracy {accuracy:.3f}, AUC {auc:.3f};"
          f" mean {(accuracy + metrics['accuracy.ru_goemotions']) / 2:.3f}")
    for name, (logits, labels) in predictions.items():
        if NEUTRAL in labels:
            metrics[f"calibration_error.{name}"] = calibration_error(logits / temperature, labels)
            print(f"calibration error on {name}: {calibration_error(logits, labels):.3f} before,"
                  f" {metrics[f'calibration_error.{name}']:.3f} after")
    return metrics, temperature


def goldens(encoder, session):
    """One golden a line: the text and what the graphs give for it alone, in protobuf JSON."""
    lines = []
    for text in GOLDENS:
        names = ["logits", "probabilities"]
        outputs = dict(zip(names, session.run(names, {"embedding": encoder.embed([text])})))
        print("  " + " ".join(f"{x:.3f}" for x in outputs["probabilities"][0]), text)
        lines.append(json.dumps({"text": text, "outputs": {
            f"head.{name}": {"values": [float(f"{x:.6g}") for x in values[0]]} for name, values in outputs.items()}},
            ensure_ascii=False))
    return "\n".join(lines) + "\n"


def manifest(metrics):
    """The content of bundle.yaml."""
    return {
        "description": "Polarity of a Russian or English text: negative, neutral or positive.",
        "license": "MIT",
        "graphs": {
            "encoder": {
                "file": "encoder.onnx",
                "inputs": {"input_ids": {"batch_axis": 0, "sequence_axis": 1, "pad_value": 1},
                           "attention_mask": {"batch_axis": 0, "sequence_axis": 1, "pad_value": 0}},
                "outputs": {"last_hidden_state": {"batch_axis": 0, "sequence_axis": 1}},
            },
            "head": {"file": "head.onnx", "execution": {"devices": ["cpu"], "threads": 1}},
        },
        "steps": [{"graph": "encoder"}, {"graph": "head", "inputs": {"embedding": "encoder.sentence_embedding"}}],
        "heads": {
            "sentiment": {"source": "head.probabilities", "sentiment": {name: i for i, name in enumerate(POLARITIES)}},
            "embedding": {"source": "encoder.sentence_embedding", "embedding": {"normalize": False}},
        },
        "text": {"tokenizer": "tokenizer.json", "prefix": PREFIX, "max_length": MAX_LENGTH, "stride": STRIDE,
                 "languages": LANGUAGES},
        "goldens": {"file": "goldens.jsonl", "tolerances": TOLERANCES},
        "lineage": {"data": [f"{source.title} ({source.license})" for source in SOURCES.values()],
                    "code": "scripts/models/sentiment.py",
                    "metrics": {name: round(value, 4) for name, value in metrics.items()}},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds text/")
    parser.add_argument("--out", type=Path, default=ROOT / "models/sentiment", help="the bundle's directory")
    parser.add_argument("--cache", type=Path, help="a folder that keeps the embeddings for the next time")
    args = parser.parse_args()
    started = time.monotonic()

    encoder = Encoder(args.out)
    corpus = Corpus(load(args.data, SEED), encoder, args.cache)
    metrics, temperature = measure(corpus)
    _, head = corpus.fit()
    model = head.export(temperature)
    (args.out / "head.onnx").write_bytes(model)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (args.out / "goldens.jsonl").write_text(goldens(encoder, session), encoding="utf-8")
    write(args.out / "bundle.yaml", manifest(metrics), "scripts/models/sentiment.py")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
