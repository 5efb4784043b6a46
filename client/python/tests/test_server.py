"""The client against the real server with the starter models."""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import scry
import scry.aio
from scry.imageanalysis.v1 import imageanalysis_pb2
from scry.scoring.v1 import choosing_pb2
from tests import daemon

CHURN = [json.loads(line) for line in (daemon.ROOT / "models/churn/goldens.jsonl").read_text().splitlines()]
PROBABILITIES = np.array([line["outputs"]["model.probability"]["values"][0] for line in CHURN])
CAT = daemon.ROOT / "scripts/demo/cat.jpg"


class Served(daemon.Served):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.rows = [line["features"] for line in CHURN]
        cls.frame = pd.DataFrame(cls.rows, index=[f"c{i}" for i in range(len(CHURN))])


class Rows(Served):
    def test_mappings(self):
        results = self.client.score("churn", self.rows, reasons=2, ids=range(len(CHURN)), language="ru", heads=["churn"])
        heads = [r.heads["churn"].probability for r in results]
        np.testing.assert_allclose([h.probability for h in heads], PROBABILITIES, atol=1e-5)
        self.assertEqual([r.id for r in results], [str(i) for i in range(len(CHURN))])
        self.assertEqual(heads[0].reasons[0].text, "Срок обслуживания")
        self.assertEqual(len(heads[0].reasons), 2)

    def test_numpy_scalars_and_missing_values(self):
        row = {"tenure": np.int32(12), "Contract": np.str_("Month-to-month"), "MonthlyCharges": np.float32("nan"), "gender": None,
               "TotalCharges": pd.NA, "SeniorCitizen": np.float64(0)}
        plain = {"tenure": 12, "Contract": "Month-to-month", "SeniorCitizen": 0}
        got, want = self.client.score("churn", [row, plain])
        self.assertEqual(got.heads["churn"].probability.probability, want.heads["churn"].probability.probability)

    def test_errors_by_row(self):
        rows = [self.rows[0], {"tenure": "twelve"}, {}, self.rows[1]]
        results = self.client.score("churn", rows, errors="return")
        self.assertEqual([r.error.code for r in results], [0, 3, 3, 0])
        with self.assertRaises(scry.ItemErrors) as raised:
            self.client.score("churn", rows)
        self.assertEqual({i: e.reason for i, e in raised.exception.errors.items()}, {1: "FEATURE_TYPE", 2: "FEATURE_MISSING"})
        self.assertAlmostEqual(raised.exception.answers[3].heads["churn"].probability.probability, PROBABILITIES[1], places=5)

    def test_errors_of_calls(self):
        for given, reason in ((dict(model="nothing"), "NOT_FOUND"), (dict(model="churn", heads=["x"]), "HEAD_UNKNOWN"),
                              (dict(model="sentiment"), "MODEL_UNSUITABLE"), (dict(model="churn", version=7), "NOT_FOUND")):
            with self.subTest(given), self.assertRaises(scry.Error) as raised:
                self.client.score(data=self.rows, **given)
            self.assertEqual(raised.exception.reason, reason)

    def test_more_rows_than_a_call_takes(self):
        results = self.client.score("churn", [{"tenure": i % 70} for i in range(12_000)])
        self.assertEqual([r.index for r in results], list(range(12_000)))
        self.assertEqual(len({r.heads["churn"].probability.probability for r in results[:70]}), 70)
        self.assertEqual(results[0].heads["churn"], results[11_900].heads["churn"])


