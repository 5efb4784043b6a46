"""Trains, measures and exports targets.onnx of models/sentiment: the opinion towards something that a sentence mentions.

    python scripts/models/targets.py --data DIR [--out models/sentiment] [--cache DIR]

DIR holds the text sets of sentiment_data.py; the encoder is there after `make setup`. Needs what sentiment.py needs. The
encoder takes most of the time; --cache keeps what it gave. It adds its head to the
bundle that sentiment.py wrote: graph, manifest and goldens.

The network reads each token's state beside the sentence's embedding, and what it says of a mention is the mean of its logits
over the mention's tokens: so one pass of the encoder serves all mentions of a sentence. It is trained on the Russian news
sentences of RuSentNE, which label the attitude of the text, or of somebody in it, towards an entity. A fifth of the sentences
is kept apart for measuring; the head that is exported is trained on everything. RuSentNE validation is never read. No
English text labels targets: what carries over is measured on English reviews that name a product, as far as that can be.

    states       float32 [N, tokens, 384], the encoder's last_hidden_state
    embedding    float32 [N, 384], the encoder's sentence_embedding
    logits       float32 [N, tokens, 3], in the order negative, neutral, positive, divided by the temperature
"""

import argparse
import csv
import re
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression

import texthead
from encoder import HIDDEN
from sentiment import PREFIX, ROOT, Encoder
from sentiment_data import NEGATIVE, POLARITIES, POSITIVE, SOURCES

SEED = 0
HELD_OUT = 0.2
PARTS = 8  # tokens of a mention that training reads
MEMBERS, WIDTH, POWER, EPOCHS = 2, 64, 0.5, 30
PRODUCTS = re.compile(r"\b(phone|headset|battery|case|charger|product|item|bluetooth|movie|film)s?\b", re.IGNORECASE)


