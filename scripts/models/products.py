"""Trains and exports the small parts of models/products: the clothing head, labels, goldens and the manifest.

    python scripts/models/products.py --data DIR [--out models/products]

DIR holds images/clothing-train and images/clothing-validation (clothing-dataset-small, CC0), a folder per category.
The large part, efficientnet-lite0.onnx, must be there already: `make setup` rebuilds it.

A picture is prepared as the server does it from the manifest: its shorter side to 224 pixels (Pillow, bilinear), the middle
224 × 224, (value - 127) / 128. The head is a linear discriminant (Fisher, 1936; Rao, 1948) on the square roots of the
network's 1,280 features, which evens out their skewed sizes, with a shrunken covariance, from four views of every picture.
Its scores are divided by a temperature (Guo et al., 2017) found on held-out folds:

    features       float32 [N, 1280]
    probabilities  float32 [N, 10], categories in alphabetical order
"""

import argparse
import ast
import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import skimage
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageOps
from sklearn.model_selection import StratifiedKFold

from efficientnet import FILE, SIZE, Wheel, fetch
from manifest import write

ROOT = Path(__file__).resolve().parents[2]
MEAN, STD = 127, 128
SHRINKAGE = 0.4  # share of a multiple of the identity in the covariance
TEMPERATURES = np.arange(1, 10.25, 0.25)
SEED = 0
# The names of the ImageNet classes as torchvision has them (BSD 3-Clause): short, and every one of them different.
LABELS = Wheel("torchvision", "0.29.2", "0875f7a23bd298813240f716c56df44ce72ddb45146589442a38edd0e1f59637",
               "py3-none-manylinux_2_28_x86_64")
# Free pictures of scikit-image, cut down to what the server would make of them anyway.
GOLDENS = {"chelsea.png": "goldens/cat.png", "coffee.png": "goldens/coffee.png", "astronaut.png": "goldens/astronaut.png"}
GOLDEN_SIDE = 256
# How far probabilities may be off: float32 kernels differ in the last digits, bfloat16 in the third one.
TOLERANCES = (("FP32", 0.001), ("TF32", 0.005), ("FP16", 0.005), ("BF16", 0.03))