class Recommendations(Served):
    def test_mappings(self):
        results = self.client.recommend([["85123A", "22423"], {"anchor_item": "22423"}, None, {"history": ["22423"], "seen": {"22699": 2}}],
                                        model="recommend", count=5, filter="price < 10", attributes=["title", "price"], ids=list("abcd"))
        self.assertEqual([(r.id, r.index, len(r.items)) for r in results], [("a", 0, 5), ("b", 1, 5), ("c", 2, 5), ("d", 3, 5)])
        for result in results:
            self.assertEqual([item.rank for item in result.items], [1, 2, 3, 4, 5])
            self.assertTrue(all(item.attributes["price"] < 10 and item.attributes["title"] for item in result.items))
        self.assertNotIn("22699", [item.item for item in results[3].items])
        self.assertEqual([w.code for w in results[2].warnings], [8])  # COLD_START

    def test_series(self):
        options = choosing_pb2.RecommendOptions(exploration=choosing_pb2.Exploration(temperature=0.1, seed=3),
                                                promotions=[choosing_pb2.Promotion(name="cheap", filter="price < 1", percent=50)])
        people = pd.Series([["85123A"], ["no such item"], []], index=["x", "y", "z"])
        lists = self.client.recommend(people, model="recommend", count=4, attributes=["price"], options=options)
        self.assertEqual(list(lists.columns), ["rank", "item", "score", "propensity", "promotion", "price", "prediction_id"])
        self.assertEqual(list(lists.index), ["x"] * 4 + ["y"] * 4 + ["z"] * 4)
        self.assertTrue(((lists["propensity"] > 0) & (lists["propensity"] <= 1)).all())
        self.assertGreaterEqual((lists.loc["x", "price"] < 1).sum(), 2)
        self.assertEqual([(w["code"], w["row"]) for w in lists.attrs["warnings"]], [("UNKNOWN_ITEM", 1), ("COLD_START", 1), ("COLD_START", 2)])
        self.assertEqual(lists.attrs["served_by"], ["recommend@1"])

    def test_errors(self):
        with self.assertRaises(scry.Error) as raised:
            self.client.recommend([["85123A"]], model="recommend", filter="price <")
        self.assertEqual(raised.exception.reason, "FILTER_INVALID")
        with self.assertRaises(scry.ItemErrors) as raised:
            self.client.recommend([["85123A"], {"anchor_item": "nothing"}], model="recommend")
        self.assertEqual({i: e.reason for i, e in raised.exception.errors.items()}, {1: "ITEM_UNKNOWN"})
        for wrong, kind in ((["85123A"], TypeError), ([{"histry": []}], ValueError), ([7], TypeError), ("85123A", TypeError)):
            with self.subTest(wrong), self.assertRaises(kind):
                self.client.recommend(wrong, model="recommend")

    def test_more_subjects_than_a_call_takes(self):
        results = self.client.recommend([["85123A"]] * 2_500, model="recommend", count=1)
        self.assertEqual([r.index for r in results], list(range(2_500)))
        self.assertEqual({r.items[0].item for r in results}, {results[0].items[0].item})

    def test_asyncio(self):
        async def ask():
            async with scry.aio.connect(daemon.address()) as client:
                return await client.recommend([["85123A"]], model="recommend", count=3)

        self.assertEqual(len(asyncio.run(ask())[0].items), 3)


