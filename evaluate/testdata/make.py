"""Writes reference.json: samples, with what scikit-learn and scikit-uplift measure on them.

    pip install -r requirements.txt && python make.py
"""

import json
from pathlib import Path

import numpy as np
from sklearn.calibration import _sigmoid_calibration
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import (accuracy_score, auc, average_precision_score, f1_score, log_loss, mean_absolute_error, mean_pinball_loss,
                             roc_auc_score, root_mean_squared_error)
from sklift.metrics import qini_curve

rng = np.random.default_rng(20261123)


def binary(name, p, y):
    weights = rng.poisson(1.0, len(p)).astype(float)
    groups = np.array_split(np.argsort(p, kind="stable"), 10)
    return {"name": name, "p": p.tolist(), "y": y.tolist(), "weights": weights.tolist(),
            "plain": [roc_auc_score(y, p), average_precision_score(y, p), log_loss(y, p)],
            "weighted": [roc_auc_score(y, p, sample_weight=weights), average_precision_score(y, p, sample_weight=weights),
                         log_loss(y, p, sample_weight=weights)],
            "calibration_error": float(sum(abs(p[g].mean() - y[g].mean()) * len(g) for g in groups) / len(p)) if name == "distinct" else None}


def gini(order, truth, weights):
    """Twice the area between the curve of gains and the diagonal; rows of equal order at once."""
    keys = np.unique(order)[::-1]
    rows = np.concatenate([[0], np.cumsum([weights[order == k].sum() for k in keys])])
    sums = np.concatenate([[0], np.cumsum([(weights * truth)[order == k].sum() for k in keys])])
    return 2 * auc(rows / rows[-1], sums / sums[-1]) - 1


def values():
    predicted = np.round(rng.gamma(2, 20, 150))
    truth = np.where(rng.random(150) < 0.4, 0, np.round(predicted * rng.lognormal(0, 0.6, 150), 2))
    weights = rng.poisson(1.0, 150).astype(float)

    def measure(w):
        return [root_mean_squared_error(truth, predicted, sample_weight=w), mean_absolute_error(truth, predicted, sample_weight=w),
                gini(predicted, truth, w) / gini(truth, truth, w)]

    return {"predicted": predicted.tolist(), "truth": truth.tolist(), "weights": weights.tolist(),
            "plain": measure(np.ones(150)), "weighted": measure(weights)}


def classes():
    scores = rng.normal(size=(90, 4))
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(3, p=row[:3] / row[:3].sum()) for row in p])  # the fourth is never true
    weights = rng.poisson(1.0, 90).astype(float)
    guess = p.argmax(axis=1)

    def measure(w):
        return [accuracy_score(truth, guess, sample_weight=w), f1_score(truth, guess, average="macro", sample_weight=w),
                log_loss(truth, p, sample_weight=w, labels=range(4))]

    return {"truth": truth.tolist(), "p": p.tolist(), "weights": weights.tolist(), "plain": measure(np.ones(90)), "weighted": measure(weights)}


def forecast():
    truth = rng.poisson(8, size=(20, 6)).astype(float)
    levels = [0.1, 0.5, 0.9]
    center = truth + rng.normal(0, 3, truth.shape)
    quantiles = np.stack([center - 3, center, center + 3], axis=2)
    return {"truth": truth.tolist(), "values": center.tolist(), "quantiles": quantiles.tolist(), "levels": levels,
            "wape": float(np.abs(truth - center).sum() / truth.sum()), "mae": mean_absolute_error(truth.ravel(), center.ravel()),
            "pinball": float(np.mean([mean_pinball_loss(truth.ravel(), quantiles[:, :, k].ravel(), alpha=a) for k, a in enumerate(levels)]))}


def uplift():
    n = 400
    effect = np.round(rng.normal(0, 0.2, n), 2)
    treated = rng.integers(0, 2, n)
    outcome = (rng.random(n) < 0.3 + treated * effect.clip(-0.3, 0.6)).astype(int)
    x, y = qini_curve(outcome, effect, treated)
    area = auc(x, y) - auc([0, x[-1]], [0, y[-1]])
    return {"effects": effect.tolist(), "treated": treated.tolist(), "outcomes": outcome.tolist(),
            "qini": float(area / (n * treated.sum())), "effect": float(outcome[treated == 1].mean() - outcome[treated == 0].mean())}


def calibration():
    scores = np.round(rng.normal(0, 2, 500), 2)
    events = rng.random(500) < 1 / (1 + np.exp(-(0.6 * scores - 0.8)))
    a, b = _sigmoid_calibration(scores, events.astype(int))
    edge = 1 / 502
    isotonic = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip").fit(scores, events)
    at = np.linspace(-8, 8, 65)
    return {"scores": scores.tolist(), "events": events.astype(int).tolist(), "slope": float(-a), "intercept": float(-b),
            "at": at.tolist(), "isotonic": isotonic.predict(at).tolist(), "quantiles": np.quantile(scores, np.linspace(0, 1, 101)).tolist()}


def main():
    p = rng.beta(1, 3, 120)
    tied = np.round(rng.beta(2, 2, 120), 1)
    sure = np.array([0.0, 1.0, 0.0, 1.0, 0.5, 0.2])
    content = {"binary": [binary("distinct", p, (rng.random(120) < p).astype(int)), binary("ties", tied, (rng.random(120) < tied).astype(int)),
                          binary("certain and wrong", sure, np.array([0, 1, 1, 1, 0, 0]))],
               "values": values(), "classes": classes(), "forecast": forecast(), "uplift": uplift(), "calibration": calibration()}
    Path(__file__).with_name("reference.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
