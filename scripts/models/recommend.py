"""Trains and exports models/recommend: which items suit a customer of an online shop, by what he or she bought.

    python scripts/models/recommend.py --data DIR [--out models/recommend]

DIR holds recsys/online_retail.parquet (Online Retail, UCI Machine Learning Repository).

The model is a linear autoencoder without self-similarity (EASE; Steck, 2019), brought to a low rank: its matrix B of item by
item is replaced by U V', where V are the leading right singular vectors of the training customers' predictions and U = B V,
the best approximation of these predictions of that rank (reduced-rank regression). V are the items' vectors; U lies in the
graph, which sums the rows of a history, each weighing half after so many later purchases:

    item        int64   [N, events], places of items, -1 = unknown or padding
    mask        float32 [N, events], 1 = an event
    query       float32 [N, size]

An item's score is query . vector + bias. The bias is what sold lately; an item that was bought before gets the repeat weight
for each time. All choices (windows, weights, penalty, rank's use) are made on October 2011 by what was bought before it;
the measurements are of November and December by what was bought before them. Nothing of a later day is seen.
"""

import argparse
import json
import re
from collections import Counter, defaultdict
from datetime import date, timedelta
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pyarrow.parquet
import scipy.linalg
from onnx import TensorProto, helper, numpy_helper

from manifest import write

ROOT = Path(__file__).resolve().parents[2]
PLACES = 10
SIZE = 32
EVENTS = 500
SPLITS = {"choice": ("2011-10-01", "2011-11-01"), "test": ("2011-11-01", "2012-01-01")}
RESAMPLES = 1000
GOLDEN_TOLERANCE = 1e-4


def read(path):
    """Purchases of known customers, by time: (day, invoice, customer, item); and titles and prices by item."""
    table = pyarrow.parquet.read_table(path)
    columns = [table[name].to_pylist() for name in
               ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")]
    lines, titles, prices = [], defaultdict(Counter), defaultdict(list)
    for invoice, code, title, quantity, day, price, customer in zip(*columns):
        # Cancellations begin with C; postage, fees and vouchers have no number of five digits.
        if customer is None or customer != customer or invoice.startswith("C") or quantity <= 0 or not price > 0:
            continue
        if not re.match(r"\d{5}", code):
            continue
        item = code.upper()
        lines.append((day, invoice, int(customer), item))
        titles[item][" ".join((title or "").split())] += 1
        prices[item].append(price)
    seen, purchases = set(), []
    for day, invoice, customer, item in sorted(lines):
        if (invoice, item) not in seen:
            seen.add((invoice, item))
            purchases.append((day[:10], customer, item))
    return purchases, titles, prices


class Split:
    """What was bought before a day, and what after it."""

    def __init__(self, purchases, place, begin, end):
        self.begin = date.fromisoformat(begin)
        self.items = len(place)
        self.history, self.recent = defaultdict(list), Counter()
        self.bought = {days: set() for days in (30, 60, 10_000)}
        future = defaultdict(set)
        for day, customer, item in purchases:
            if day < begin:
                self.history[customer].append(place[item])
                age = (self.begin - date.fromisoformat(day)).days
                for days, pairs in self.bought.items():
                    if age <= days:
                        pairs.add((customer, place[item]))
            elif day < end:
                future[customer].add(place[item])
        self.customers = sorted(self.history)
        self.tested = [c for c in self.customers if c in future]
        self.targets = [future[c] for c in self.tested]
        self.owned = self.counts(self.tested)
        self.new = [t - set(np.flatnonzero(row)) for t, row in zip(self.targets, self.owned)]

    def counts(self, customers):
        x = np.zeros((len(customers), self.items), np.float32)
        for row, customer in enumerate(customers):
            np.add.at(x[row], self.history[customer], 1)
        return x

    @cache
    def weights(self, half_life):
        """Histories of the tested customers as the graph weighs them."""
        x = np.zeros((len(self.tested), self.items), np.float32)
        for row, customer in enumerate(self.tested):
            last = self.history[customer][-EVENTS:]
            np.add.at(x[row], last, 0.5 ** (np.arange(len(last))[::-1] / half_life))
        return x

    @cache
    def together(self):
        """How many customers bought two items, [items, items]."""
        x = (self.counts(self.customers) > 0).astype(np.float64)
        return x.T @ x

    def popularity(self, days):
        sold = np.zeros(self.items, np.float32)
        for _, item in self.bought[days]:
            sold[item] += 1
        return sold


def measure(split, scores, repeats):
    """NDCG and recall at PLACES of each tested customer, and the share of items that anybody gets. Without repeats, what was
    bought before is left out, of the lists and of what counts."""
    targets = split.targets if repeats else split.new
    rows = [r for r, t in enumerate(targets) if t]
    scores = scores if repeats else np.where(split.owned > 0, -np.inf, scores)
    discount = 1 / np.log2(np.arange(2, PLACES + 2))
    ndcg, recall, shown = np.empty(len(rows)), np.empty(len(rows)), set()
    for out, r in enumerate(rows):
        top = np.argpartition(-scores[r], PLACES)[:PLACES]
        top = top[np.argsort(-scores[r][top], kind="stable")]
        shown.update(top.tolist())
        hits = np.isin(top, list(targets[r]))
        possible = min(PLACES, len(targets[r]))
        ndcg[out], recall[out] = (hits * discount).sum() / discount[:possible].sum(), hits.sum() / possible
    return ndcg, recall, len(shown) / split.items


def interval(values):
    """Mean and 95 % interval by resampling customers."""
    rng = np.random.default_rng(0)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)]
    return values.mean(), *np.quantile(means, (0.025, 0.975))


