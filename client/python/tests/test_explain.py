"""Explanations of the real server, compared with a model whose Shapley values are known."""

import asyncio
import unittest

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import scry
import scry.aio
from tests import daemon

NAMES = ["calls", "months", "orders"]
BACKGROUND = 40


class Explained(daemon.Served):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rng = np.random.default_rng(3)
        cls.X = pd.DataFrame(rng.normal(size=(400, 3)), columns=NAMES, index=[f"c{i}" for i in range(400)])
        z = cls.X @ [1.0, -2.0, 0.5]
        y = (rng.random(400) < 1 / (1 + np.exp(-z))).astype(int)
        cls.model = LogisticRegression().fit(cls.X, y)
        path = cls.folder / "linear"
        scry.export(cls.model, cls.X, y, path, background=BACKGROUND, folds=0)
        cls.client.push(path, "linear", activate=True)
        cls.typical = pd.read_json(path / "background.jsonl", lines=True)[NAMES]

    def known(self, rows):
        """In log-odds the model is additive: each feature moves the number by its coefficient times its distance from the
        typical rows' mean."""
        return (rows - self.typical.mean()).to_numpy() * self.model.coef_[0]

    def test_a_frame(self):
        rows = self.X.head(45)  # more than a message takes
        got = self.client.explain("linear", rows, scale="log_odds")
        pd.testing.assert_index_equal(got.index, rows.index)
        np.testing.assert_allclose(got[[f"contribution_{name}" for name in NAMES]], self.known(rows), atol=1e-4)
        np.testing.assert_allclose(got.value, self.model.decision_function(rows), atol=1e-4)
        np.testing.assert_allclose(got.base_value, self.model.decision_function(self.typical).mean(), atol=1e-4)
        self.assertTrue(got.attrs["exact"])
        self.assertEqual(got.attrs["scale"], "log_odds")
        self.assertEqual(got.attrs["served_by"], ["linear@1"])
        self.assertEqual(set(got.attrs["texts"]), set(NAMES))
        self.assertEqual(got.prediction_id.nunique(), len(rows))
        self.assertFalse(any(name.startswith("standard_error") for name in got.columns))
        self.assertTrue(got.error.isna().all())

    def test_sampling(self):
        row = self.X.head(1)
        got = self.client.explain("linear", row, scale="probability", max_evaluations=200, seed=5)
        again = self.client.explain("linear", row, scale="probability", max_evaluations=200, seed=5)
        other = self.client.explain("linear", row, scale="probability", max_evaluations=200, seed=6)
        moved = [f"contribution_{name}" for name in NAMES]
        pd.testing.assert_frame_equal(got[moved], again[moved])
        self.assertFalse(np.allclose(got[moved], other[moved], atol=1e-12))
        self.assertFalse(got.attrs["exact"])
        self.assertTrue((got[[f"standard_error_{name}" for name in NAMES]].to_numpy() > 0).any())
        np.testing.assert_allclose(got.value, got.base_value + got[moved].sum(axis=1) + got.additivity_error, atol=1e-9)
        np.testing.assert_allclose(got.value, self.model.predict_proba(row)[:, 1], atol=1e-4)

    def test_mappings(self):
        rows = self.X.head(2)
        got = self.client.explain("linear", rows.to_dict("records"), ids=["a", "b"], scale="log_odds")
        self.assertEqual([(r.id, r.index, r.exact) for r in got], [("a", 0, True), ("b", 1, True)])
        for explanation, want in zip(got, self.known(rows)):
            by = {c.feature: c.contribution for c in explanation.contributions}
            np.testing.assert_allclose([by[name] for name in NAMES], want, atol=1e-4)
            sizes = [abs(c.contribution) for c in explanation.contributions]
            self.assertEqual(sizes, sorted(sizes, reverse=True))

    def test_asyncio(self):
        rows = self.X.head(25)

        async def call():
            async with scry.aio.connect(daemon.address()) as client:
                return await client.explain("linear", rows, scale="log_odds")

        np.testing.assert_allclose(asyncio.run(call())[[f"contribution_{name}" for name in NAMES]], self.known(rows), atol=1e-4)

    def test_errors(self):
        rows = [{"calls": 1.0, "months": 2.0, "orders": 0.0}, {"calls": "many", "months": 1.0, "orders": 0.0}]
        with self.assertRaises(scry.ItemErrors) as raised:
            self.client.explain("linear", rows)
        self.assertEqual({i: e.reason for i, e in raised.exception.errors.items()}, {1: "FEATURE_TYPE"})
        frame = self.client.explain("linear", pd.DataFrame(rows), errors="return")
        self.assertEqual(frame.error.isna().tolist(), [True, False])
        self.assertEqual(frame.value.isna().tolist(), [False, True])
        self.assertEqual(frame.contribution_calls.isna().tolist(), [False, True])
        for given, reason in ((dict(head="x"), "HEAD_UNKNOWN"), (dict(target="x"), "TARGET_UNKNOWN"),
                              (dict(max_evaluations=3), "TOO_FEW_EVALUATIONS")):
            with self.subTest(given), self.assertRaises(scry.Error) as error:
                self.client.explain("linear", rows[:1], **given)
            self.assertEqual(error.exception.reason, reason)
        for given, kind in ((dict(data=rows, scale="odds"), ValueError), (dict(data=self.X, ids=["a"]), TypeError),
                            (dict(data={"calls": 1}), TypeError), (dict(data=rows, ids=["a"]), ValueError),
                            (dict(data=rows, errors="ignore"), ValueError)):
            with self.subTest(given), self.assertRaises(kind):
                self.client.explain("linear", **given)


if __name__ == "__main__":
    unittest.main()