class Frames(Served):
    def test_columns(self):
        answers = self.client.score("churn", self.frame, reasons=3)
        self.assertEqual(list(answers.columns), [
            "churn", "churn_predicted", "churn_raw_score", "churn_percentile", "churn_band", "churn_reason_1", "churn_contribution_1",
            "churn_reason_2", "churn_contribution_2", "churn_reason_3", "churn_contribution_3", "prediction_id", "error"])
        pd.testing.assert_index_equal(answers.index, self.frame.index)
        np.testing.assert_allclose(answers.churn, PROBABILITIES, atol=1e-5)
        self.assertEqual(list(answers.churn_band.cat.categories), ["low", "medium", "high", "very high"])
        self.assertTrue(answers.churn_band.cat.ordered)
        self.assertEqual(answers.churn_predicted.tolist(), (PROBABILITIES >= 0.34).tolist())
        contributions = np.array(CHURN[0]["outputs"]["model.contributions"]["values"])
        strongest = np.argsort(-abs(contributions))[:3]
        features = list(self.rows[0])
        self.assertEqual([answers[f"churn_reason_{i}"].iloc[0] for i in (1, 2, 3)], [features[i] for i in strongest])
        np.testing.assert_allclose([answers[f"churn_contribution_{i}"].iloc[0] for i in (1, 2, 3)], contributions[strongest], atol=1e-5)
        self.assertTrue(answers.error.isna().all())
        self.assertEqual(answers.attrs["served_by"], ["churn@1"])
        imputed = {w["field"]: w for w in answers.attrs["warnings"] if w["code"] == "FEATURE_IMPUTED"}
        self.assertEqual(imputed['table.columns["gender"]']["rows"], [4, 5])
        self.assertEqual(answers.prediction_id.nunique(), len(answers))

    def test_dtypes_agree(self):
        want = self.client.score("churn", self.frame)
        texts = self.frame.select_dtypes(exclude="number").columns
        for name, frame in (("categories", self.frame.astype({c: "category" for c in texts})),
                            ("objects", self.frame.astype(object)),
                            ("nullable", self.frame.convert_dtypes()),
                            ("string", self.frame.astype({c: "string" for c in texts})),
                            ("float32", self.frame.astype({"MonthlyCharges": "float32"}))):
            with self.subTest(name):
                got = self.client.score("churn", frame)
                np.testing.assert_allclose(got.churn, want.churn, atol=1e-6)
                self.assertEqual(got.churn_band.tolist(), want.churn_band.tolist())

    def test_a_hundred_thousand_rows(self):
        rng = np.random.default_rng(1)
        n = 100_000
        picked = rng.integers(0, 4, n)
        big = self.frame.iloc[picked].reset_index(drop=True)
        answers = self.client.score("churn", big)
        self.assertEqual(len(answers), n)
        np.testing.assert_allclose(answers.churn, PROBABILITIES[picked], atol=1e-5)
        self.assertEqual(answers.prediction_id.nunique(), n)
        self.assertGreaterEqual(len({i.rsplit("-", 1)[0] for i in answers.prediction_id}), 5)  # several messages

    def test_errors_by_row(self):
        frame = pd.concat([self.frame] * 5000, ignore_index=True).astype({"SeniorCitizen": float})
        bad = [3, 20_001, 29_999]
        frame.loc[bad, "SeniorCitizen"] = 0.5
        frame.loc[7, "tenure"] = None
        with self.assertRaises(scry.ItemErrors) as raised:
            self.client.score("churn", frame)
        self.assertEqual(sorted(raised.exception.errors), [3, 7, 20_001, 29_999])
        self.assertEqual(raised.exception.errors[20_001].violations[0][0], 'table.columns["SeniorCitizen"]')
        answers = self.client.score("churn", frame, errors="return")
        self.assertEqual(answers.index[answers.churn.isna()].tolist(), [3, 7, 20_001, 29_999])
        self.assertIn('table.columns["SeniorCitizen"]', answers.error[20_001])
        self.assertIn("FEATURE_MISSING", answers.error[7])
        self.assertTrue(answers.loc[bad, ["churn_band", "churn_predicted", "prediction_id"]].isna().all(axis=None))
        np.testing.assert_allclose(answers.churn.drop([*bad, 7]), np.tile(PROBABILITIES, 5000)[[*set(range(30_000)) - {*bad, 7}]], atol=1e-5)

    def test_a_column_of_the_wrong_type_fails_the_call(self):
        with self.assertRaisesRegex(scry.Error, '"tenure" takes a whole number'):
            self.client.score("churn", self.frame.assign(tenure="many"))
        with self.assertRaisesRegex(scry.Error, '"tenure" is missing'):
            self.client.score("churn", self.frame.drop(columns="tenure"))

    def test_no_rows(self):
        self.assertEqual(len(self.client.score("churn", self.frame.iloc[:0])), 0)

    def test_asyncio(self):
        async def run():
            async with scry.aio.connect(daemon.address()) as client:
                await client.wait_ready()
                frames = await asyncio.gather(*[client.score("churn", self.frame) for _ in range(5)],
                                              client.score("churn", pd.concat([self.frame] * 10_000)))
                texts = await client.analyze_text(["Отлично!"])
                images = await client.analyze_images([CAT])
            for frame in frames:
                np.testing.assert_allclose(frame.churn[:6], PROBABILITIES, atol=1e-5)
            self.assertEqual((len(frames[-1]), texts[0].sentiment.polarity, images[0].info.width), (60_000, 1, 451))

        asyncio.run(run())


