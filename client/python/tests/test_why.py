"""Explanations of texts and pictures by the real server."""

import asyncio

import numpy as np
import pandas as pd

import scry
import scry.aio
from scry.imageanalysis.v1 import imageanalysis_pb2
from tests import daemon

CAT = daemon.ROOT / "scripts/demo/cat.jpg"
TEXTS = ["Отличный телефон, но батарея ужасная", "😀 good", None]


class Why(daemon.Served):
    def test_texts(self):
        series = pd.Series(TEXTS, index=["a", "b", "c"])
        got = self.client.explain_text(series, errors="return")
        self.assertEqual(list(got.loc["a"].word), ["Отличный", "телефон", ",", "но", "батарея", "ужасная"])
        self.assertEqual(list(got.loc["b"].word), ["😀", "good"])
        self.assertEqual(list(got.loc["b"].begin), [0, 2])
        self.assertEqual(got.loc["a"].iloc[got.loc["a"].contribution.argmin()].word, "ужасная")
        self.assertIn("TEXT_EMPTY", got.loc["c"].error)
        self.assertEqual(got.attrs["target"], "score")
        # What is left out is what the server would have been asked.
        asked = self.client.analyze_text(pd.Series([TEXTS[0], "Отличный телефон, но батарея"]))
        np.testing.assert_allclose(got.loc["a"].contribution.iloc[-1], asked.score[0] - asked.score[1], atol=0.03)
        with self.assertRaises(scry.ItemErrors):
            self.client.explain_text(series)

    def test_sequences(self):
        got = self.client.explain_text([b"good caf\xe9"] * 25, target="positive", max_evaluations=2)  # more than a message takes
        self.assertEqual(len(got), 25)
        self.assertTrue(all(r.target == "positive" and len(r.words) == 1 and r.evaluations == 2 for r in got))
        self.assertEqual((got[0].words[0].span.begin, got[0].words[0].span.end), (0, 9))
        with self.assertRaisesRegex(scry.Error, "TARGET_UNKNOWN"):
            self.client.explain_text(["good"], target="joy")
        for wrong in ("good", [5]):
            with self.assertRaises(TypeError):
                self.client.explain_text(wrong)

    def test_pictures(self):
        r, broken = self.client.explain_image([CAT, b"no picture"], head="imagenet", max_evaluations=10, ids=["x", "y"], errors="return")
        self.assertIsInstance(r, imageanalysis_pb2.ImageExplanation)
        self.assertEqual((r.id, r.rows, r.columns, len(r.heat)), ("x", 3, 3, 9))
        self.assertIn("cat", r.label)
        self.assertTrue(r.png.startswith(b"\x89PNG"))
        self.assertTrue(broken.error.code)
        with self.assertRaises(TypeError):
            self.client.explain_image(str(CAT))

    def test_asyncio(self):
        async def ask():
            async with scry.aio.connect(daemon.address()) as client:
                return await client.explain_text(["good"]), await client.explain_image([CAT], max_evaluations=2)

        texts, images = asyncio.run(ask())
        self.assertEqual([w.span.end for w in texts[0].words], [4])
        self.assertEqual(len(images[0].heat), 1)
