"""The client for asyncio: scry.aio.connect. Its methods answer as those of scry.Client do.

Rows are encoded and answers decoded on the event loop's own thread, which a large DataFrame holds up while that takes:
hand those to a scry.Client by asyncio.to_thread.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import grpc

from . import _calls, _connection
from ._client import AT_ONCE, INFO_AGE
from ._errors import Error, from_rpc
from ._retry import Retries
from .imageanalysis.v1 import imageanalysis_pb2
from .scoring.v1 import choosing_pb2, scoring_pb2
from .sentiment.v1 import sentiment_pb2
from .server.v1 import server_pb2, server_pb2_grpc

T = TypeVar("T")


def connect(target: str = "localhost:8001", *, tls: Any = None, token: str = "", tenant: str = "", timeout: float = 30.0,
            options: Sequence[tuple[str, Any]] = ()) -> Client:
    """As scry.connect; to be called in a running event loop."""
    return Client(target, tls=tls, token=token, tenant=tenant, timeout=timeout, options=options)


class Client:
    """A connection to a scry server for one event loop. To be closed, or used in an async with statement."""

    def __init__(self, target: str, *, tls: Any, token: str, tenant: str, timeout: float, options: Sequence[tuple[str, Any]]) -> None:
        self.target = target
        self.timeout = timeout
        self.metadata = _connection.metadata(token, tenant)
        self._retries = Retries()
        credentials = _connection.credentials(target, tls)
        if credentials is None:
            self.channel = grpc.aio.insecure_channel(target, options=_connection.options(options))
        else:
            self.channel = grpc.aio.secure_channel(target, credentials, options=_connection.options(options))
        self._info: server_pb2.GetServerInfoResponse | None = None
        self._info_time = 0.0

    async def close(self) -> None:
        await self.channel.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def wait_ready(self, timeout: float = 60.0) -> None:
        """As scry.Client.wait_ready."""
        check = _connection.health(self.channel)
        deadline = time.monotonic() + timeout
        while (remaining := deadline - time.monotonic()) > 0:
            try:
                if await check(b"", timeout=remaining, metadata=self.metadata, wait_for_ready=True) == _connection.SERVING:
                    return
            except grpc.RpcError as e:
                error = from_rpc(e)
                if error.code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise error from None
            await asyncio.sleep(min(0.1, max(0.0, deadline - time.monotonic())))
        raise TimeoutError(f"{self.target} is not ready after {timeout:g} s")

    async def server_info(self) -> server_pb2.GetServerInfoResponse:
        """As scry.Client.server_info."""
        if self._info is None or time.monotonic() - self._info_time >= INFO_AGE:
            stub = server_pb2_grpc.ServerServiceStub(self.channel)
            self._info = await self._unary(stub.GetServerInfo, server_pb2.GetServerInfoRequest(), self.timeout)
            self._info_time = time.monotonic()
        return self._info

    async def score(self, model: str, data: Any, *, version: str | int = "", reasons: int = 0, heads: Sequence[str] = (),
                    language: str = "", actionable_only: bool = False, options: scoring_pb2.ScoreOptions | None = None,
                    ids: Sequence[str] | None = None, errors: str = "raise",
                    timeout: float | None = None) -> Any:
        """As scry.Client.score."""
        call = _calls.score(model, data, await self._limits(), version=str(version), reasons=reasons, heads=heads, language=language,
                            actionable_only=actionable_only, options=options, ids=ids, errors=errors)
        return await self._run(call, timeout)

    async def explain(self, model: str, data: Any, *, version: str | int = "", head: str = "", target: str = "", scale: str = "",
                      max_evaluations: int = 0, seed: int | None = None, language: str = "", actionable_only: bool = False,
                      ids: Sequence[str] | None = None, errors: str = "raise", timeout: float | None = None) -> Any:
        """As scry.Client.explain."""
        call = _calls.explain(model, data, await self._limits(), version=str(version), head=head, target=target, scale=scale,
                              max_evaluations=max_evaluations, seed=seed, language=language, actionable_only=actionable_only,
                              ids=ids, errors=errors)
        return await self._run(call, timeout)

    async def choose_action(self, model: str, data: Any, *, version: str | int = "", actions: Sequence[str] = (), filter: str = "",
                            count: int = 0, language: str = "", options: choosing_pb2.ChooseActionOptions | None = None,
                            ids: Sequence[str] | None = None, errors: str = "raise", timeout: float | None = None) -> Any:
        """As scry.Client.choose_action."""
        from . import _choose

        return await self._run(_choose.choose_action(model, data, await self._limits(), version=str(version), actions=actions,
                                                     filter=filter, count=count, language=language, options=options, ids=ids,
                                                     errors=errors), timeout)

    async def choose_send_time(self, model: str, data: Any, *, version: str | int = "", earliest: dt.datetime | None = None,
                               latest: dt.datetime | None = None, quiet_hours: Iterable[int] = (), count: int = 0,
                               half_life: dt.timedelta | None = None, errors: str = "raise", timeout: float | None = None) -> Any:
        """As scry.Client.choose_send_time."""
        from . import _choose

        return await self._run(_choose.choose_send_time(model, data, await self._limits(), version=str(version), earliest=earliest,
                                                        latest=latest, quiet_hours=quiet_hours, count=count, half_life=half_life,
                                                        errors=errors), timeout)

    async def recommend(self, subjects: Any, *, model: str = "", version: str | int = "", count: int = 10, filter: str = "",
                        attributes: Sequence[str] = (), include_history: bool = False, diversity: float = 0.0,
                        options: choosing_pb2.RecommendOptions | None = None, ids: Sequence[str] | None = None,
                        errors: str = "raise", timeout: float | None = None) -> Any:
        """As scry.Client.recommend."""
        call = _calls.recommend(subjects, await self._limits(), model=model, version=str(version), count=count, ids=ids, errors=errors,
                                options=_calls.recommend_options(filter, attributes, include_history, diversity, options))
        return await self._run(call, timeout)

    async def analyze_text(self, texts: Any, *, features: Sequence[str] = ("sentiment",), topics: Sequence[str] = (),
                           intents: Sequence[str] = (), targets: Sequence[str] | Mapping[str, Sequence[str]] = (),
                           redact: bool = False, options: sentiment_pb2.TextOptions | None = None, model: str = "",
                           version: str | int = "", ids: Sequence[str] | None = None, errors: str = "raise",
                           timeout: float | None = None) -> Any:
        """As scry.Client.analyze_text."""
        asked = _calls.text_options(topics, intents, targets, redact, options)
        return await self._run(_calls.analyze_text(texts, await self._limits(), features=features, options=asked, model=model,
                                                   version=str(version), ids=ids, errors=errors), timeout)

    async def analyze_images(self, images: Sequence[Any], *, features: Sequence[str] = ("labels",), model: str = "",
                             version: str | int = "", max_labels: int = 0, min_score: float = 0.0, heads: Sequence[str] = (),
                             options: imageanalysis_pb2.ImageOptions | None = None, ids: Sequence[str] | None = None,
                             errors: str = "raise", timeout: float | None = None) -> list[Any]:
        """As scry.Client.analyze_images."""
        return await self._run(_calls.analyze_images(images, await self._limits(), features=features, model=model,
                                                     version=str(version), max_labels=max_labels, min_score=min_score, heads=heads,
                                                     options=options, ids=ids, errors=errors), timeout)

    async def find_similar(self, images: Sequence[Any], *, model: str = "", version: str | int = "", count: int = 10, filter: str = "",
                           min_score: float | None = None, attributes: Sequence[str] = (), ids: Sequence[str] | None = None,
                           errors: str = "raise", timeout: float | None = None) -> list[Any]:
        """As scry.Client.find_similar."""
        return await self._run(_calls.find_similar(images, await self._limits(), model=model, version=str(version), count=count,
                                                   filter=filter, min_score=min_score, attributes=attributes, ids=ids,
                                                   errors=errors), timeout)

    async def explain_text(self, texts: Any, *, target: str = "", model: str = "", version: str | int = "", max_evaluations: int = 0,
                           ids: Sequence[str] | None = None, errors: str = "raise", timeout: float | None = None) -> Any:
        """As scry.Client.explain_text."""
        from . import _why

        return await self._run(_why.explain_text(texts, await self._limits(), target=target, model=model, version=str(version),
                                                 max_evaluations=max_evaluations, ids=ids, errors=errors), timeout)

    async def explain_image(self, images: Sequence[Any], *, head: str = "", label: str = "", model: str = "", version: str | int = "",
                            max_evaluations: int = 0, ids: Sequence[str] | None = None, errors: str = "raise",
                            timeout: float | None = None) -> list[Any]:
        """As scry.Client.explain_image."""
        from . import _why

        return await self._run(_why.explain_image(images, await self._limits(), head=head, label=label, model=model,
                                                  version=str(version), max_evaluations=max_evaluations, ids=ids, errors=errors),
                               timeout)

    async def _limits(self) -> server_pb2.Limits:
        try:
            return _calls.limits(await self.server_info())
        except Error as e:
            if e.code in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED):
                return _calls.limits(None)
            raise

    async def _unary(self, method: Any, request: Any, timeout: float) -> Any:
        deadline = time.monotonic() + timeout
        attempt = 1
        while True:
            try:
                response = await method(request, timeout=max(0.001, deadline - time.monotonic()), metadata=self.metadata)
            except grpc.RpcError as e:
                error = from_rpc(e)
                pause = self._retries.pause(error, attempt, deadline - time.monotonic())
                if pause is None:
                    raise error from None
                await asyncio.sleep(pause)
                attempt += 1
            else:
                self._retries.succeeded()
                return response

    async def _run(self, call: _calls.Call[T], timeout: float | None) -> T:
        method = getattr(call.stub(self.channel), call.method)
        limit = self.timeout if timeout is None else timeout
        responses: list[Any] = []
        waiting: list[asyncio.Task[Any]] = []
        try:
            for request in call.requests:
                if len(waiting) == AT_ONCE:
                    responses.append(await waiting.pop(0))
                waiting.append(asyncio.create_task(self._unary(method, request, limit)))
                await asyncio.sleep(0)  # let the tasks run while the next request is encoded
            responses.extend([await task for task in waiting])
        except BaseException:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            raise
        return call.join(responses)