class Texts(Served):
    def test_series(self):
        texts = pd.Series(["Отличный чайник, всё понравилось!", "It broke after one day.", None], index=["a", "b", "c"])
        answers = self.client.analyze_text(texts, features=["sentiment", "embedding"], errors="return")
        self.assertEqual(answers.polarity.tolist()[:2], ["positive", "negative"])
        np.testing.assert_allclose(answers[["positive", "neutral", "negative"]].sum(axis=1)[:2], 1, atol=1e-6)
        self.assertAlmostEqual(float(np.linalg.norm(answers.embedding["a"])), 1, places=2)
        self.assertIn("TEXT_EMPTY", answers.error["c"])
        self.assertTrue(answers.loc["c", ["polarity", "score", "embedding"]].isna().all())
        with self.assertRaises(scry.ItemErrors):
            self.client.analyze_text(texts)

    def test_features(self):
        texts = pd.Series(["Чайник отличный, очень доволен! А доставка ужасная. Пишите: a@example.com", "The battery lasts for days."])
        answers = self.client.analyze_text(texts, features=["sentiment", "sentences", "language", "personal_data"], redact=True)
        self.assertEqual((answers.polarity[0], answers.language.tolist()), ("mixed", ["ru", "en"]))
        redacted = answers.redacted_text[0]
        self.assertTrue(redacted.endswith("[EMAIL]"))
        self.assertEqual(redacted[answers.sentences[0][1]["begin"]:answers.sentences[0][1]["end"]], "А доставка ужасная.")
        private = answers.personal_data[0][0]
        self.assertEqual((private["type"], texts[0][private["begin"]:private["end"]]), ("email", "a@example.com"))
        self.assertTrue(answers.language_supported.all() and answers.personal_data[1] is None)
        self.assertAlmostEqual(answers.magnitude[0], sum(abs(s["score"]) for s in answers.sentences[0]))
        found = self.client.analyze_text(["Zürich, +7 912 345-67-89"], features=["personal_data"])[0].personal_data
        self.assertEqual((len(found), found[0].span.begin), (1, 8))
        with self.assertRaises(TypeError):
            self.client.analyze_text(texts, features=["topics"], topics="price")

    def test_list(self):
        results = self.client.analyze_text(["good", b"caf\xe9"], ids=["x", "y"])
        self.assertEqual([r.id for r in results], ["x", "y"])
        self.assertEqual(len(results[1].warnings), 1)  # repaired
        with self.assertRaisesRegex(ValueError, "sentiment, embedding, sentences"):
            self.client.analyze_text(["good"], features=["mood"])
        with self.assertRaises(TypeError):
            self.client.analyze_text("good")


class Images(Served):
    def test_kinds(self):
        picture = Image.open(CAT)
        results = self.client.analyze_images([CAT, str(CAT), CAT.read_bytes(), picture], max_labels=3, heads=["imagenet"])
        self.assertEqual([r.info.format for r in results], ["jpeg", "jpeg", "jpeg", "png"])
        labels = [[label.name for label in r.labels[0].labels] for r in results]
        self.assertEqual(labels[0], labels[2])
        self.assertEqual((len(labels[0]), labels[0][0], labels[3][0]), (3, "Egyptian cat", "Egyptian cat"))

    def test_errors(self):
        with self.assertRaises(scry.ItemErrors) as raised:
            self.client.analyze_images([CAT, b"no picture"])
        self.assertEqual(raised.exception.errors[1].reason, "IMAGE_FORMAT")
        with self.assertRaises(FileNotFoundError):
            self.client.analyze_images(["nowhere.jpg"])

    def test_colors_and_quality(self):
        black = Image.new("RGB", (8, 8))
        result, = self.client.analyze_images([black], features=["colors", "quality"], model="products")
        self.assertEqual([(c.hex, c.name_en, c.name_ru, c.fraction) for c in result.colors], [("#000000", "black", "чёрный", 1.0)])
        self.assertEqual((result.quality.underexposed, result.quality.megapixels, len(result.served_by)), (1.0, 64e-6, 0))

    def test_options(self):
        picture = Image.new("RGB", (8, 8))
        picture.paste("white", (0, 0, 4, 8))
        result, = self.client.analyze_images([picture], features=["colors"], options=imageanalysis_pb2.ImageOptions(max_colors=1))
        self.assertEqual(len(result.colors), 1)
        with self.assertRaises(scry.Error) as raised:
            self.client.analyze_images([picture], features=["faces"], options=imageanalysis_pb2.ImageOptions(max_faces=101))
        self.assertEqual([field for field, _ in raised.exception.violations], ["options.max_faces"])
        with self.assertRaisesRegex(ValueError, "'smell' is none of labels, embedding, colors, quality, faces, safe_search, text"):
            self.client.analyze_images([picture], features=["smell"])
        with self.assertRaisesRegex(TypeError, "put a single one into a list"):
            self.client.analyze_images([picture], features="colors")

    def test_find_similar(self):
        pictures = [CAT, daemon.ROOT / "scripts/demo/coffee.jpg"]
        vectors = [r.embedding.values for r in self.client.analyze_images(pictures, features=["embedding"], model="products")]
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory, "products")
            shutil.copytree(daemon.ROOT / "models/products", folder)
            np.save(folder / "vectors.npy", np.array(vectors, np.float32))
            (folder / "items.jsonl").write_text('{"id": "cat", "kind": "animal"}\n{"id": "coffee", "kind": "drink"}\n')
            manifest = folder / "bundle.yaml"
            manifest.write_text(manifest.read_text() + "\ncatalogue: {items: {file: items.jsonl, vectors: vectors.npy, "
                                "query_head: embedding, attributes: [{name: kind, type: ATTRIBUTE_TYPE_STRING}]}}\n")
            self.client.push(folder, "shop", activate=True)
        cat, coffee = self.client.find_similar(pictures, model="shop", count=2, attributes=["kind"])
        self.assertEqual([i.item for r in (cat, coffee) for i in r.items], ["cat", "coffee", "coffee", "cat"])
        self.assertGreater(cat.items[0].score, 0.99)  # the versions may run in different precisions
        self.assertEqual(cat.items[0].attributes["kind"], "animal")
        drinks, = self.client.find_similar([CAT], model="shop", filter='kind = "drink"')
        self.assertEqual([i.item for i in drinks.items], ["coffee"])
        with self.assertRaisesRegex(scry.Error, "MODEL_UNSUITABLE"):
            self.client.find_similar([CAT], model="products")
        with self.assertRaises(scry.ItemErrors) as raised:
            self.client.find_similar([b"no picture"], model="shop")
        self.assertEqual(raised.exception.errors[0].reason, "IMAGE_FORMAT")


