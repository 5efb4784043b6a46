"""Writes explain/testdata/shap.json: exact Shapley values of small models by Python's shap.

    pip install shap==0.51.0
    python3 scripts/explain/make_testdata.py > explain/testdata/shap.json

The models are written again in explain/explain_test.go. "exact" is shap.explainers.Exact
with an independent masker; "grouped" is shap.KernelExplainer over groups of
features, which counts all coalitions where they are few.
"""

import json
import logging
import math

import numpy as np
import shap
from shap.utils._legacy import DenseData

logging.getLogger("shap").setLevel(logging.ERROR)


def smooth(x):
    return 0.3 + 1.5 * x[0] - 2 * x[1] * x[2] + max(x[3], 0.5) * x[0] + 0.25 * x[4] ** 2


def odds(x):
    return 1 / (1 + math.exp(-smooth(x)))


def tree(x):
    if x[0] > 0.2:
        return 3.0 if x[4] > 0.5 else -1.0
    return x[1] if x[2] < 0 else 0.5 * x[3]


MODELS = {"smooth": smooth, "odds": odds, "tree": tree}
GROUPS = [[0], [1, 2], [3, 4]]
FEATURES, BACKGROUND, ROWS = 5, 7, 3


def main():
    random = np.random.default_rng(7)
    background = random.normal(size=(BACKGROUND, FEATURES)).round(3)
    rows = random.normal(size=(ROWS, FEATURES)).round(3)
    out = {"background": background.tolist(), "rows": rows.tolist(), "groups": GROUPS, "models": {}}
    for name, model in MODELS.items():
        many = lambda xs, model=model: np.array([model(x) for x in xs])
        exact = shap.explainers.Exact(many, shap.maskers.Independent(background, max_samples=BACKGROUND))(rows)
        names = [str(g) for g in GROUPS]
        kernel = shap.KernelExplainer(many, DenseData(background, names, [np.array(g) for g in GROUPS]))
        grouped = np.array([kernel.shap_values(row, nsamples=1000, l1_reg=False, silent=True) for row in rows])
        out["models"][name] = {
            "base": float(np.ravel(exact.base_values)[0]),
            "exact": exact.values.tolist(),
            "grouped": grouped.reshape(ROWS, len(GROUPS)).tolist(),
        }
    print(json.dumps(out, indent=1))


main()
