"""What is the same for all messages of one call; nothing is sent."""

import unittest

import pandas as pd

from scry import _calls, _choose
from scry.scoring.v1 import choosing_pb2 as pb
from scry.server.v1 import server_pb2


def limits(**those):
    return _calls.limits(server_pb2.GetServerInfoResponse(limits=server_pb2.Limits(**those)))


class Parts(unittest.TestCase):
    def check(self, requests, field):
        """Three messages of five items see one time."""
        self.assertEqual([len(getattr(r, field)) for r in requests], [2, 2, 1])
        times = {r.options.time.ToNanoseconds() for r in requests}
        self.assertEqual(len(times), 1)
        self.assertLess(abs(pd.Timestamp.now("UTC") - pd.Timestamp(times.pop(), tz="UTC")), pd.Timedelta(minutes=1))

    def test_recommend(self):
        given = pb.RecommendOptions(exploration=pb.Exploration(temperature=1))
        call = _calls.recommend([["a"]] * 5, limits(), model="m", version="", count=50_000, ids=None, errors="raise",
                                options=_calls.recommend_options("", (), False, 0, given))
        requests = list(call.requests)
        self.check(requests, "subjects")
        self.assertEqual(len({r.options.exploration.seed for r in requests}), 1)
        self.assertFalse(given.HasField("time") or given.exploration.HasField("seed"))

    def test_choose_action(self):
        given = pb.ChooseActionOptions(thompson=pb.ThompsonSampling())
        call = _choose.choose_action("m", pd.DataFrame({"x": range(5)}, index=list("abcde")), limits(max_instances=2), version="",
                                     actions=(), filter="", count=0, language="", options=given, ids=None, errors="raise")
        requests = list(call.requests)
        self.check(requests, "instances")
        self.assertEqual(len({r.options.thompson.seed for r in requests}), 1)
        self.assertEqual([i.id for r in requests for i in r.instances], list("abcde"))
        self.assertFalse(given.HasField("time") or given.thompson.HasField("seed"))


if __name__ == "__main__":
    unittest.main()
