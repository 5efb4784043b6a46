"""Makes up the typical rows of a bundle, with which explanations compare (row.background).

No row is a customer's. A chain of decision trees learns how each column depends on those before it (CART synthesis; Reiter,
2005): a category is drawn from the shares of a leaf of at least LEAF customers, a number from the line through the leaf's
quantiles. Of many such candidates those are taken whose scores lie where the training customers' do, so that the
mean score, the base value of every explanation, agrees with theirs.
"""

import json

import numpy as np
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

ROWS = 100
LEAF = 30
CANDIDATES = 20  # for each row that is taken


def make_up(columns, score, rows=ROWS, seed=0):
    """Returns `rows` made-up rows of `columns`, a dictionary of name to strings or to numbers with NaN, whose order is the
    chain's: what others depend on comes first. `score` gives the model's raw scores of such a dictionary."""
    rng = np.random.default_rng(seed)
    made = _candidates(columns, rows * CANDIDATES, rng)
    strange = ~_known(columns, made)
    made = {name: values[strange] for name, values in made.items()}
    own, scores = np.sort(score(columns)), score(made)
    free, taken = np.ones(len(scores), bool), []
    for place in rng.permutation(rows):
        target = own[int((place + 0.5) / rows * len(own))]
        taken.append(int(np.argmin(np.where(free, np.abs(scores - target), np.inf))))
        free[taken[-1]] = False
    made = {name: values[taken] for name, values in made.items()}
    _compare(columns, made, own, score(made))
    return made


def write(path, made, to_row):
    """Writes made-up rows, each as `to_row` shapes its dictionary."""
    rows = len(next(iter(made.values())))
    lines = []
    for at in range(rows):
        row = {name: values[at].item() for name, values in made.items()}
        lines.append(json.dumps(to_row({name: value for name, value in row.items() if value == value}), ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _candidates(columns, count, rng):
    made, told, given = {}, [], []  # the columns so far, as numbers, of customers and of candidates
    for name, values in columns.items():
        text = values.dtype.kind == "U"
        if text:
            names, codes = np.unique(values, return_inverse=True)
        else:
            codes = values
        leaves, places = np.zeros(len(values), int), np.zeros(count, int)
        if told:
            known = np.isfinite(codes)
            tree = (DecisionTreeClassifier if text else DecisionTreeRegressor)(min_samples_leaf=LEAF, random_state=0)
            tree.fit(np.column_stack(told)[known], codes[known])
            leaves, places = tree.apply(np.column_stack(told)), tree.apply(np.column_stack(given))
        drawn = np.empty(count)
        for leaf in np.unique(places):
            drawn[places == leaf] = _draw(codes[leaves == leaf], (places == leaf).sum(), text or _few(codes), rng)
        if not text:
            drawn = np.round(drawn, _digits(values))
        made[name] = names[drawn.astype(int)] if text else drawn
        # One column for each of the commoner categories: the order of categories means nothing.
        for told_of, numbers in ((told, codes), (given, drawn)):
            if text:
                told_of += [(numbers == code).astype(np.float32) for code in range(len(names))]
            else:
                told_of.append(numbers.astype(np.float32))
    return made


def _few(values):
    return len(np.unique(values)) <= 16


def _digits(values):
    """The decimals that a column is told with, six at most."""
    values = values[np.isfinite(values)]
    return next((digits for digits in range(6) if np.allclose(values, np.round(values, digits), rtol=0, atol=1e-9)), 6)


def _draw(pool, count, plain, rng):
    drawn = rng.choice(pool, count)
    if plain:
        return drawn
    known = np.isfinite(drawn)
    drawn[known] = np.quantile(pool[np.isfinite(pool)], rng.random(known.sum()))
    return drawn


def _known(columns, made):
    """Which made-up rows are a customer's in every column."""
    def keys(source):
        return list(zip(*(values.tolist() for values in source.values())))
    customers = set(keys(columns))
    return np.array([key in customers for key in keys(made)])


def _compare(columns, made, own, scores):
    """Prints how far the made-up rows are from the customers, and raises when they are no sample of them."""
    rows = len(scores)
    worst, where = 0.0, ""
    for name, values in columns.items():
        if values.dtype.kind == "U":
            sizes = {f"{name} = {text}": ((values == text).mean(), (made[name] == text).mean()) for text in np.unique(values)}
            off = {what: abs(a - b) / np.sqrt(max(a * (1 - a), 1e-9) / rows) for what, (a, b) in sizes.items()}
        else:
            low, high = np.nanquantile(values, [0.01, 0.99])
            a, b = np.clip(values, low, high), np.clip(made[name], low, high)
            off = {name: abs(np.nanmean(a) - np.nanmean(b)) / max(np.nanstd(a) / np.sqrt(rows), 1e-9)}
        for what, size in off.items():
            if size > worst:
                worst, where = size, what
    error = own.std() / np.sqrt(rows)
    print(f"\n{rows} made-up rows: mean score {scores.mean():.4f}, the customers' {own.mean():.4f} ± {error:.4f}; "
          f"the margin furthest off, {where}, by {worst:.1f} standard errors of {rows} rows")
    if abs(scores.mean() - own.mean()) > error:
        raise SystemExit("not exported: the made-up rows do not score as the customers do")
