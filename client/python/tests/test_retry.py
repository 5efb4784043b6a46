"""Deadlines, retries, readiness and connections, against a server that answers what the test says."""

import asyncio
import concurrent.futures
import datetime as dt
import multiprocessing
import pickle
import time
import unittest

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

import scry
import scry.aio
from scry import _connection
from scry._retry import MAX_ATTEMPTS, Retries
from scry.scoring.v1 import scoring_pb2, scoring_pb2_grpc
from scry.server.v1 import server_pb2, server_pb2_grpc


def refusal(code, reason="", retry_after=None):
    """What a call is refused with."""
    status = status_pb2.Status(code=code, message="no")
    for detail in ([error_details_pb2.ErrorInfo(domain="scry", reason=reason)] if reason else []) + (
            [] if retry_after is None else [error_details_pb2.RetryInfo(retry_delay=dt.timedelta(seconds=retry_after))]):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


class Server(scoring_pb2_grpc.ScoringServiceServicer, server_pb2_grpc.ServerServiceServicer):
    """Refuses as often as it was told, then answers; keeps when it was asked, with which deadline and metadata."""

    def __init__(self):
        self.refusals, self.calls, self.metadata, self.info_refusal, self.healthy = [], [], {}, None, True

    def _refuse(self, context, status):
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(next(c for c in grpc.StatusCode if c.value[0] == status.code), status.message)

    def Score(self, request, context):
        self.calls.append((time.monotonic(), context.time_remaining(), request))
        self.metadata = dict(context.invocation_metadata())
        if self.refusals:
            self._refuse(context, self.refusals.pop(0))
        return scoring_pb2.ScoreResponse(results=[{"id": i.id} for i in request.instances])

    def GetServerInfo(self, request, context):
        if self.info_refusal:
            self._refuse(context, self.info_refusal)
        return server_pb2.GetServerInfoResponse(limits={"max_instances": 2})

    def check_health(self, request, context):
        return b"\x08\x01" if self.healthy else b"\x08\x02"


def started(servicer, address="127.0.0.1:0"):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    scoring_pb2_grpc.add_ScoringServiceServicer_to_server(servicer, server)
    server_pb2_grpc.add_ServerServiceServicer_to_server(servicer, server)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
        "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(servicer.check_health)}),))
    port = server.add_insecure_port(address)
    server.start()
    return server, f"127.0.0.1:{port}"


OVERLOAD = code_pb2.RESOURCE_EXHAUSTED


class Fake(unittest.TestCase):
    def setUp(self):
        self.servicer = Server()
        self.server, self.address = started(self.servicer)
        self.addCleanup(self.server.stop, None)
        self.client = scry.connect(self.address, token="secret", tenant="shop")
        self.addCleanup(self.client.close)

    def score(self, rows=1, **options):
        return self.client.score("m", [{}] * rows, **options)


