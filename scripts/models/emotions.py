"""Trains, measures and exports emotions.onnx of models/sentiment: which of Ekman's six emotions a Russian or English text holds.

    python scripts/models/emotions.py --data DIR [--out models/sentiment] [--cache DIR]

DIR holds the text sets of sentiment_data.py; the encoder is there after `make setup`. Needs what sentiment.py needs. The
embeddings take most of the time; --cache keeps them. It adds its head to the bundle that
sentiment.py wrote: graph, manifest and goldens.

The 27 emotions of GoEmotions are grouped as its authors group them; texts whose labels fall into several groups are left out.
Of XED's eight, six are Ekman's; its texts with anticipation or trust are left out. A tenth of the English GoEmotions texts is
kept apart for measuring; Russian is measured on five folds of the translated texts, whose English originals are not in the
training file. GoEmotions test is never read. The head that is exported is trained on everything.

    embedding    float32 [N, 384], the encoder's sentence_embedding
    logits       float32 [N, 7], in the order of EMOTIONS, divided by the temperature
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

import texthead
from encoder import HIDDEN
from sentiment import ROOT, Encoder
from sentiment_data import GOEMOTIONS, numbers

SEED = 0
EMOTIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
NEUTRAL = EMOTIONS.index("neutral")
# The grouping that GoEmotions' authors publish (ekman_mapping.json).
EKMAN = {
    "anger": "anger annoyance disapproval",
    "disgust": "disgust",
    "fear": "fear nervousness",
    "joy": "joy amusement approval excitement gratitude love optimism relief pride admiration desire caring",
    "neutral": "neutral",
    "sadness": "sadness disappointment embarrassment grief remorse",
    "surprise": "surprise realization confusion curiosity",
}
GROUP = {GOEMOTIONS.index(name): EMOTIONS.index(group) for group, names in EKMAN.items() for name in names.split()}
XED = {1: "anger", 3: "disgust", 4: "fear", 5: "joy", 6: "sadness", 7: "surprise"}  # 2 is anticipation, 8 trust
MOST = 3000  # English GoEmotions texts of one emotion
HELD_OUT, FOLDS = 0.1, 5
# Film subtitles are labelled otherwise than comments: with a quarter of the weight of these, Russian GoEmotions loses 0.04.
WEIGHTS = {"en": 1.0, "ru": 2.0, "xed_en": 0.05, "xed_ru": 0.1}
MEMBERS, WIDTH, POWER, EPOCHS = 2, 96, 0.5, 30


def one(labels):
    return labels.pop() if len(labels) == 1 else None


def load(folder):
    """Texts and emotions by source: en and ru are GoEmotions."""
    found = {name: {} for name in WEIGHTS}
    originals = set()
    with (folder / "ru_goemotions_val.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            originals.add(row["text"])
            found["ru"][row["ru_text"]] = one({GROUP[i] for i in numbers(row["labels"])})
    for line in (folder / "goemotions_train.tsv").open(encoding="utf-8"):
        text, labels, _ = line.rstrip("\n").split("\t")
        if text not in originals:
            found["en"][text] = one({GROUP[i] for i in numbers(labels)})
    for name in ("xed_en", "xed_ru"):
        for line in (folder / f"{name}.tsv").open(encoding="utf-8"):
            text, labels = line.rstrip("\n").split("\t")
            emotion = one(numbers(labels))
            found[name][text] = EMOTIONS.index(XED[emotion]) if emotion in XED else None
    result = {}
    for name, labels in found.items():
        pairs = [(text, label) for text, label in labels.items() if label is not None]
        labels = np.array([label for _, label in pairs])
        rng = np.random.default_rng(SEED)
        rows = np.sort(np.concatenate([rng.permutation(np.flatnonzero(labels == k))[:MOST] for k in range(len(EMOTIONS))]))
        result[name] = [pairs[i][0] for i in rows], labels[rows]
    return result


class Head:
    """A language gate, which subtracts the language's mean embedding as sentiment.py does, and MEMBERS networks as one."""

    def __init__(self, parts):
        x, labels = (np.concatenate([part[k] for part in parts.values()]) for k in (0, 1))
        russian = np.concatenate([np.full(len(part[1]), name.endswith("ru")) for name, part in parts.items()])
        weights = weigh(parts)
        gate = LogisticRegression(C=100, max_iter=200).fit(x - x.mean(axis=0), russian)
        self.gate, self.gate_bias = gate.coef_[0], gate.intercept_[0] - gate.coef_[0] @ x.mean(axis=0)
        self.english, self.russian = x[~russian].mean(axis=0), x[russian].mean(axis=0)
        x = self.centre(x)
        scale, one = x.std(), np.ones((len(x), 1), np.float32)
        networks = [texthead.train(x[:, None] / scale, one, labels, weights, len(EMOTIONS), WIDTH, SEED + member, epochs=EPOCHS)
                    for member in range(MEMBERS)]
        w1, b1, w2, b2 = zip(*networks)
        self.parameters = [(np.concatenate(w1, axis=1).astype(np.float32) / scale).astype(np.float16), np.concatenate(b1),
                           (np.concatenate(w2).astype(np.float32) / MEMBERS).astype(np.float16),
                           (np.sum(b2, axis=0, dtype=np.float32) / MEMBERS).astype(np.float16)]

    def centre(self, x):
        share = 1 / (1 + np.exp(-(x @ self.gate + self.gate_bias)))[:, None]
        return x - self.english - share * (self.russian - self.english)

    def logits(self, x):
        return texthead.logits(self.parameters, self.centre(x)[:, None], np.ones((len(x), 1), np.float32))

    def export(self, temperature):
        w1, b1, w2, b2 = self.parameters
        tensors, nodes = texthead.constants({"hidden": w1, "output": w2}, **{
            "gate": self.gate[:, None], "gate.bias": self.gate_bias, "english": self.english, "shift": self.russian - self.english,
            "hidden.bias": b1, "output.bias": b2, "temperature": temperature})
        nodes += [helper.make_node(op, inputs, [output], name=output) for op, inputs, output in (
            ("Gemm", ["embedding", "gate", "gate.bias"], "gate.logit"),
            ("Sigmoid", ["gate.logit"], "gate.share"),
            ("Mul", ["gate.share", "shift"], "centre.shift"),
            ("Add", ["english", "centre.shift"], "centre"),
            ("Sub", ["embedding", "centre"], "centred"),
            ("Gemm", ["centred", "hidden", "hidden.bias"], "hidden.sum"))]
        nodes += texthead.gelu("hidden.sum", "gelu")
        nodes += [helper.make_node("Gemm", ["gelu", "output", "output.bias"], ["sum"], name="sum"),
                  helper.make_node("Div", ["sum", "temperature"], ["logits"], name="logits")]
        model = helper.make_model(
            helper.make_graph(nodes, "emotions", [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", HIDDEN])],
                              [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(EMOTIONS)])], tensors),
            opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="scry")
        onnx.checker.check_model(model)
        return model.SerializeToString(deterministic=True)


