"""What exporters write, as they leave it: pushed without a bundle.yaml, and answered as ONNX Runtime answers in Python."""

import json
import unittest
from pathlib import Path

import lightgbm
import numpy as np
import onnxmltools
import onnxruntime
import pandas as pd
import skl2onnx
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import scry
from tests import daemon

ROWS = 1000
NAMES = ["recency", "frequency", "monetary", "age", "visits"]
RNG = np.random.default_rng(7)
X = RNG.normal(size=(ROWS, len(NAMES))).astype(np.float32)
SCORE = X[:, 0] + X[:, 1] * X[:, 2]
BINARY = (SCORE > 0).astype(int)
CHURNED = np.where(BINARY, "Churned", "Retained")
THREE = np.digitize(SCORE, [-0.5, 0.8])
AMOUNT = (20 + 5 * SCORE).astype(np.float64)
FRAME = pd.DataFrame({"Monthly Charges ($)": X[:, 0], "tenure": X[:, 1], "Contract": np.where(X[:, 2] > 0, "One year", "Two year"),
                      "never read": X[:, 3]})

MATRIX = [("float_input", FloatTensorType([None, len(NAMES)]))]
SMALL = {"n_estimators": 20, "random_state": 0}


def lgbm(model, y, **options):
    return onnxmltools.convert_lightgbm(model.set_params(**SMALL, verbose=-1, n_jobs=1).fit(X, y), initial_types=MATRIX, target_opset=15, **options)


def xgb(model, y):
    return onnxmltools.convert_xgboost(model.set_params(**SMALL, n_jobs=1).fit(X, y), initial_types=MATRIX, target_opset=15)


def skl(model, y, **options):
    return skl2onnx.to_onnx(model.fit(X, y), X[:1], **options)