class Retrying(Fake):
    def test_overload_waits_for_the_hint(self):
        self.servicer.refusals = [refusal(OVERLOAD, "QUEUE_FULL", 0.3)]
        self.assertEqual(len(self.score()), 1)
        (first, _, _), (second, _, _) = self.servicer.calls
        self.assertGreaterEqual(second - first, 0.3)

    def test_overload_without_a_hint_is_not_tried_again(self):
        self.servicer.refusals = [refusal(OVERLOAD, "OUT_OF_MEMORY")]
        with self.assertRaises(scry.Error) as raised:
            self.score()
        self.assertEqual((raised.exception.code, raised.exception.reason, len(self.servicer.calls)),
                         (grpc.StatusCode.RESOURCE_EXHAUSTED, "OUT_OF_MEMORY", 1))

    def test_a_wait_beyond_the_deadline_fails_at_once(self):
        self.servicer.refusals = [refusal(OVERLOAD, "QUEUE_FULL", 0.9)]
        started = time.monotonic()
        with self.assertRaises(scry.Error) as raised:
            self.score(timeout=0.8)
        self.assertLess(time.monotonic() - started, 0.7)
        self.assertEqual((raised.exception.code, raised.exception.retry_after, len(self.servicer.calls)),
                         (grpc.StatusCode.RESOURCE_EXHAUSTED, 0.9, 1))

    def test_retries_share_the_deadline(self):
        self.servicer.refusals = [refusal(OVERLOAD, "QUEUE_FULL", 0.5)]
        self.score(timeout=5)
        (_, first, _), (_, second, _) = self.servicer.calls
        self.assertLess(first, 5.2)
        self.assertLess(second, first - 0.45)

    def test_unavailable_is_tried_again_a_few_times(self):
        self.servicer.refusals = [refusal(code_pb2.UNAVAILABLE, "SHUTTING_DOWN")] * 2
        self.assertEqual(len(self.score()), 1)
        self.servicer.refusals = [refusal(code_pb2.UNAVAILABLE, "SHUTTING_DOWN")] * 9
        self.servicer.calls.clear()
        with self.assertRaises(scry.Error):
            self.score()
        self.assertEqual(len(self.servicer.calls), MAX_ATTEMPTS)

    def test_what_cannot_get_better_is_not_tried_again(self):
        for code in (code_pb2.INVALID_ARGUMENT, code_pb2.NOT_FOUND, code_pb2.INTERNAL, code_pb2.DEADLINE_EXCEEDED):
            with self.subTest(code=code):
                self.servicer.calls.clear()
                self.servicer.refusals = [refusal(code)]
                with self.assertRaises(scry.Error):
                    self.score()
                self.assertEqual(len(self.servicer.calls), 1)

    def test_budget(self):
        retries = Retries()
        error = scry.Error(grpc.StatusCode.UNAVAILABLE, "")
        allowed = sum(retries.pause(error, 1, 60) is not None for _ in range(100))
        self.assertEqual(allowed, 9)  # of 20 tokens half are kept
        for _ in range(111):  # each gives back a tenth, and the next failure takes one
            retries.succeeded()
        self.assertIsNotNone(retries.pause(error, 1, 60))

    def test_asyncio(self):
        async def run():
            async with scry.aio.connect(self.address) as client:
                await client.wait_ready(10)
                self.servicer.refusals = [refusal(OVERLOAD, "QUEUE_FULL", 0.3)]
                self.assertEqual(len(await client.score("m", [{}] * 9)), 9)
                self.assertEqual(len(self.servicer.calls), 6)  # two rows each, one of them twice
                self.servicer.refusals = [refusal(OVERLOAD, "QUEUE_FULL", 3)]
                with self.assertRaises(scry.Error):
                    await client.score("m", [{}], timeout=0.5)

        asyncio.run(run())


class Calls(Fake):
    def test_items_keep_their_order_over_messages(self):
        results = self.client.score("m", [{}] * 25, ids=[str(i) for i in range(25)])
        self.assertEqual([(r.id, r.index) for r in results], [(str(i), i) for i in range(25)])
        self.assertEqual(len(self.servicer.calls), 13)  # the server takes two rows a call

    def test_a_failing_message_fails_the_call(self):
        self.servicer.refusals = [refusal(code_pb2.NOT_FOUND, "NOT_FOUND")]
        with self.assertRaisesRegex(scry.Error, "NOT_FOUND: no"):
            self.score(rows=25)

    def test_metadata(self):
        self.score()
        self.assertEqual((self.servicer.metadata["authorization"], self.servicer.metadata["scry-tenant"]), ("Bearer secret", "shop"))
        self.assertIn("scry-python-client", self.servicer.metadata["user-agent"])
        with self.assertRaises(ValueError):
            scry.connect(self.address, token="a\nb")

    def test_nothing_is_asked_for_no_rows(self):
        self.assertEqual(self.score(rows=0), [])
        self.assertEqual(self.servicer.calls, [])

    def test_a_server_without_info(self):
        self.servicer.info_refusal = refusal(code_pb2.PERMISSION_DENIED)
        self.assertEqual(len(self.score(rows=25)), 25)
        self.assertEqual(len(self.servicer.calls), 1)

    def test_closed(self):
        self.client.close()
        with self.assertRaisesRegex(ValueError, "closed"):
            self.score()

    def test_errors_pickle(self):
        error = scry.Error(grpc.StatusCode.NOT_FOUND, "m", reason="R", metadata={"a": "b"}, violations=(("f", "d"),), retry_after=1.5)
        again = pickle.loads(pickle.dumps(scry.ItemErrors({3: error}, 5, [1])))
        self.assertEqual((str(again), again.total, again.answers), (f"1 of 5 items failed; item 3: {error}", 5, [1]))
        self.assertEqual(vars(again.errors[3]), vars(error))

    def test_fork(self):
        """A client that was made but not used works in the child, one that was used says what to do."""
        fresh = scry.connect(self.address)
        self.score()
        with self.assertRaisesRegex(RuntimeError, "forked"):
            self.client._pid -= 1  # as if this were the child
            try:
                self.client.channel
            finally:
                self.client._pid += 1
        self.assertIsNone(fresh._channel)
        fresh.close()

    def test_spawned_processes(self):
        with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            self.assertEqual(pool.submit(in_child, self.address).result(60), 3)