def weigh(parts):
    """The weight of each text of (embeddings, emotions) by source: that of its source, rarer emotions raised."""
    labels = np.concatenate([part[1] for part in parts.values()])
    return np.concatenate([np.full(len(part[1]), WEIGHTS[name]) for name, part in parts.items()]) * texthead.balance(labels, POWER)


def logistic(parts):
    """The baseline: a logistic head on the embeddings as they are. Scaling them lets it converge; the penalty is scaled alike."""
    x, labels = (np.concatenate([part[k] for part in parts.values()]) for k in (0, 1))
    mean, scale = x.mean(axis=0), x.std()
    model = LogisticRegression(C=10 * scale ** 2, max_iter=1000).fit((x - mean) / scale, labels, weigh(parts))
    return lambda x: model.decision_function((x - mean) / scale)


def report(name, scores, linear, labels, metrics):
    f1, base = texthead.macro_f1(scores, labels), texthead.macro_f1(linear, labels)
    constant = f1_score(labels, np.full(len(labels), np.bincount(labels).argmax()), average="macro")
    metrics[f"macro_f1.emotions_{name}"] = f1
    metrics[f"accuracy.emotions_{name}"] = float(np.mean(scores.argmax(axis=1) == labels))
    print(f"{name:<8} {len(labels):>6} {constant:>9.3f} {base:>9.3f} {f1:>9.3f} {metrics[f'accuracy.emotions_{name}']:>9.3f}  "
          + " ".join(f"{x:.2f}" for x in f1_score(labels, scores.argmax(axis=1), average=None, labels=range(len(EMOTIONS)))), flush=True)


