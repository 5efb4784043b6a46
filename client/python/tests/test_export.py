"""Exported models, pushed to the real server and compared with themselves."""

import importlib
import itertools
import json
import tempfile
import unittest
import unittest.mock
import warnings
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import yaml
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (ExtraTreesClassifier, GradientBoostingClassifier, HistGradientBoostingClassifier,
                              HistGradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

import scry
from scry import _export, _graph
from tests import daemon

NUMBERED = itertools.count(1)
NUMBERS, WORDS = ["Monthly Charges ($)", "tenure"], ["plan", "region"]


def customers(n=1500):
    """Rows of every type, some values missing, and who left."""
    rng = np.random.default_rng(7)
    X = pd.DataFrame({
        "Monthly Charges ($)": np.round(rng.gamma(2, 30, n), 3), "tenure": rng.integers(0, 72, n), "plan": rng.choice(["a", "b b", "c"], n),
        "region": rng.choice(["north", "south", None], n), "senior": rng.random(n) < 0.2, "unused": rng.random(n)})
    X.loc[rng.random(n) < 0.1, "Monthly Charges ($)"] = np.nan
    z = 0.05 * (30 - X.tenure) + (X.plan == "a") + (X.region == "north") + 0.01 * X["Monthly Charges ($)"].fillna(60) - 1
    return X, pd.Series(np.where(rng.random(n) < 1 / (1 + np.exp(-z)), "Yes", "No"), name="Churn")


def pipeline(last):
    return make_pipeline(make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS), (OneHotEncoder(handle_unknown="ignore"), WORDS),
        ("passthrough", ["senior"]), sparse_threshold=0), last)


def installed(*modules):
    try:
        return all(importlib.import_module(m) for m in modules)
    except (ImportError, OSError):  # OSError: LightGBM without libgomp
        return False


class Exported(daemon.Served):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.X, cls.y = customers()

    def export(self, model, X, y, **options):
        """Exports and pushes; returns what export said, the manifest, and the model's name on the server."""
        path = self.folder / f"model-{next(NUMBERED)}"
        exported = scry.export(model, X, y, path, **options)
        manifest = yaml.safe_load((path / "bundle.yaml").read_text())
        version = self.client.push(path, path.name, activate=True)
        self.assertEqual(version.verification.samples, options.get("goldens", 16) + 2)
        return exported, manifest, path.name


