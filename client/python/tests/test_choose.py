"""Choosing actions and send times, against the real server."""

import asyncio
import datetime as dt
import unittest

import numpy as np
import pandas as pd

import scry
import scry.aio
from scry.scoring.v1 import choosing_pb2 as pb
from tests import daemon

CUSTOMERS = pd.DataFrame([
    {"tenure": 2, "contract": "monthly", "complaints": 3, "monthly_charge": 90.0},
    {"tenure": 30, "contract": "monthly", "discount_share": 0.8, "monthly_charge": 95.0, "messages_30d": 20},
    {"tenure": 60, "contract": "yearly", "complaints": 0, "monthly_charge": np.nan, "opened_share": 0.0, "messages_30d": 30},
], index=["angry", "thrifty", "content"])


class Actions(daemon.Served):
    def test_frame(self):
        got = self.client.choose_action("offers", CUSTOMERS, filter='attributes.goal = "retention"', count=3, language="ru")
        self.assertEqual(list(dict.fromkeys(got.index)), list(CUSTOMERS.index))
        scored = self.client.score("offers", CUSTOMERS)
        for name, rows in got.groupby(level=0):
            if rows["action"].isna().all():
                self.assertTrue((scored.loc[name, [f"staying_profit_{a}" for a in ("call", "discount_10", "discount_20")]] <= 0).any())
                continue
            self.assertEqual(list(rows["rank"]), list(range(1, len(rows) + 1)))
            for row in rows.itertuples():
                self.assertAlmostEqual(row.expected_profit, scored.loc[name, f"staying_profit_{row.action}"], places=4)
                self.assertGreater(row.expected_profit, 0)
        angry = got.loc[["angry"]]
        self.assertEqual(angry["action"].iloc[0], "call")
        self.assertEqual(angry["title"].iloc[0], "Звонок консультанта")
        self.assertEqual(got.attrs["excluded"][0]["discount_10"], "not_eligible")
        self.assertEqual(got.attrs["served_by"], ["offers@1"])
        self.assertTrue(got["propensity"].isna().all())

    def test_thompson(self):
        options = pb.ChooseActionOptions(thompson=pb.ThompsonSampling(posteriors=[pb.Posterior(action="call", successes=80, failures=20)]))
        got = self.client.choose_action("offers", CUSTOMERS, options=options)
        options.thompson.seed = got.attrs["seed"]
        again = self.client.choose_action("offers", CUSTOMERS, options=options)
        pd.testing.assert_frame_equal(got.drop(columns="prediction_id"), again.drop(columns="prediction_id"))
        chosen = got.dropna(subset="action")
        self.assertTrue(((chosen["propensity"] > 0) & (chosen["propensity"] <= 1)).all())

    def test_mappings_and_errors(self):
        rows = [{"tenure": 2, "complaints": 3}, {"tenure": "long"}]
        with self.assertRaises(scry.ItemErrors) as raised:
            self.client.choose_action("offers", rows, ids=["a", "b"])
        self.assertEqual({i: e.reason for i, e in raised.exception.errors.items()}, {1: "FEATURE_TYPE"})
        self.assertEqual(raised.exception.answers[0].id, "a")
        frame = self.client.choose_action("offers", pd.DataFrame(rows), errors="return")
        self.assertIn("tenure", frame["error"].iloc[-1])
        with self.assertRaises(scry.Error) as raised:
            self.client.choose_action("offers", CUSTOMERS, filter="value >")
        self.assertEqual(raised.exception.reason, "FILTER_INVALID")
        with self.assertRaises(scry.Error) as raised:
            self.client.choose_action("churn", [{"tenure": 1}])
        self.assertEqual(raised.exception.reason, "MODEL_UNSUITABLE")

    def test_more_customers_than_a_call_takes(self):
        many = pd.DataFrame({"tenure": np.arange(12_000) % 60, "complaints": np.arange(12_000) % 5})
        got = self.client.choose_action("offers", many)
        self.assertEqual(list(got.index), list(many.index))


class SendTimes(daemon.Served):
    def setUp(self):
        self.monday = pd.Timestamp("2026-03-02", tz="UTC")
        early = [{"id": "early", "time_zone": "Europe/Moscow", "sent": self.monday - pd.Timedelta(days=d, hours=-4), "answered": True}
                 for d in range(7, 47)]
        self.messages = pd.DataFrame([{"id": "new", "time_zone": None, "sent": None, "answered": None}, *early])

    def test_frame(self):
        got = self.client.choose_send_time("sendtime", self.messages, earliest=self.monday.to_pydatetime(), count=2, quiet_hours=range(0, 7))
        self.assertEqual(list(got.index), ["new", "new", "early", "early"])
        first = got.loc["early"].iloc[0]
        self.assertEqual(first["slot"] % 24, 7)  # 4 o'clock in UTC
        self.assertEqual(first["time"].hour, 4)
        self.assertGreater(first["rate"], first["prior_rate"])
        self.assertEqual(first["time"].tzinfo, self.monday.tzinfo)
        self.assertEqual(got.loc["new"].iloc[0]["rate"], got.loc["new"].iloc[0]["prior_rate"])
        half = self.client.choose_send_time("sendtime", self.messages, earliest=self.monday.to_pydatetime(), half_life=dt.timedelta(days=7),
                                            quiet_hours=range(0, 7))
        self.assertLess(half.loc[["early"]].iloc[0]["observations"], first["observations"])

    def test_recipients_and_errors(self):
        got = self.client.choose_send_time("sendtime", [pb.Recipient(id="a"), pb.Recipient(id="b", time_zone="Mars")], errors="return")
        self.assertEqual([r.error.code for r in got], [0, 3])
        with self.assertRaises(scry.ItemErrors):
            self.client.choose_send_time("sendtime", self.messages.assign(time_zone="Mars"))
        with self.assertRaisesRegex(ValueError, "no column 'answered'"):
            self.client.choose_send_time("sendtime", self.messages[["id", "sent"]])
        with self.assertRaisesRegex(ValueError, "two time zones"):
            self.client.choose_send_time("sendtime", self.messages.assign(id="one"))
        with self.assertRaisesRegex(TypeError, "recipient 0 is a dict"):
            self.client.choose_send_time("sendtime", [{}])


class Asyncio(daemon.Served):
    def test_both(self):
        async def ask():
            async with scry.aio.connect(daemon.address()) as client:
                return (await client.choose_action("offers", [{"tenure": 2, "complaints": 4}]),
                        await client.choose_send_time("sendtime", [pb.Recipient(id="a")]))

        actions, times = asyncio.run(ask())
        self.assertEqual(actions[0].actions[0].name, "call")
        self.assertEqual(len(times[0].times), 1)


if __name__ == "__main__":
    unittest.main()