def read(path):
    """(sentence, begin, end, polarity) by mention; offsets in code points."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            begin, end = int(row["entity_pos_start_rel"]), int(row["entity_pos_end_rel"])
            assert row["sentence"][begin:end] == row["entity"]
            yield row["sentence"], begin, end, int(row["label"]) + 1


def read_products(folder):
    """English reviews that name a product, as far as these words find it: the polarity is that of the whole sentence."""
    for name in ("amazon", "imdb"):
        for text, polarity in SOURCES[name].read(folder / SOURCES[name].file):
            found = PRODUCTS.search(text)
            if found and len(text) < 200:
                yield text, found.start(), found.end(), polarity


def features(encoder, mentions, batch=16):
    """(states of the mentions' tokens [mentions, PARTS, HIDDEN], mask [mentions, PARTS], embeddings [mentions, HIDDEN])."""
    rows = {}
    for k, mention in enumerate(mentions):
        rows.setdefault(mention[0], []).append(k)
    texts = list(rows)
    tokens = [encoder.tokenizer.encode(PREFIX + text) for text in texts]
    states, mask = np.zeros((len(mentions), PARTS, HIDDEN), np.float32), np.zeros((len(mentions), PARTS), np.float32)
    embeddings = np.zeros((len(mentions), HIDDEN), np.float32)
    order = np.argsort([len(each.ids) for each in tokens], kind="stable")
    for at in range(0, len(order), batch):
        group = order[at:at + batch]
        shape = len(group), max(len(tokens[i].ids) for i in group)
        feeds = {"input_ids": np.ones(shape, np.int64), "attention_mask": np.zeros(shape, np.int64)}
        for row, i in enumerate(group):
            feeds["input_ids"][row, :len(tokens[i].ids)] = tokens[i].ids
            feeds["attention_mask"][row, :len(tokens[i].ids)] = 1
        hidden, embedding = encoder.session.run(["last_hidden_state", "sentence_embedding"], feeds)
        for row, i in enumerate(group):
            for k in rows[texts[i]]:
                begin, end = mentions[k][1] + len(PREFIX), mentions[k][2] + len(PREFIX)
                inside = [j for j, (a, b) in enumerate(tokens[i].offsets) if a < end and b > begin][:PARTS]
                states[k, :len(inside)], mask[k, :len(inside)] = hidden[row, inside], 1
                embeddings[k] = embedding[row]
    return states, mask, embeddings


def kept(cache, name, make):
    path = cache and cache / f"targets-{name}.npz"
    if path and path.is_file():
        with np.load(path) as arrays:
            return arrays["states"], arrays["mask"], arrays["embeddings"]
    result = make()
    if path:
        np.savez(path, states=result[0], mask=result[1], embeddings=result[2])
    return result


class Network:
    """MEMBERS networks as one. The states are scaled like the embeddings, which have norm 1."""

    def __init__(self, states, mask, embeddings, labels, power=POWER, width=WIDTH, members=MEMBERS):
        present = states[mask > 0]
        self.means = present.mean(axis=0), embeddings.mean(axis=0)
        self.scales = present.std(), embeddings.std()
        weights = texthead.balance(labels, power)
        x = self.joined(states, embeddings)
        networks = [texthead.train(x, mask, labels, weights, len(POLARITIES), width, SEED + member, epochs=EPOCHS) for member in range(members)]
        w1, b1, w2, b2 = zip(*networks)
        self.parameters = [np.concatenate(w1, axis=1), np.concatenate(b1),
                           np.concatenate([w.astype(np.float32) / members for w in w2]).astype(np.float16),
                           np.mean([b.astype(np.float32) for b in b2], axis=0).astype(np.float16)]

    def joined(self, states, embeddings):
        states = (states - self.means[0]) / self.scales[0]
        embeddings = ((embeddings - self.means[1]) / self.scales[1])[:, None].repeat(states.shape[1], axis=1)
        return np.concatenate([states, embeddings], axis=2)

    def logits(self, states, mask, embeddings):
        return texthead.logits(self.parameters, self.joined(states, embeddings), mask)

    def export(self, temperature):
        w1, b1, w2, b2 = self.parameters
        tensors, nodes = texthead.constants(
            {"state.weight": w1[:HIDDEN], "sentence.weight": w1[HIDDEN:], "output": w2},
            **{"state.mean": self.means[0], "state.scale": self.scales[0], "sentence.mean": self.means[1],
               "sentence.scale": self.scales[1], "hidden.bias": b1, "output.bias": b2, "temperature": temperature})
        tensors.append(onnx.numpy_helper.from_array(np.array([1], np.int64), "axis"))
        nodes += [helper.make_node(op, inputs, [output], name=output) for op, inputs, output in (
            ("Sub", ["states", "state.mean"], "state.centred"),
            ("Div", ["state.centred", "state.scale"], "state.scaled"),
            ("MatMul", ["state.scaled", "state.weight"], "state.sum"),
            ("Sub", ["embedding", "sentence.mean"], "sentence.centred"),
            ("Div", ["sentence.centred", "sentence.scale"], "sentence.scaled"),
            ("Gemm", ["sentence.scaled", "sentence.weight", "hidden.bias"], "sentence.sum"),
            ("Unsqueeze", ["sentence.sum", "axis"], "sentence.each"),
            ("Add", ["state.sum", "sentence.each"], "hidden.sum"))]
        nodes += texthead.gelu("hidden.sum", "gelu")
        nodes += [helper.make_node(op, inputs, [output], name=output) for op, inputs, output in (
            ("MatMul", ["gelu", "output"], "output.sum"), ("Add", ["output.sum", "output.bias"], "sum"),
            ("Div", ["sum", "temperature"], "logits"))]

        def value(name, shape):
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        model = helper.make_model(
            helper.make_graph(nodes, "targets", [value("states", ["batch", "tokens", HIDDEN]), value("embedding", ["batch", HIDDEN])],
                              [value("logits", ["batch", "tokens", len(POLARITIES)])], tensors),
            opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="scry")
        onnx.checker.check_model(model)
        return model.SerializeToString(deterministic=True)


def pooled(states, mask):
    return states.sum(axis=1) / mask.sum(axis=1, keepdims=True)


def logistic(x, labels):
    mean, scale = x.mean(axis=0), x.std(axis=0)
    model = LogisticRegression(C=0.01, max_iter=500).fit((x - mean) / scale, labels, texthead.balance(labels, POWER))
    return lambda x: model.decision_function((x - mean) / scale)


def polar(scores, labels):
    """Accuracy of telling positive from negative."""
    return float(np.mean((scores[:, POSITIVE] > scores[:, NEGATIVE]) == (labels == POSITIVE)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds text/")
    parser.add_argument("--out", type=Path, default=ROOT / "models/sentiment", help="the bundle's directory")
    parser.add_argument("--cache", type=Path, help="a folder that keeps what the encoder gave for the next time")
    args = parser.parse_args()
    started = time.monotonic()

    encoder = Encoder(args.out)
    mentions = list(read(args.data / "text/rusentne_train.csv"))
    labels = np.array([mention[3] for mention in mentions])
    states, mask, embeddings = kept(args.cache, "rusentne", lambda: features(encoder, mentions))
    products = list(read_products(args.data / "text"))
    product_labels = np.array([mention[3] for mention in products])
    english = kept(args.cache, "products", lambda: features(encoder, products))

    names = list(dict.fromkeys(mention[0] for mention in mentions))
    chosen = set(np.random.default_rng(SEED).permutation(len(names))[:round(HELD_OUT * len(names))].tolist())
    chosen = {names[i] for i in chosen}
    apart = np.array([mention[0] in chosen for mention in mentions])
    print(f"{len(mentions)} mentions in {len(names)} sentences, {np.bincount(labels).tolist()} {', '.join(POLARITIES)}; {apart.sum()} kept apart")

    session = onnxruntime.InferenceSession(str(args.out / "head.onnx"), providers=["CPUExecutionProvider"])
    sentence = session.run(["logits"], {"embedding": embeddings[apart]})[0]
    metrics = {}
    rows = {"constant": np.eye(3)[np.ones(apart.sum(), int)], "the sentence's polarity (head.onnx)": sentence}
    x = {"logistic on the sentence": embeddings, "logistic on the mention": pooled(states, mask),
         "logistic on both": np.concatenate([pooled(states, mask), embeddings], axis=1)}
    for name, values in x.items():
        rows[name] = logistic(values[~apart], labels[~apart])(values[apart])
    network = Network(states[~apart], mask[~apart], embeddings[~apart], labels[~apart])
    scores = rows["targets.onnx"] = network.logits(states[apart], mask[apart], embeddings[apart])
    for name, values in rows.items():
        print(f"{name:<36} macro-F1 {texthead.macro_f1(values, labels[apart]):.3f} accuracy {np.mean(values.argmax(axis=1) == labels[apart]):.3f}")
    # Where a sentence holds opposite opinions, only the mention can tell.
    both = {}
    for mention in mentions:
        both.setdefault(mention[0], set()).add(mention[3])
    torn = np.array([{NEGATIVE, POSITIVE} <= both[mention[0]] and mention[3] != 1 for mention in mentions])[apart]
    for name in ("the sentence's polarity (head.onnx)", "logistic on the sentence", "targets.onnx"):
        print(f"  opposite opinions in one sentence ({torn.sum()} mentions): {polar(rows[name][torn], labels[apart][torn]):.3f} {name}")
    metrics["macro_f1.targets_ru"] = texthead.macro_f1(scores, labels[apart])
    metrics["macro_f1.targets_ru_sentence"] = texthead.macro_f1(sentence, labels[apart])
    temperature = texthead.best_temperature(scores, labels[apart])
    metrics["calibration_error.targets_ru"] = texthead.calibration_error(scores / temperature, labels[apart])
    print(f"calibration error {texthead.calibration_error(scores, labels[apart]):.3f} before,"
          f" {metrics['calibration_error.targets_ru']:.3f} after dividing by {temperature:.2f}")

    network = Network(states, mask, embeddings, labels)
    metrics["accuracy.targets_en_products"] = polar(network.logits(*english), product_labels)
    print(f"English reviews that name a product: {len(products)}, positive against negative {metrics['accuracy.targets_en_products']:.3f},"
          f" a logistic head on Russian sentences {polar(logistic(embeddings, labels)(english[2]), product_labels):.3f},"
          f" the larger class {max(np.mean(product_labels == POSITIVE), np.mean(product_labels == NEGATIVE)):.3f}")

    model = network.export(temperature)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    each = session.run(["logits"], {"states": states[:64], "embedding": embeddings[:64]})[0]
    mean = (each * mask[:64, :, None]).sum(axis=1) / mask[:64].sum(axis=1, keepdims=True)
    off = np.abs(mean - network.logits(states[:64], mask[:64], embeddings[:64]) / temperature).max()
    assert off < 1e-3, f"the graph is {off} off"
    texthead.extend(args.out, "targets", model, encoder, script="targets.py",
                    ports={"inputs": {"states": {"batch_axis": 0, "sequence_axis": 1, "pad_value": 0}},
                           "outputs": {"logits": {"batch_axis": 0, "sequence_axis": 1}}},
                    step={"graph": "targets", "inputs": {"states": "encoder.last_hidden_state", "embedding": "encoder.sentence_embedding"}},
                    head={"source": "targets.logits", "targets": {name: i for i, name in enumerate(POLARITIES)}},
                    metrics=metrics)
    print(f"{len(model)} bytes; {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