class Parity(Exported):
    def test_pipelines(self):
        """1,000 rows with gaps, through the server, are what predict_proba says."""
        rows = self.X[:1000]
        for last in (LogisticRegression(max_iter=1000), HistGradientBoostingClassifier(max_iter=30), DecisionTreeClassifier(max_depth=8),
                     RandomForestClassifier(20, random_state=0), ExtraTreesClassifier(20, random_state=0),
                     GradientBoostingClassifier(n_estimators=20), GaussianNB(), MLPClassifier((8,), max_iter=60, random_state=0)):
            with self.subTest(type(last).__name__), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the network, which does not converge
                model = pipeline(last).fit(self.X, self.y)
                _, manifest, name = self.export(model, self.X, self.y, folds=0)
                answers = self.client.score(name, rows)
                np.testing.assert_allclose(answers.churn, model.predict_proba(rows)[:, 1], atol=1e-5, rtol=0)
                self.assertEqual([f["name"] for f in manifest["row"]["features"]], list(self.X.columns[:5]))  # "unused" is not read
                by_row = self.client.score(name, rows[:50].to_dict("records"))
                np.testing.assert_allclose([r.heads["churn"].probability.probability for r in by_row], answers.churn[:50], atol=1e-7)

    def test_bare_estimators(self):
        X, y = load_breast_cancer(return_X_y=True, as_frame=True)
        for last in (HistGradientBoostingClassifier(max_iter=20), RandomForestClassifier(10, random_state=0)):
            with self.subTest(type(last).__name__):
                model = last.fit(X, y)
                exported, manifest, name = self.export(model, X, y, folds=0, event="benign")
                np.testing.assert_allclose(self.client.score(name, X).benign, model.predict_proba(X)[:, 1], atol=1e-5, rtol=0)
                self.assertLess(exported.difference, 1e-6)
                self.assertEqual(manifest["row"]["features"][0]["name"], "mean radius")

    @unittest.skipUnless(installed("lightgbm", "onnxmltools"), "LightGBM (with libgomp) and onnxmltools are not installed")
    def test_lightgbm(self):
        import lightgbm

        self.boosters(lightgbm.LGBMClassifier(n_estimators=20, verbose=-1), lightgbm.LGBMRegressor(n_estimators=20, verbose=-1))

    @unittest.skipUnless(installed("xgboost", "onnxmltools"), "XGBoost and onnxmltools are not installed")
    def test_xgboost(self):
        import xgboost

        self.boosters(xgboost.XGBClassifier(n_estimators=20), xgboost.XGBRegressor(n_estimators=20))
        sparse = make_pipeline(ColumnTransformer([("plan", OneHotEncoder(handle_unknown="ignore"), ["plan", "tenure"])], sparse_threshold=1),
                               xgboost.XGBClassifier(n_estimators=5)).fit(self.X, self.y == "Yes")
        with self.assertRaisesRegex(ValueError, "sparse_threshold=0"):
            scry.export(sparse, self.X, self.y == "Yes", self.folder / "sparse", folds=0)

    def boosters(self, classifier, regressor):
        y = (self.y == "Yes").astype(int)
        model = pipeline(classifier).fit(self.X, y)
        _, _, name = self.export(model, self.X, y, folds=0)
        np.testing.assert_allclose(self.client.score(name, self.X).churn, model.predict_proba(self.X)[:, 1], atol=1e-5, rtol=0)
        X = self.X[[*NUMBERS, "unused"]]
        for bare, target, column in ((classifier, y, "churn"), (regressor, X.tenure * 1.5, "tenure")):
            model = bare.fit(X, target)
            _, _, name = self.export(model, X, target, folds=0)
            want = model.predict_proba(X)[:, 1] if target is y else model.predict(X)
            np.testing.assert_allclose(self.client.score(name, X)[column], want, atol=1e-5, rtol=1e-5)

    def test_values_and_classes(self):
        X, y = load_diabetes(return_X_y=True, as_frame=True)
        for last in (Ridge(), HistGradientBoostingRegressor(max_iter=20), RandomForestRegressor(10, random_state=0)):
            with self.subTest(type(last).__name__):
                model = last.fit(X, y)
                exported, manifest, name = self.export(model, X, y, event="progression", unit="points", folds=3)
                np.testing.assert_allclose(self.client.score(name, X).progression, model.predict(X), rtol=1e-5)
                value = manifest["heads"]["progression"]["value"]
                self.assertEqual((value["unit"], len(value["quantiles"])), ("points", 101))
                self.assertGreater(exported.metrics["r2"], 0.3)
        X, y = load_iris(return_X_y=True, as_frame=True)
        names = np.array(["setosa", "versicolor", "virginica"])
        model = LogisticRegression(max_iter=500).fit(X, names[y])
        exported, manifest, name = self.export(model, X, pd.Series(names[y], name="species"))
        answers = self.client.score(name, X)
        np.testing.assert_allclose(answers[[f"species_probability_{n}" for n in names]], model.predict_proba(X), atol=1e-5)
        self.assertEqual(answers.species.tolist(), model.predict(X).tolist())
        self.assertGreater(exported.metrics["accuracy"], 0.9)

    def test_categories_that_training_did_not_see(self):
        model = make_pipeline(make_column_transformer((OneHotEncoder(), ["plan"]), (OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=-1), ["region"]), remainder="passthrough"),
            HistGradientBoostingClassifier(max_iter=10)).fit(self.X, self.y)
        _, manifest, name = self.export(model, self.X, self.y, folds=0)
        features = {f["name"]: f for f in manifest["row"]["features"]}
        self.assertEqual(features["plan"]["unknown"], "UNKNOWN_POLICY_ERROR")  # the encoder fails, too
        self.assertNotIn("unknown", features["region"])
        rows = self.X[:3].assign(plan=["z", "a", "a"], region=["north", "east", None])
        answers = self.client.score(name, rows, errors="return")
        self.assertIn("CATEGORY_UNKNOWN", answers.error[0])
        np.testing.assert_allclose(answers.churn[1:], model.predict_proba(rows[1:])[:, 1], atol=1e-5)