class Store(Served):
    def test_push(self):
        first = self.client.push(daemon.ROOT / "models/churn", "pushed")
        self.assertEqual((first.version, first.verification.samples), (1, len(CHURN)))
        with self.assertRaisesRegex(scry.Error, "NO_ACTIVE_VERSION"):
            self.client.score("pushed", self.frame)
        again = self.client.push(daemon.ROOT / "models/churn", "pushed", activate=True)
        self.assertEqual((again.version, again.digest), (1, first.digest))
        np.testing.assert_allclose(self.client.score("pushed", self.frame).churn, PROBABILITIES, atol=1e-5)

    def test_a_bad_bundle_is_refused(self):
        with self.assertRaises(scry.Error) as raised:
            self.client.push(daemon.ROOT / "client/python/tests/daemon.py", "bad")
        self.assertEqual(raised.exception.reason, "BUNDLE_INVALID")
        with self.assertRaises(FileNotFoundError):
            self.client.push("/nowhere", "bad")

    @unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
    def test_tls_and_token(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key, token = (f"{folder}/{name}" for name in ("cert.pem", "key.pem", "token"))
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                            "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                           check=True, stderr=subprocess.DEVNULL)
            Path(token).write_text("s" * 40)
            address = daemon.start("--tls-cert", cert, "--tls-key", key, "--admin-token-file", token).replace("127.0.0.1", "localhost")
            for options, reason in ((dict(tls=cert), "TOKEN_REQUIRED"), (dict(tls=Path(cert).read_bytes(), token="s" * 40), "")):
                with scry.connect(address, **options) as client:
                    client.wait_ready(30)
                    if reason:
                        with self.assertRaises(scry.Error) as raised:
                            client.push(daemon.ROOT / "models/churn", "churn")
                        self.assertEqual(raised.exception.reason, reason)
                    else:
                        self.assertEqual(client.push(daemon.ROOT / "models/churn", "churn", activate=True).version, 1)
                        np.testing.assert_allclose(client.score("churn", self.frame).churn, PROBABILITIES, atol=1e-5)
            for options in (dict(), dict(tls=True)):  # plain text, and authorities that did not sign it
                with scry.connect(address, **options) as client, self.assertRaises(scry.Error) as raised:
                    client.score("churn", self.rows, timeout=2)
                self.assertEqual(raised.exception.code.name, "UNAVAILABLE")

    def test_fork(self):
        """A client that was made before a fork, and is used first in the child."""
        script = f"""
import os, scry
client = scry.connect({daemon.address()!r})
if os.fork() == 0:
    print(len(client.score("churn", [{{"tenure": 1}}])), flush=True)
    os._exit(0)
os.wait()
"""
        done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.stdout, "1\n")


if __name__ == "__main__":
    unittest.main()
