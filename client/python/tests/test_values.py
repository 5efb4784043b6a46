"""What Python, numpy and pandas values become on the wire."""

import datetime as dt
import unittest
from decimal import Decimal

import numpy as np
import pandas as pd

from scry import _answers, _calls, _values
from scry._table import Table
from scry.scoring.v1 import scoring_pb2 as pb
from scry.server.v1 import server_pb2

LIMITS = _calls.limits(None)


def only(frame):
    (part,) = Table(frame).parts(10**6, 10**9)
    return {column.name: column for column in part.columns}


def decoded(column, rows):
    """A column's values, None where the validity says so."""
    kind = column.WhichOneof("data")
    data = getattr(column, kind)
    values = [data.dictionary[i] for i in data.indices] if kind == "strings" else list(data.values)
    valid = np.unpackbits(np.frombuffer(column.validity, np.uint8), bitorder="little")[:rows] if column.validity else [1] * rows
    return kind, [v if ok else None for v, ok in zip(values, valid)]


class Rows(unittest.TestCase):
    def test_values(self):
        utc = dt.timezone.utc
        for given, want in (
            (None, None), (float("nan"), None), (np.nan, None), (np.float32("nan"), None), (pd.NA, None), (pd.NaT, None),
            (np.datetime64("NaT"), None), (Decimal("NaN"), None), (True, True), (np.bool_(False), False), (3, 3), (np.int8(3), 3),
            (np.uint64(7), 7), (2.5, 2.5), (np.float32(0.5), 0.5), (Decimal("1.25"), 1.25), ("a", "a"), (np.str_("a"), "a"),
            (dt.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05Z"),
            (dt.datetime(2026, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=3))), "2026-01-02T00:00:00Z"),
            (dt.date(2026, 1, 2), "2026-01-02T00:00:00Z"), (pd.Timestamp("2026-01-02 03:04:05.25", tz=utc), "2026-01-02T03:04:05.250000Z"),
            (np.datetime64("2026-01-02T03:04:05.000000001"), "2026-01-02T03:04:05Z"),
            ([{"amount": np.int64(1), "at": pd.NaT}], [{"amount": 1, "at": None}]), (np.array([1, 2]), [1, 2]), ((1.5,), [1.5]),
        ):
            with self.subTest(given=repr(given)):
                got = _values.value(given)
                self.assertEqual(got, want)
                self.assertIs(type(got), type(want))

    def test_what_a_struct_cannot_hold(self):
        for given, error in ((2**53 + 1, ValueError), (np.int64(2**60), ValueError), (float("inf"), ValueError), (b"x", TypeError),
                             (np.timedelta64(1, "s"), TypeError), (object(), TypeError), (1j, TypeError)):
            with self.subTest(given=given), self.assertRaisesRegex(error, "row 4, feature 'x': "):
                _values.row({"x": given}, 4)

    def test_rows_must_be_mappings(self):
        for rows in ({"tenure": 1}, "text", 5):
            with self.subTest(rows=rows), self.assertRaises(TypeError):
                call(rows)
        with self.assertRaisesRegex(TypeError, "row 1 is a int"):
            list(call([{}, 1]).requests)
        with self.assertRaisesRegex(ValueError, "1 ids for 2 items"):
            call([{}, {}], ids=["a"])

    def test_parts(self):
        rows = [{"text": "x" * 1000, "n": i} for i in range(100)]
        limits = server_pb2.Limits(max_message_bytes=_calls._SLACK + 5000, max_instances=7)
        parts = [request.instances for request in call(rows, limits).requests]
        self.assertTrue(all(1 <= len(part) <= 4 and sum(i.ByteSize() for i in part) <= 5000 for part in parts), [len(p) for p in parts])
        self.assertEqual([i.features["n"] for part in parts for i in part], list(range(100)))
        limits.max_message_bytes = 1 << 20
        self.assertEqual([len(request.instances) for request in call(rows, limits).requests], [7] * 14 + [2])


def call(data, limits=LIMITS, ids=None):
    return _calls.score("m", data, limits, version="", reasons=0, heads=(), language="", actionable_only=False, options=None, ids=ids,
                        errors="raise")