class Manifest(Exported):
    def test_everything_a_starter_bundle_has(self):
        model = pipeline(RandomForestClassifier(30, min_samples_leaf=5, random_state=0)).fit(self.X, self.y)
        exported, manifest, name = self.export(model, self.X, self.y, description="Who leaves", license="MIT", data=["made up"],
                                               code="tests/test_export.py", metrics={"auc_before": 0.5}, calibration="platt")
        features = {f["name"]: f for f in manifest["row"]["features"]}
        self.assertEqual(features["Monthly Charges ($)"]["input"], "Monthly_Charges____")
        self.assertEqual(features["Monthly Charges ($)"]["aliases"], ["Monthly_Charges____"])
        self.assertEqual((features["tenure"]["type"], features["tenure"]["min"], features["tenure"]["max"]), ("FEATURE_TYPE_INT", 0, 71))
        self.assertEqual(features["plan"]["categories"], ["a", "b b", "c"])
        self.assertEqual(features["region"]["default"], "nan")
        self.assertEqual((features["senior"]["type"], features["senior"]["required"]), ("FEATURE_TYPE_BOOL", True))
        head = manifest["heads"]["churn"]["probability"]
        self.assertEqual(len(head["quantiles"]), 101)
        self.assertEqual([b["name"] for b in head["bands"]], ["low", "medium", "high", "very high"])
        self.assertEqual(set(head["calibration"]), {"logistic"})
        self.assertEqual((head["event"], head["threshold"]), ("Churn", exported.threshold))
        self.assertEqual(manifest["lineage"]["metrics"].keys(), {"auc", "log_loss", "ece", "rate", "auc_before"})
        self.assertEqual((manifest["description"], manifest["license"], manifest["lineage"]["data"]), ("Who leaves", "MIT", ["made up"]))

        answers = self.client.score(name, self.X)
        raw = _export.log_odds(model.predict_proba(self.X)[:, 1])
        line = head["calibration"]["logistic"]
        np.testing.assert_allclose(answers.churn_raw_score, raw, atol=1e-4)
        np.testing.assert_allclose(answers.churn, 1 / (1 + np.exp(-(line["slope"] * raw + line["intercept"]))), atol=1e-5)
        np.testing.assert_allclose(answers.churn_percentile.to_numpy(dtype=float), np.interp(answers.churn.to_numpy(dtype=float),
                                   head["quantiles"], np.arange(101)), atol=0.5)
        missing = self.client.score(name, [{"senior": True}])[0]
        words = pd.Series([np.nan], dtype=object)
        want = self.X[:1].assign(**{"Monthly Charges ($)": np.nan, "tenure": np.nan, "plan": words, "region": words, "senior": True})
        line = missing.heads["churn"].probability
        self.assertAlmostEqual(line.raw_score, _export.log_odds(model.predict_proba(want)[:, 1])[0], places=4)

    def test_the_command_line_shows_and_evaluates_it(self):
        _, _, name = self.export(pipeline(LogisticRegression()).fit(self.X, self.y), self.X, self.y, folds=3)
        self.assertIn("Monthly Charges ($)", daemon.command("show", name))

    def test_goldens_are_nobody_s_rows(self):
        path = self.folder / "goldens"
        scry.export(pipeline(LogisticRegression()).fit(self.X, self.y), self.X, self.y, path, folds=0, background=20)
        rows = [json.loads(line)["features"] for line in (path / "goldens.jsonl").read_text().splitlines()]
        self.assertEqual(len(rows), 18)
        self.assertEqual(rows[16].keys(), {"senior"})
        self.assertEqual(rows[17]["plan"], _export.UNSEEN)
        known = {tuple(row) for row in self.X[["Monthly Charges ($)", "tenure", "plan", "senior"]].itertuples(index=False)}
        self.assertFalse([row for row in rows[:16] if (row["Monthly Charges ($)"], row["tenure"], row["plan"], row["senior"]) in known])
        background = (path / "background.jsonl").read_text().splitlines()
        self.assertEqual(len(background), 20)
        self.assertIn(json.loads(background[0])["tenure"], set(self.X.tenure))
        manifest = yaml.safe_load((path / "bundle.yaml").read_text())
        self.assertEqual(manifest["row"]["background"], "background.jsonl")

    def test_reasons_come_from_the_background(self):
        """The additive model's largest term is the first reason."""
        X = self.X[["tenure", "unused"]]
        target = pd.Series(2.0 * X.tenure + X.unused, name="spend")
        model = Ridge(alpha=1e-6).fit(X, target)
        _, _, name = self.export(model, X, target, background=100, unit="EUR", folds=2)
        answers = self.client.score(name, X[:50], reasons=1)
        contributions = 2.0 * (X.tenure[:50] - X.tenure.mean())
        clear = abs(contributions) > 10
        self.assertTrue((answers.spend_reason_1[clear] == "tenure").all())
        np.testing.assert_allclose(answers.spend_contribution_1[clear].astype(float), contributions[clear], atol=6)  # the rows' mean
        self.assertTrue(answers.spend_percentile.between(0, 100).all())

    def test_the_same_model_gives_the_same_bytes(self):
        model = pipeline(HistGradientBoostingClassifier(max_iter=5)).fit(self.X, self.y)
        for folder in ("once", "twice"):
            scry.export(model, self.X, self.y, self.folder / folder, folds=2)
        for file in ("model.onnx", "bundle.yaml", "goldens.jsonl"):
            self.assertEqual((self.folder / "once" / file).read_bytes(), (self.folder / "twice" / file).read_bytes(), file)

    def test_defaults_and_required(self):
        model = pipeline(LogisticRegression()).fit(self.X, self.y)
        exported, manifest, name = self.export(model, self.X, self.y, folds=0, defaults={"senior": False}, required=["tenure"])
        self.assertEqual(exported.required, ["tenure"])
        answers = self.client.score(name, [{"tenure": 3}, {}], errors="return")
        self.assertEqual([r.error.code for r in answers], [0, 3])
        with self.assertRaisesRegex(ValueError, "'unused' in defaults or required"):
            scry.export(model, self.X, self.y, self.folder / "x", required=["unused"])