def in_child(address):
    with scry.connect(address) as client:
        return len(client.score("m", [{}] * 3))


class Ready(Fake):
    def test_waits_until_serving(self):
        self.servicer.healthy = False
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.client.wait_ready, 20)
            time.sleep(0.3)
            self.assertFalse(waiting.done())
            self.servicer.healthy = True
            waiting.result(10)

    def test_times_out(self):
        self.servicer.healthy = False
        with self.assertRaisesRegex(TimeoutError, "not serving"):
            self.client.wait_ready(0.3)
        with scry.connect("127.0.0.1:1") as client, self.assertRaisesRegex(TimeoutError, "does not answer"):
            client.wait_ready(0.3)

    def test_waits_for_a_server_that_is_not_there_yet(self):
        self.server.stop(None).wait()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.client.wait_ready, 20)
            time.sleep(0.3)
            again, _ = started(self.servicer, self.address)
            self.addCleanup(again.stop, None)
            waiting.result(20)


class Spread(unittest.TestCase):
    def test_calls_go_to_every_address(self):
        servicers = [Server(), Server()]
        servers = [started(s) for s in servicers]
        addresses = ",".join(address for _, address in servers)
        with scry.connect(f"ipv4:{addresses}", tls=False) as client:
            client.wait_ready(10)
            for _ in range(40):
                client.score("m", [{}])
        for server, _ in servers:
            server.stop(None)
        self.assertTrue(all(s.calls for s in servicers), [len(s.calls) for s in servicers])


class Addresses(unittest.TestCase):
    def test_loopback(self):
        for target, want in (("localhost:8001", True), ("127.0.0.1:1", True), ("127.9.9.9", True), ("[::1]:8001", True), ("::1", True),
                             ("unix:/tmp/x", True), ("dns:///localhost:8001", True), ("dns://8.8.8.8/localhost:1", True),
                             ("scry.internal:8001", False), ("10.0.0.1:8001", False), ("dns:///scry:8001", False),
                             ("localhost.example.com:1", False), ("[2001:db8::1]:8001", False)):
            with self.subTest(target=target):
                self.assertEqual(_connection.is_loopback(target), want)

    def test_tls_unless_loopback(self):
        self.assertIsNone(_connection.credentials("localhost:1", None))
        self.assertIsNone(_connection.credentials("scry.internal:1", False))
        for target, tls in (("scry.internal:1", None), ("localhost:1", True), ("localhost:1", b"pem")):
            self.assertIsInstance(_connection.credentials(target, tls), grpc.ChannelCredentials)
        with self.assertRaises(FileNotFoundError):
            _connection.credentials("localhost:1", "/nowhere.pem")


if __name__ == "__main__":
    unittest.main()