class Frames(unittest.TestCase):
    def test_columns(self):
        when = ["2026-01-02T03:04:05.250000Z", None]
        for given, want in (
            (pd.Series([1.5, np.nan]), ("doubles", [1.5, None])),
            (pd.Series([np.inf, -np.inf]), ("doubles", [np.inf, -np.inf])),
            (pd.Series([1.5, None], dtype="float32"), ("doubles", [1.5, None])),
            (pd.Series([0.5, None], dtype="Float64"), ("doubles", [0.5, None])),
            (pd.Series([1, 2], dtype="int8"), ("int64s", [1, 2])),
            (pd.Series([1, 2**63 - 1], dtype="uint64"), ("int64s", [1, 2**63 - 1])),
            (pd.Series([2**60 + 1, None], dtype="Int64"), ("int64s", [2**60 + 1, None])),
            (pd.Series([True, False]), ("bools", [True, False])),
            (pd.Series([True, None], dtype="boolean"), ("bools", [True, None])),
            (pd.Series([True, None], dtype=object), ("bools", [True, None])),
            (pd.Series(["b", None]), ("strings", ["b", None])),
            (pd.Series(["b", pd.NA], dtype="string"), ("strings", ["b", None])),
            (pd.Series(["b", None], dtype=object), ("strings", ["b", None])),
            (pd.Series(["b", None], dtype=pd.CategoricalDtype(["a", "b"])), ("strings", ["b", None])),
            (pd.Series([7, 5], dtype="category"), ("int64s", [7, 5])),
            (pd.Series([7, None], dtype=pd.CategoricalDtype([7.0, 5.0])), ("doubles", [7.0, None])),
            (pd.Series([2**60 + 1, None], dtype=object), ("int64s", [2**60 + 1, None])),
            (pd.Series([1, 2.5], dtype=object), ("doubles", [1.0, 2.5])),
            (pd.Series([Decimal("0.5"), None]), ("doubles", [0.5, None])),
            (pd.Series(pd.to_datetime(["2026-01-02T03:04:05.25", None])), ("strings", when)),
            (pd.Series(pd.to_datetime(["2026-01-02T04:04:05.25+01:00", None])), ("strings", when)),
            (pd.Series([dt.datetime(2026, 1, 2, 3, 4, 5, 250_000), None], dtype=object), ("strings", when)),
            (pd.Series([dt.date(2026, 1, 2), None], dtype=object), ("strings", ["2026-01-02T00:00:00.000000Z", None])),
        ):
            with self.subTest(given=given.tolist(), dtype=given.dtype):
                self.assertEqual(decoded(only(pd.DataFrame({"x": given}))["x"], 2), want)

    def test_refused(self):
        for given, words in (([1, "a"], "column 'x': holds int and str values"), ([pd.Timedelta(1)], "total_seconds"),
                             ([b"x"], "bytes values"), ([2**63], "64 bits"), ([object()], "object values"), ([[1, 2]], "list values")):
            with self.subTest(given=given), self.assertRaisesRegex(TypeError, words):
                Table(pd.DataFrame({"x": pd.Series(given)}))
        with self.assertRaisesRegex(TypeError, "0 has no text"):
            Table(pd.DataFrame([[1]]))

    def test_a_column_without_values_is_absent(self):
        self.assertEqual(only(pd.DataFrame({"x": [None, None], "y": [1, 2]})).keys(), {"y"})
        with self.assertRaisesRegex(ValueError, "no value"):
            Table(pd.DataFrame({"x": [None]}))

    def test_sequences(self):
        frame = pd.DataFrame({"path": [[{"amount": 1, "item": "a"}, {"amount": 2}], None, [], [{"item": "b"}]]})
        first, second = (part.columns[0] for part in Table(frame).parts(3, 10**9))
        self.assertEqual(list(first.sequences.offsets), [0, 2, 2, 2])
        self.assertEqual(first.validity, bytes([0b101]))
        fields = {f.name: f for f in first.sequences.fields}
        self.assertEqual(decoded(fields["amount"], 2), ("doubles", [1.0, 2.0]))
        self.assertEqual(decoded(fields["item"], 2), ("strings", ["a", None]))
        self.assertEqual((list(second.sequences.offsets), second.validity), ([0, 1], b""))
        self.assertEqual(decoded({f.name: f for f in second.sequences.fields}["item"], 1), ("strings", ["b"]))

    def test_parts_hold_every_row_once(self):
        rng = np.random.default_rng(0)
        n = 10_007
        frame = pd.DataFrame({"n": np.arange(n), "x": np.where(rng.random(n) < 0.3, np.nan, rng.random(n)),
                              "few": rng.choice(["a", "b", None], n), "many": [f"word {i}" for i in rng.integers(0, 5000, n)]})
        parts = list(Table(frame).parts(4000, 60_000))
        self.assertTrue(all(part.ByteSize() <= 60_000 for part in parts))
        got = {name: [] for name in frame}
        for part in parts:
            for column in part.columns:
                got[column.name] += decoded(column, part.rows)[1]
        for name in frame:
            self.assertEqual(got[name], [None if pd.isna(v) else v for v in frame[name].tolist()])


class Answers(unittest.TestCase):
    def test_heads(self):
        answer = pb.TableResult(rows=2, prediction_id="p")
        answer.heads["spend"].value.values.extend([5, 0])
        answer.heads["spend"].value.lower.extend([1, 0])
        answer.heads["tier"].classes.names.extend(["iron", "gold"])
        answer.heads["tier"].classes.probabilities.extend([0.25, 0.75, 0.5, 0.5])
        answer.heads["place"].embedding.size = 2
        answer.heads["place"].embedding.values.extend([1, 2, 3, 4])
        answer.heads["group"].segment.CopyFrom(pb.SegmentColumns(names=["a", "b"], segment=[1, 0], membership=[0.9, 0.6],
                                                                 distance=[1, 2], outlier=[False, True]))
        answer.heads["offer"].uplift.CopyFrom(pb.UpliftColumns(names=["mail", "call"], effects=[1, 2, 3, 4], best=[1, -1]))
        answer.heads["demand"].forecast.CopyFrom(pb.ForecastColumns(horizon=2, values=[1, 2, 3, 4], levels=[0.1],
                                                                    quantiles=[0, 1, 2, 3]))
        frame, errors = _answers.frame([answer], pd.Index(["x", "y"]), [])
        self.assertFalse(errors)
        row = frame.loc["x"]
        self.assertEqual((row.spend, row.spend_lower, row.tier, row.tier_probability, row.tier_probability_iron), (5, 1, "gold", 0.75, 0.25))
        self.assertEqual((row.place.tolist(), row.group, row.group_membership, row.group_outlier), ([1, 2], "b", 0.9, False))
        self.assertEqual((row.offer, row.offer_effect_call, row.demand.tolist(), row["demand_q0.1"].tolist()), ("call", 2, [1, 2], [0, 1]))
        self.assertTrue(pd.isna(frame.offer["y"]))
        self.assertEqual(row.prediction_id, "p-0")


if __name__ == "__main__":
    unittest.main()