class Choices(unittest.TestCase):
    def setUp(self):
        self.X, self.y = customers(400)
        self.model = pipeline(LogisticRegression()).fit(self.X, self.y)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "bundle"

    def test_the_event_is_asked_for(self):
        y = self.y.replace({"Yes": "Churned", "No": "Retained"})
        model = pipeline(LogisticRegression()).fit(self.X, y)
        with self.assertRaisesRegex(ValueError, "which class is the event, Churned or Retained"):
            scry.export(model, self.X, y, self.path)
        self.assertFalse(self.path.exists())
        exported = scry.export(model, self.X, y, self.path, positive="Churned", folds=2)
        self.assertEqual(exported.positive, "Churned")
        self.assertGreater(exported.metrics["auc"], 0.7)  # the right way round
        with self.assertRaisesRegex(ValueError, "the classes are Churned, Retained"):
            scry.export(model, self.X, y, self.path, positive="Left")

    def test_refused(self):
        for words, error, arguments in (
            ("want a DataFrame", TypeError, dict(X=self.X.to_numpy())),
            ("is of type datetime64", TypeError, dict(X=self.X.assign(unused=pd.Timestamp(0)))),
            ("neither a classifier", TypeError, dict(model=StandardScaler())),
            ("gives no probabilities", TypeError, dict(model=LinearSVC().fit([[0], [1]], [0, 1]))),
            ("FunctionTransformer is not supported", ValueError, dict(
                model=make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()).fit(self.X[["tenure"]], self.y), X=self.X[["tenure"]])),
            ("want auto", ValueError, dict(calibration="magic")),
            ("needs y with folds", ValueError, dict(calibration="platt", folds=0)),
        ):
            with self.subTest(words), self.assertRaisesRegex(error, words):
                scry.export(**{"model": self.model, "X": self.X, "y": self.y, "directory": self.path, **arguments})
        self.assertFalse(self.path.exists())

    def test_a_graph_that_is_off_is_not_written(self):
        with self.assertRaisesRegex(ValueError, r"no graph was found that is within 1e-05(.|\n)*off"):
            with unittest.mock.patch.object(_export, "_difference", return_value=0.2):
                scry.export(self.model, self.X, self.y, self.path)
        self.assertFalse(self.path.exists())

    def test_calibration_is_chosen_by_need(self):
        rng = np.random.default_rng(0)
        scores = rng.normal(0, 2, 4000)
        draw = rng.random(4000)

        def truth(z):
            return draw < 1 / (1 + np.exp(-z))

        self.assertEqual(_export._choose(scores, truth(scores), 0), "none")
        self.assertEqual(_export._choose(scores, truth(0.3 * scores - 1), 0), "platt")
        self.assertEqual(_export._choose(scores, truth(np.where(abs(scores) < 2, 2.0, -2.0)), 0), "isotonic")
        line = _export._Map("platt", scores, truth(0.3 * scores - 1))._line
        np.testing.assert_allclose(line, (0.3, -1), atol=0.15)

    def test_holdout(self):
        train, test = self.X[:300], self.X[300:]
        model = pipeline(LogisticRegression()).fit(train, self.y[:300])
        exported = scry.export(model, train, self.y[:300], self.path, holdout=(test, self.y[300:]), calibration="isotonic")
        self.assertAlmostEqual(exported.metrics["rate"], (self.y[300:] == "Yes").mean())
        points = yaml.safe_load((self.path / "bundle.yaml").read_text())["heads"]["churn"]["probability"]["calibration"]["points"]
        self.assertTrue(all(np.diff(points["scores"]) > 0))

    def test_without_a_target(self):
        exported = scry.export(self.model, self.X, None, self.path, event="Churn")
        head = yaml.safe_load((self.path / "bundle.yaml").read_text())["heads"]["churn"]["probability"]
        self.assertEqual((exported.metrics, exported.calibration, head["threshold"]), ({}, "none", 0.5))
        np.testing.assert_allclose(head["quantiles"][50], np.median(self.model.predict_proba(self.X)[:, 1]), atol=1e-6)

    def test_the_model_is_not_changed(self):
        before = self.model.predict_proba(self.X)
        graph = next(_graph.candidates(self.model, {n: _export._kind(n, self.X[n]) for n in self.X}))[1]()[0]
        onnx.checker.check_model(graph)
        np.testing.assert_array_equal(before, self.model.predict_proba(self.X))


if __name__ == "__main__":
    unittest.main()