class Exporters(daemon.Served):
    def push(self, name, exported, *flags, sample=None):
        """Pushes the exported file by the command line and returns what that printed."""
        path = self.folder / f"{name}.onnx"
        path.write_bytes(exported.SerializeToString())
        if sample is not None:
            sample.to_csv(path.with_suffix(".csv"), index=False)
            flags += ("--sample", path.with_suffix(".csv"))
        return daemon.command("push", path, "--activate", *flags)

    def runtime(self, exported, feed):
        """The answers of ONNX Runtime for the file as it was exported: columns of classes, or numbers."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # shapes that hold for one row only are warned of
        session = onnxruntime.InferenceSession(exported.SerializeToString(), options, providers=["CPUExecutionProvider"])
        answer = session.run(None, feed)[-1]
        if isinstance(answer, list):  # of a ZipMap
            return pd.DataFrame(answer).to_numpy()
        return np.asarray(answer)

    def compare(self, model, frame, want, column=None):
        """All rows in one table, and five by the RPC of single rows, which has the warnings. ONNX Runtime adds trees up in another
        order with other numbers of rows and threads: that is the tolerance."""
        expected = np.asarray(want if column is None else want[:, column], np.float32).reshape(len(frame), -1)
        answers = self.client.score(model, frame.iloc[:5].to_dict("records"))
        self.assertEqual([list(a.warnings) for a in answers], [[]] * len(answers))
        (head, answer), = answers[0].heads.items()
        kind = answer.WhichOneof("kind")
        columns = [head] if kind != "classes" else [f"{head}_probability_{c.name}" for c in sorted(answer.classes.classes, key=lambda c: c.name)]
        got = self.client.score(model, frame)[columns].to_numpy(np.float32)
        np.testing.assert_allclose(got, expected, rtol=5e-6, atol=2.5e-7)
        if kind != "classes":
            single = [getattr(getattr(a.heads[head], kind), kind) for a in answers]
            np.testing.assert_allclose(np.array(single, np.float32), expected[:5, 0], rtol=5e-6, atol=2.5e-7)
        return kind

    def test_binary_classifiers(self):
        for name, exported in {
            "lightgbm": lgbm(lightgbm.LGBMClassifier(), BINARY),
            "lightgbm-tensor": lgbm(lightgbm.LGBMClassifier(), BINARY, zipmap=False),
            "xgboost": xgb(xgboost.XGBClassifier(), BINARY),
            "boosting": skl(HistGradientBoostingClassifier(max_iter=20), BINARY),
            "bayes": skl(GaussianNB(), BINARY),
            "network-tensor": skl(MLPClassifier((8,), max_iter=50, random_state=0), BINARY == 1, options={"zipmap": False}),
        }.items():
            with self.subTest(name):
                flags = ["--features", ",".join(NAMES)] + (["--positive", "1"] if name == "network-tensor" else [])
                printed = self.push(f"binary-{name}", exported, *flags)
                self.assertIn('the event is "1"', printed)
                want = self.runtime(exported, {exported.graph.input[0].name: X})
                kind = self.compare(f"binary-{name}", pd.DataFrame(X, columns=NAMES), want, 1)
                self.assertEqual(kind, "probability")

    def test_classes(self):
        for name, exported in {
            "lightgbm": lgbm(lightgbm.LGBMClassifier(), THREE), "xgboost": xgb(xgboost.XGBClassifier(), THREE),
            "forest": skl(RandomForestClassifier(**SMALL), THREE),
        }.items():
            with self.subTest(name):
                printed = self.push(f"classes-{name}", exported)
                self.assertIn('"f0" to "f4"', printed)
                want = self.runtime(exported, {exported.graph.input[0].name: X})
                kind = self.compare(f"classes-{name}", pd.DataFrame(X, columns=[f"f{i}" for i in range(len(NAMES))]), want)
                self.assertEqual(kind, "classes")

    def test_regressors(self):
        sample = pd.DataFrame(X, columns=NAMES).assign(spend=AMOUNT)
        for name, exported in {
            "lightgbm": lgbm(lightgbm.LGBMRegressor(), AMOUNT), "xgboost": xgb(xgboost.XGBRegressor(), AMOUNT),
            "boosting": skl(GradientBoostingRegressor(**SMALL), AMOUNT),
        }.items():
            with self.subTest(name):
                self.push(f"spend-{name}", exported, "--target", "spend", sample=sample)
                want = self.runtime(exported, {exported.graph.input[0].name: X})
                self.assertEqual(self.compare(f"spend-{name}", sample[NAMES], want), "value")
                percentile = self.client.score(f"spend-{name}", sample[NAMES].iloc[[int(AMOUNT.argmax())]])["spend_percentile"][AMOUNT.argmax()]
                self.assertGreater(percentile, 90)

    def test_names_of_classes_are_asked_for(self):
        exported = lgbm(lightgbm.LGBMClassifier(), CHURNED)
        with self.assertRaisesRegex(AssertionError, 'which one is the event.*--positive "Churned" or --positive "Retained"'):
            self.push("named", exported)
        want = self.runtime(exported, {"float_input": X})
        frame = pd.DataFrame(X, columns=[f"f{i}" for i in range(len(NAMES))])
        for column, positive in enumerate(("Churned", "Retained")):
            self.assertIn(f'the event is "{positive}"', self.push(f"named-{column}", exported, "--positive", positive))
            self.compare(f"named-{column}", frame, want, column)

    def test_pipeline_of_named_columns(self):
        model = make_pipeline(make_column_transformer((StandardScaler(), ["Monthly Charges ($)", "tenure"]), (OneHotEncoder(), ["Contract"])),
                              LogisticRegression()).fit(FRAME, CHURNED)
        exported = skl2onnx.to_onnx(model, FRAME[:1])
        self.assertIn("Monthly_Charges____", [v.name for v in exported.graph.input])
        printed = self.push("named-columns", exported, "--target", "Churn", "--positive", "Churned", sample=FRAME.assign(Churn=CHURNED))
        self.assertIn('no node reads "never read", which may be left out', printed)
        feed = {"Monthly_Charges____": X[:, :1], "tenure": X[:, 1:2], "Contract": FRAME[["Contract"]].to_numpy(dtype=object), "never_read": X[:, 3:4]}
        want = self.runtime(exported, feed)
        self.compare("named-columns", FRAME, want, 0)
        self.compare("named-columns", FRAME.drop(columns="never read"), want, 0)
        self.compare("named-columns", FRAME.rename(columns={"Monthly Charges ($)": "Monthly_Charges____"}), want, 0)
        shown = daemon.command("show", "named-columns")
        self.assertRegex(shown, "pushed as sha256:[0-9a-f]{64}, kept as sha256:[0-9a-f]{64}")
        self.assertIn('the ZipMap before "output_probability" is cut', shown)

    def test_python_push(self):
        exported = lgbm(lightgbm.LGBMClassifier(), CHURNED)
        path = self.folder / "by-python.onnx"
        path.write_bytes(exported.SerializeToString())
        version = self.client.push(path, "by-python", activate=True, features=NAMES, target="churn", positive="Retained")
        self.assertIn('the event is "Retained"', " ".join(i.why for i in version.manifest.inferred))
        self.compare("by-python", pd.DataFrame(X, columns=NAMES), self.runtime(exported, {"float_input": X}), 1)
        with self.assertRaisesRegex(scry.Error, "3 columns.*has 5"):
            self.client.push(path, "by-python", features=NAMES[:3])

    def test_folders_of_hugging_face(self):
        folder = Path(__file__).resolve().parents[3] / "bundle/testdata/hf/bert"
        version = self.client.push(folder, "reviews", activate=True, labels=["negative", "neutral", "positive"])
        self.assertIn("polarity by the labels' names", " ".join(i.why for i in version.manifest.inferred))
        result, = self.client.analyze_text(["good movie!"], model="reviews")
        expected = json.loads((folder.parent / "answers.json").read_text())["bert"]["scores"][0]
        self.assertAlmostEqual(result.sentiment.positive, expected["LABEL_2"], delta=1e-4)
        with self.assertRaisesRegex(scry.Error, "2 labels for 3 columns"):
            self.client.push(folder, "reviews", labels=["no", "yes"])

    def test_differences_from_predict_are_reported(self):
        """A double model in a float graph differs from predict, by more where a value lies on a split."""
        model = lightgbm.LGBMClassifier(**SMALL, verbose=-1, n_jobs=1).fit(X, BINARY)
        exported = onnxmltools.convert_lightgbm(model, initial_types=MATRIX, target_opset=15)
        table = pd.DataFrame(X, columns=NAMES).assign(prediction=model.predict_proba(X)[:, 1])
        rows = self.folder / "expect.csv"
        table.to_csv(rows, index=False)
        printed = self.push("expected", exported, "--features", ",".join(NAMES), "--expect", rows)
        self.assertRegex(printed, r"checked against training: 1000 samples, largest difference [0-9.e-]+ at model.probabilities")
        table.loc[4, "prediction"] += 0.01
        table.to_csv(rows, index=False)
        with self.assertRaisesRegex(AssertionError, "1 of 1000 samples are off, most of all sample 5"):
            self.push("expected", exported, "--features", ",".join(NAMES), "--expect", rows)


if __name__ == "__main__":
    unittest.main()