def measure(data, vectors):
    """Returns (metrics, temperature)."""
    metrics, rng = {}, np.random.default_rng(SEED)
    x = {name: vectors[name] for name in data}
    y = {name: labels for name, (_, labels) in data.items()}
    apart = rng.random(len(y["en"])) < HELD_OUT
    fold = rng.integers(FOLDS, size=len(y["ru"]))
    print(f"{'source':<8} {'texts':>6} {'constant':>9} {'logistic':>9} {'macro-F1':>9} {'accuracy':>9}  F1 of {', '.join(EMOTIONS)}")
    linear, scores = np.zeros((len(y["ru"]), len(EMOTIONS))), np.zeros((len(y["ru"]), len(EMOTIONS)))
    for k in range(FOLDS):
        parts = {name: (x[name], y[name]) for name in data}
        parts["en"] = x["en"][~apart], y["en"][~apart]
        parts["ru"] = x["ru"][fold != k], y["ru"][fold != k]
        head, baseline = Head(parts), logistic(parts)
        linear[fold == k] = baseline(x["ru"][fold == k])
        scores[fold == k] = head.logits(x["ru"][fold == k])
        if k == 0:
            english = head.logits(x["en"][apart])
            report("en", english, baseline(x["en"][apart]), y["en"][apart], metrics)
    report("ru", scores, linear, y["ru"], metrics)
    temperature = texthead.best_temperature(np.concatenate([english, scores]), np.concatenate([y["en"][apart], y["ru"]]))
    for name, s, labels in (("en", english, y["en"][apart]), ("ru", scores, y["ru"])):
        metrics[f"calibration_error.emotions_{name}"] = texthead.calibration_error(s / temperature, labels)
        print(f"calibration error {name}: {texthead.calibration_error(s, labels):.3f} before,"
              f" {metrics[f'calibration_error.emotions_{name}']:.3f} after dividing by {temperature:.2f}")
    return metrics, temperature


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds text/")
    parser.add_argument("--out", type=Path, default=ROOT / "models/sentiment", help="the bundle's directory")
    parser.add_argument("--cache", type=Path, help="a folder that keeps the embeddings for the next time")
    args = parser.parse_args()
    started = time.monotonic()

    data = load(args.data / "text")
    encoder = Encoder(args.out)
    vectors = {}
    for name, (texts, labels) in data.items():
        kept = args.cache and args.cache / f"emotions-{name}.npy"
        if kept and kept.is_file() and len(np.load(kept, mmap_mode="r")) == len(texts):
            vectors[name] = np.load(kept)
        else:
            vectors[name] = encoder.embed(texts)
            if kept:
                np.save(kept, vectors[name])
        print(f"  {name}: {len(texts)} texts, {np.bincount(labels, minlength=len(EMOTIONS)).tolist()} {', '.join(EMOTIONS)}", flush=True)
    metrics, temperature = measure(data, vectors)
    head = Head({name: (vectors[name], data[name][1]) for name in data})
    model = head.export(temperature)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    some = vectors["ru"][:256]
    off = np.abs(session.run(["logits"], {"embedding": some})[0] - head.logits(some) / temperature).max()
    assert off < 1e-3, f"the graph is {off} off"
    texthead.extend(args.out, "emotions", model, encoder, script="emotions.py",
                    step={"graph": "emotions", "inputs": {"embedding": "encoder.sentence_embedding"}},
                    head={"source": "emotions.logits", "classes": {"names": list(EMOTIONS), "activation": "ACTIVATION_SOFTMAX"}},
                    metrics=metrics)
    print(f"{len(model)} bytes; {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