class Popularity:
    """What most customers bought within so many days."""

    grid = [dict(days=days) for days in (30, 60, 10_000)]

    def __init__(self, split, days):
        self.sold = split.popularity(days)

    def scores(self, split, repeats):
        return np.tile(self.sold, (len(split.tested), 1))


class Own:
    """What the customer bought most often, then what sold lately."""

    grid = [dict(days=days) for days in (30, 60, 10_000)]

    def __init__(self, split, days):
        self.sold = split.popularity(days)

    def scores(self, split, repeats):
        return split.owned + self.sold / 1e5


class ItemItem:
    """Cosines of the customers who bought two items (Sarwar et al., 2001), shrunk, with the customer's own counts beside
    them where repeats count."""

    grid = [dict(shrink=s, half_life=h, own=o) for s, h, o in product((0, 5, 20), (50, 200, 1e9), (0, 3, 10, 30))]

    def __init__(self, split, shrink, half_life, own):
        self.similar = similar(split, shrink, half_life)
        self.own = own

    def scores(self, split, repeats):
        return self.similar + (self.own * split.owned if repeats else 0)


@cache
def similar(split, shrink, half_life):
    """The summed cosines of each tested customer's items with each item."""
    norm = np.sqrt(np.diag(split.together()))
    cosine = (split.together() / (np.outer(norm, norm) + shrink + 1e-9)).astype(np.float32)
    np.fill_diagonal(cosine, 0)
    return split.weights(half_life) @ cosine


class Model:
    """The model that is exported. Its repeat weight counts where repeats do."""

    grid = [dict(penalty=p, half_life=h, lately=b, repeat=r) for p, h, b, r in
            product((150, 300, 600), (50, 100), (0.02, 0.04, 0.08), (0.2, 0.5))]

    def __init__(self, split, penalty, half_life, lately, repeat):
        self.left, self.right = factors(split, penalty)
        self.half_life, self.repeat = half_life, repeat
        self.bias = (lately * np.log1p(split.popularity(30))).astype(np.float32)

    def scores(self, split, repeats):
        query = split.weights(self.half_life) @ self.left
        return query @ self.right.T + self.bias + (self.repeat * split.owned if repeats else 0)


@cache
def factors(split, penalty):
    """U and V of the model, [items, SIZE] each."""
    together = split.together()
    inverse = np.linalg.inv(together + penalty * np.eye(len(together)))
    b = -inverse / np.diag(inverse)
    np.fill_diagonal(b, 0)
    # The right singular vectors of x b, x the customers' purchases, are the eigenvectors of b' x' x b.
    size = len(together)
    _, v = scipy.linalg.eigh(b.T @ together @ b, subset_by_index=(size - SIZE, size - 1))
    v = v[:, ::-1]
    v = v * np.where(v[np.abs(v).argmax(axis=0), np.arange(SIZE)] < 0, -1, 1)  # else their signs would be chance
    return (b @ v).astype(np.float32), v.astype(np.float32)


def choose(kind, split, repeats):
    """The settings of a kind whose NDCG, summed over the modes, is best on the split."""
    best = {}
    for settings in kind.grid:
        made = kind(split, **settings)
        for mode in repeats:
            score = measure(split, made.scores(split, mode), mode)[0].mean()
            best.setdefault(tuple(settings.items()), []).append(score)
    return dict(max(best, key=lambda settings: sum(best[settings])))