def shortest_edge(picture, side):
    """Resizes so that the shorter side has `side` pixels and the longer one follows, rounded down."""
    width, height = picture.size
    short = min(width, height)
    return picture.resize((side * width // short, side * height // short), Image.Resampling.BILINEAR)


def centre(picture):
    """The middle SIZE × SIZE pixels; a half pixel goes to the even offset."""
    left, top = (round((side - SIZE) / 2) for side in picture.size)
    return picture.crop((left, top, left + SIZE, top + SIZE))


def tensor(picture):
    """float32 [3, SIZE, SIZE] of a picture that has its size."""
    return ((np.asarray(picture, np.float32) - MEAN) / STD).transpose(2, 0, 1)


def read(folder):
    """The pictures of a folder of folders, their labels and the folders' names in order."""
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    files = [(path, label) for label, name in enumerate(names) for path in sorted((folder / name).iterdir())]
    return [Image.open(path).convert("RGB") for path, _ in files], np.array([label for _, label in files]), names


def features(network, views):
    """float32 [N, 1280] of an iterable of pictures of the network's size."""
    views = list(views)
    batches = [np.stack([tensor(view) for view in views[at:at + 16]]) for at in range(0, len(views), 16)]
    return np.concatenate([network.run(["features"], {"image": batch})[0] for batch in batches])


class Discriminant:
    """Gaussian classes with one covariance, which makes the log-odds linear: scores = roots · weights + bias."""

    temperature = 1.0

    def fit(self, views, labels):
        """Fits views [views, N, 1280] of N pictures."""
        roots, labels = np.sqrt(views.reshape(-1, views.shape[-1])), np.tile(labels, len(views))
        classes = range(labels.max() + 1)
        means = np.stack([roots[labels == label].mean(axis=0) for label in classes]).astype(np.float64)
        rest = roots - means.astype(np.float32)[labels]
        covariance = (rest.T @ rest / len(rest)).astype(np.float64)
        shrunken = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        self.weights = np.linalg.solve(shrunken, means.T).T
        self.bias = np.log(np.bincount(labels) / len(labels)) - (self.weights * means).sum(axis=1) / 2
        return self

    def scores(self, vectors):
        return (np.sqrt(vectors) @ self.weights.T + self.bias) / self.temperature

    def accuracy(self, vectors, labels):
        return float((self.scores(vectors).argmax(axis=1) == labels).mean())


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def cross_validate(views, labels):
    """5 stratified folds. Returns the accuracy on the plain view of held-out pictures and the best temperature."""
    scores = np.empty((len(labels), labels.max() + 1))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=SEED).split(labels[:, None], labels):
        scores[test] = Discriminant().fit(views[:, train], labels[train]).scores(views[0, test])

    def surprise(temperature):
        return -np.log(softmax(scores / temperature)[np.arange(len(labels)), labels]).mean()

    return float((scores.argmax(axis=1) == labels).mean()), float(min(TEMPERATURES, key=surprise))


def export(model, names):
    """The head as an ONNX model. The same weights give the same bytes."""
    weights, bias = model.weights / model.temperature, model.bias / model.temperature
    result = helper.make_model(
        helper.make_graph(
            [helper.make_node("Sqrt", ["features"], ["roots"], name="roots"),
             helper.make_node("Gemm", ["roots", "weights", "bias"], ["logits"], name="logits", transB=1),
             helper.make_node("Softmax", ["logits"], ["probabilities"], name="probabilities", axis=1)],
            "clothing", [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", weights.shape[1]])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(names)])],
            [numpy_helper.from_array(weights.astype(np.float32), "weights"),
             numpy_helper.from_array(bias.astype(np.float32), "bias")]),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="scry")
    onnx.checker.check_model(result)
    return result.SerializeToString(deterministic=True)


def imagenet_labels():
    """The 1,000 names, read from the package's source without running it."""
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(fetch(LABELS, Path(scratch))) as wheel:
        tree = ast.parse(wheel.read("torchvision/models/_meta.py"))
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id == "_IMAGENET_CATEGORIES":
            return ast.literal_eval(statement.value)
    raise SystemExit("torchvision's list of ImageNet categories is not where it was")


def golden_pictures(out):
    """Writes the golden pictures; PNG, so that no JPEG decoder stands between the trainer and the server."""
    for source, target in GOLDENS.items():
        picture = Image.open(Path(skimage.__file__).parent / "data" / source).convert("RGB")
        (out / target).parent.mkdir(parents=True, exist_ok=True)
        shortest_edge(picture, GOLDEN_SIDE).save(out / target, optimize=True)


def golden_lines(network, clothing, out):
    """One golden a line in protobuf JSON: the picture's file and what the graphs give."""
    lines = []
    for target in GOLDENS.values():
        view = centre(shortest_edge(Image.open(out / target), SIZE))
        probabilities, vector = network.run(["probabilities", "features"], {"image": tensor(view)[None]})
        outputs = {"cnn.probabilities": probabilities,
                   "clothing.probabilities": clothing.run(["probabilities"], {"features": vector})[0]}
        lines.append(json.dumps({"image": target, "outputs": {
            name: {"values": [float(f"{value:.6g}") for value in output.ravel()]} for name, output in outputs.items()}}))
    return "\n".join(lines) + "\n"


def manifest(names, metrics):
    """The content of bundle.yaml."""
    return {
        "description": "What a picture shows (1,000 ImageNet classes), which piece of clothing it is, and a vector for similarity.",
        "license": "Apache-2.0",
        "graphs": {"cnn": {"file": FILE}, "clothing": {"file": "clothing.onnx"}},
        "steps": [{"graph": "cnn"}, {"graph": "clothing", "inputs": {"features": "cnn.features"}}],
        "heads": {
            "imagenet": {"source": "cnn.probabilities", "labels": {"names_file": "labels.txt"}},
            "clothing": {"source": "clothing.probabilities", "labels": {"names": names}},
            "embedding": {"source": "cnn.features", "embedding": {"normalize": True}},
        },
        "image": {
            "input": "image",
            "resize": {"mode": "RESIZE_MODE_SHORTEST_EDGE", "width": SIZE, "filter": "FILTER_BILINEAR"},
            "crop_width": SIZE, "crop_height": SIZE, "mean": [MEAN], "std": [STD],
            "layout": "LAYOUT_NCHW", "channels": "CHANNELS_RGB",
        },
        "goldens": {"file": "goldens.jsonl", "tolerances": [
            {"precision": f"PRECISION_{precision}", "absolute": absolute} for precision, absolute in TOLERANCES]},
        "lineage": {
            "data": ["ImageNet-1k (the network, as its authors trained it)", "clothing-dataset-small, CC0 (the clothing head)"],
            "code": "scripts/models/products.py",
            "metrics": metrics,
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds images/clothing-train and images/clothing-validation")
    parser.add_argument("--out", type=Path, default=ROOT / "models/products", help="the bundle's directory")
    args = parser.parse_args()
    if not (args.out / FILE).is_file():
        raise SystemExit(f"{args.out / FILE} is missing: run make setup first")
    network = onnxruntime.InferenceSession(args.out / FILE)

    pictures, labels, names = read(args.data / "images/clothing-train")
    tests, truth, test_names = read(args.data / "images/clothing-validation")
    assert names == test_names
    print(f"{len(pictures)} pictures to train on, {len(tests)} to validate, {len(names)} categories", flush=True)
    plain = [centre(shortest_edge(picture, SIZE)) for picture in pictures]
    padded = [ImageOps.pad(picture, (SIZE, SIZE), Image.Resampling.BILINEAR) for picture in pictures]
    views = np.stack([features(network, map(make, whole)) for whole in (plain, padded) for make in (Image.Image.copy, ImageOps.mirror)])
    test_features = features(network, (centre(shortest_edge(picture, SIZE)) for picture in tests))

    common = np.bincount(labels).argmax()
    print(f"\n{'accuracy':<26}{'5 folds':>9}{'validation':>12}")
    print(f"{'the commonest category':<26}{np.mean(labels == common):>9.3f}{np.mean(truth == common):>12.3f}")
    for name, used in (("one view of each picture", views[:1]), ("all views", views)):
        folds, temperature = cross_validate(used, labels)
        model = Discriminant().fit(used, labels)
        validation = model.accuracy(test_features, truth)
        print(f"{name:<26}{folds:>9.3f}{validation:>12.3f}", flush=True)
    model.temperature = temperature
    probabilities = softmax(model.scores(test_features))
    predicted = probabilities.argmax(axis=1)
    print(f"temperature {temperature}; mean probability of the first label {probabilities.max(axis=1).mean():.3f}")
    print(f"\n{'category':<12}{'pictures':>9}{'recall':>8}{'precision':>11}  taken for")
    for label, name in enumerate(names):
        own, said = truth == label, predicted == label
        wrong = np.bincount(predicted[own & ~said], minlength=len(names))
        others = ", ".join(f"{names[other]} {wrong[other]}" for other in np.argsort(-wrong, kind="stable") if wrong[other])
        print(f"{name:<12}{own.sum():>9}{(own & said).sum() / own.sum():>8.2f}{(own & said).sum() / said.sum():>11.2f}  {others}")

    graph = export(model, names)
    clothing = onnxruntime.InferenceSession(graph)
    difference = np.abs(clothing.run(None, {"features": test_features})[0] - probabilities).max()
    print(f"\nthe graph's probabilities are within {difference:.1e} of the model's")
    if validation < 0.86 or difference > 1e-4:
        raise SystemExit(f"not exported: accuracy {validation:.3f}")
    (args.out / "clothing.onnx").write_bytes(graph)
    (args.out / "labels.txt").write_text("\n".join(imagenet_labels()) + "\n", encoding="utf-8")
    golden_pictures(args.out)
    (args.out / "goldens.jsonl").write_text(golden_lines(network, clothing, args.out), encoding="utf-8")
    metrics = {"clothing_accuracy": validation, "clothing_accuracy_folds": folds}
    write(args.out / "bundle.yaml", manifest(names, {name: round(float(value), 4) for name, value in metrics.items()}),
          "scripts/models/products.py")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