def quantised(u):
    """8 bits per element with a scale per row."""
    scale = np.abs(u).max(axis=1) / 127
    scale[scale == 0] = 1
    return np.round(u / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def export(model):
    """The graph from a history to a query. Unknown items and padding weigh nothing."""
    table, scale = quantised(model.left)
    half = np.float32(np.log(0.5) / model.half_life)
    constants = [
        numpy_helper.from_array(table, "table"), numpy_helper.from_array(scale, "scale"),
        numpy_helper.from_array(half, "log_half"), numpy_helper.from_array(np.int64(0), "zero"),
        numpy_helper.from_array(np.array([1], np.int64), "axis"),
        numpy_helper.from_array(np.int64(1), "along"),
    ]
    node = helper.make_node
    nodes = [
        # Purchases after an event: all events' number, less those up to it.
        node("CumSum", ["mask", "along"], ["later"], reverse=1, exclusive=1),
        node("Mul", ["later", "log_half"], ["log_weight"]),
        node("Exp", ["log_weight"], ["decay"]),
        node("Max", ["item", "zero"], ["place"]),
        node("GreaterOrEqual", ["item", "zero"], ["known"]),
        node("Cast", ["known"], ["is_known"], to=TensorProto.FLOAT),
        node("Gather", ["scale", "place"], ["item_scale"]),
        node("Mul", ["decay", "mask"], ["counted"]),
        node("Mul", ["counted", "is_known"], ["known_weight"]),
        node("Mul", ["known_weight", "item_scale"], ["weight"]),
        node("Gather", ["table", "place"], ["bytes"]),
        node("Cast", ["bytes"], ["rows"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["weight", "axis"], ["weights"]),  # [N, 1, events]
        node("MatMul", ["weights", "rows"], ["sum"]),  # [N, 1, size]
        node("Squeeze", ["sum", "axis"], ["query"]),
    ]
    graph = helper.make_graph(
        nodes, "recommend",
        [helper.make_tensor_value_info("item", TensorProto.INT64, ["N", "events"]),
         helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["N", "events"])],
        [helper.make_tensor_value_info("query", TensorProto.FLOAT, ["N", SIZE])], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], producer_name="scry", ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made


def run(made, histories):
    """Queries of histories of places, one by one."""
    session = onnxruntime.InferenceSession(made.SerializeToString())
    out = []
    for history in histories:
        item = np.array([history], np.int64)
        out.append(session.run(["query"], {"item": item, "mask": np.ones(item.shape, np.float32)})[0][0])
    return np.array(out)


def save(path, values):
    """A .npy file of float16: a vector needs no more."""
    with open(path, "wb") as file:
        np.lib.format.write_array(file, np.ascontiguousarray(values.astype(np.float16)), version=(1, 0), allow_pickle=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "recommend")
    args = parser.parse_args()

    purchases, titles, prices = read(args.data / "recsys" / "online_retail.parquet")
    items = sorted(titles)
    place = {item: k for k, item in enumerate(items)}
    print(f"{len(purchases)} purchases of {len({c for _, c, _ in purchases})} customers, {len(items)} items")
    splits = {name: Split(purchases, place, *days) for name, days in SPLITS.items()}

    kinds = {"popularity": Popularity, "own purchases, then popularity": Own, "item-item": ItemItem, "this one": Model}
    test, results, chosen = splits["test"], {}, {}
    for name, kind in kinds.items():
        # The baselines may choose for each measurement by itself; the model has one setting for both.
        for modes in ([(True, False)] if kind is Model else [(True,), (False,)]):
            settings = choose(kind, splits["choice"], modes)
            made = kind(test, **settings)
            for repeats in modes:
                results[name, repeats] = measure(test, made.scores(test, repeats), repeats)
                chosen[name, repeats] = settings
    for repeats in (False, True):
        tested = len(results["this one", repeats][0])
        print(f"\n{'repeats count' if repeats else 'what the customer never bought'}: {tested} customers")
        print("| model | NDCG@10 | recall@10 | coverage | chosen |\n| --- | --- | --- | --- | --- |")
        for name in kinds:
            ndcg, recall, coverage = results[name, repeats]
            cells = ["{:.3f} ({:.3f} – {:.3f})".format(*interval(values)) for values in (ndcg, recall)]
            print(f"| {name} | {cells[0]} | {cells[1]} | {coverage:.2f} | {chosen[name, repeats]} |")
        for name in ("popularity", "own purchases, then popularity", "item-item"):
            mean, low, high = interval(results["this one", repeats][0] - results[name, repeats][0])
            print(f"NDCG@10 above {name}: {mean:.4f} ({low:.4f} – {high:.4f})")
    for repeats in (False, True):
        for name in ("popularity", "item-item"):
            if results["this one", repeats][0].mean() < results[name, repeats][0].mean():
                raise SystemExit(f"not better than {name}: nothing is exported")

    short = {"popularity": "popularity", "own purchases, then popularity": "own", "item-item": "item_item"}
    metrics = {f"ndcg10{'_repeats' if repeats else ''}{'_' + short[name] if name in short else ''}": round(float(ndcg.mean()), 4)
               for (name, repeats), (ndcg, _, _) in results.items()}

    # What is exported saw all purchases.
    settings = chosen["this one", True]
    days = [day for day, _, _ in purchases]
    end = (date.fromisoformat(max(days)) + timedelta(days=1)).isoformat()
    everything = Split(purchases, place, end, end)
    model = Model(everything, **settings)
    made = export(model)

    # The graph against the same sums in numpy, with the 8 bits, and the 8 bits against none.
    table, scale = quantised(model.left)
    histories = [everything.history[c][-EVENTS:] for c in everything.customers[:200]]
    decay = [0.5 ** (np.arange(len(h))[::-1] / settings["half_life"]) for h in histories]
    want = np.array([d @ (table[h] * scale[h][:, None]) for h, d in zip(histories, decay)])
    got = run(made, histories)
    print(f"\ngraph against numpy: {np.abs(got - want).max():.1e}")
    rounded = Model(test, **settings)
    table, scale = quantised(rounded.left)
    rounded.left = table * scale[:, None]
    rounded.right = rounded.right.astype(np.float16).astype(np.float32)
    for repeats in (False, True):
        print(f"as stored, {'with' if repeats else 'without'} repeats: "
              f"NDCG@10 {measure(test, rounded.scores(test, repeats), repeats)[0].mean():.4f}")

    out = args.out
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.onnx").write_bytes(made.SerializeToString())
    save(out / "vectors.npy", model.right)
    save(out / "biases.npy", model.bias)
    first, last, buyers = {}, {}, everything.popularity(10_000)
    for day, _, item in purchases:
        first.setdefault(item, day)
        last[item] = day
    with open(out / "items.jsonl", "w", encoding="utf-8") as file:
        for k, item in enumerate(items):
            row = {"id": item, "title": titles[item].most_common(1)[0][0], "price": round(float(np.median(prices[item])), 2),
                   "buyers": int(buyers[k]), "first_sold": first[item], "last_sold": last[item]}
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
    # Histories made up for this project, of items of some note; no customer's.
    best = [items[k] for k in np.argsort(-buyers, kind="stable")]
    goldens = [best[:1], best[10:16], best[3:40:4], best[100:160], ["no such item", best[7]]]
    with open(out / "goldens.jsonl", "w", encoding="utf-8") as file:
        for history in goldens:
            query = run(made, [[place.get(item, -1) for item in history]])[0]
            row = {"features": {"history": [{"item": item} for item in history]},
                   "outputs": {"model.query": {"values": [round(float(x), 6) for x in query]}}}
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
    write(out / "bundle.yaml", manifest(settings, metrics), "scripts/models/recommend.py")
    print("\n" + ", ".join(f"{f.name} {f.stat().st_size}" for f in sorted(out.iterdir())))


def manifest(settings, metrics):
    return {
        "description": "Which items of an online shop suit a customer, by what he or she bought, or go with an item.",
        "license": "Apache-2.0",
        "graphs": {"model": {"file": "model.onnx"}},
        "row": {"features": [{
            "name": "history", "type": "FEATURE_TYPE_SEQUENCE", "max_events": EVENTS, "mask_input": "mask",
            "description": "Purchases, the oldest first.",
            "fields": [{"name": "item", "type": "FEATURE_TYPE_STRING", "index": {"first": 0, "unknown": -1},
                        "description": "The item's id, a stock code."}],
        }]},
        "heads": {"query": {"source": "model.query", "embedding": {}}},
        "catalogue": {"items": {
            "file": "items.jsonl",
            "attributes": [
                {"name": "title", "type": "ATTRIBUTE_TYPE_STRING"}, {"name": "price", "type": "ATTRIBUTE_TYPE_NUMBER"},
                {"name": "buyers", "type": "ATTRIBUTE_TYPE_NUMBER"}, {"name": "first_sold", "type": "ATTRIBUTE_TYPE_TIMESTAMP"},
                {"name": "last_sold", "type": "ATTRIBUTE_TYPE_TIMESTAMP"}],
            "vectors": "vectors.npy", "biases": "biases.npy", "query_head": "query",
            "history_feature": "history", "history_item_field": "item", "repeat_weight": settings["repeat"],
            "popularity": "buyers",
        }},
        "goldens": {"file": "goldens.jsonl",
                    "tolerances": [{"precision": "PRECISION_FP32", "absolute": GOLDEN_TOLERANCE, "relative": GOLDEN_TOLERANCE}]},
        "lineage": {"data": ["Online Retail (Chen, 2015), UCI Machine Learning Repository, CC BY 4.0"],
                    "code": "scripts/models/recommend.py", "metrics": metrics},
    }


if __name__ == "__main__":
    main()
