"""The client for plain Python."""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import grpc

from . import _calls, _connection
from ._errors import Error, from_rpc
from ._retry import Retries
from .imageanalysis.v1 import imageanalysis_pb2
from .modelstore.v1 import modelstore_pb2
from .scoring.v1 import choosing_pb2, scoring_pb2
from .sentiment.v1 import sentiment_pb2
from .server.v1 import server_pb2, server_pb2_grpc

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE = 4  # messages of one call that are under way together
INFO_AGE = 300.0  # seconds for which the server's limits are taken for granted
STORE_TIMEOUT = 900.0  # of calls that load a model before they answer

T = TypeVar("T")


def connect(target: str = "localhost:8001", *, tls: Any = None, token: str = "", tenant: str = "", timeout: float = 30.0,
            options: Sequence[tuple[str, Any]] = ()) -> Client:
    """A client of the server at target, such as "localhost:8001" or "dns:///scry.internal:8001". It connects when the
    first call is made.

    tls: None speaks plain text to loopback addresses and TLS to all others; True and False say so; a path or PEM bytes
    name the authorities to trust; grpc.ChannelCredentials are taken as they are. token is sent as a bearer token, tenant
    says on whose behalf calls are. timeout is the deadline of a message in seconds, its retries included; a large call is
    sent as several messages. options go to gRPC after the client's own.
    """
    return Client(target, tls=tls, token=token, tenant=tenant, timeout=timeout, options=options)


class Client:
    """A connection to a scry server, safe for threads. Made by connect; to be closed, or used in a with statement.

    A client that was used cannot be used on after a fork: connect in the child.
    """

    def __init__(self, target: str, *, tls: Any, token: str, tenant: str, timeout: float, options: Sequence[tuple[str, Any]]) -> None:
        self.target = target
        self.timeout = timeout
        self.metadata = _connection.metadata(token, tenant)
        self._credentials = _connection.credentials(target, tls)
        self._options = _connection.options(options)
        self._retries = Retries()
        self._lock = threading.Lock()  # guards what follows
        self._channel: grpc.Channel | None = None
        self._pid = 0
        self._closed = False
        self._info: server_pb2.GetServerInfoResponse | None = None
        self._info_time = 0.0

    @property
    def channel(self) -> grpc.Channel:
        """The channel, for generated stubs. Calls on it send the client's token and tenant with metadata=client.metadata."""
        with self._lock:
            if self._closed:
                raise ValueError("the client is closed")
            if self._channel is None:
                self._pid = os.getpid()
                if self._credentials is None:
                    self._channel = grpc.insecure_channel(self.target, options=self._options)
                else:
                    self._channel = grpc.secure_channel(self.target, self._credentials, options=self._options)
            elif self._pid != os.getpid():
                raise RuntimeError("this client was used before the process forked; gRPC's threads did not come along: "
                                   "call scry.connect in the child")
            return self._channel

    def close(self) -> None:
        """Ends the connection and fails the calls that are under way."""
        with self._lock:
            self._closed = True
            if self._channel is not None and self._pid == os.getpid():
                self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Waits until the server answers and every routed version is loaded. Raises TimeoutError."""
        check = _connection.health(self.channel)
        deadline = time.monotonic() + timeout
        last = "it does not answer"
        while (remaining := deadline - time.monotonic()) > 0:
            try:
                if check(b"", timeout=remaining, metadata=self.metadata, wait_for_ready=True) == _connection.SERVING:
                    return
                last = "it is not serving: a version is being loaded, or failed (scry status)"
            except grpc.RpcError as e:
                error = from_rpc(e)
                if error.code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise error from None
            time.sleep(min(0.1, max(0.0, deadline - time.monotonic())))
        raise TimeoutError(f"{self.target} is not ready after {timeout:g} s: {last}")

    def server_info(self) -> server_pb2.GetServerInfoResponse:
        """What the server says about itself: versions, limits, default models. Kept for five minutes."""
        with self._lock:
            if self._info is not None and time.monotonic() - self._info_time < INFO_AGE:
                return self._info
        stub = server_pb2_grpc.ServerServiceStub(self.channel)
        info: server_pb2.GetServerInfoResponse = self._unary(stub.GetServerInfo, server_pb2.GetServerInfoRequest(), self.timeout)
        with self._lock:
            self._info, self._info_time = info, time.monotonic()
        return info

    @overload
    def score(self, model: str, data: pd.DataFrame, *, version: str | int = ..., reasons: int = ..., heads: Sequence[str] = ...,
              language: str = ..., actionable_only: bool = ..., options: scoring_pb2.ScoreOptions | None = ...,
              ids: None = ..., errors: str = ..., timeout: float | None = ...) -> pd.DataFrame: ...
    @overload
    def score(self, model: str, data: Sequence[Any], *, version: str | int = ..., reasons: int = ..., heads: Sequence[str] = ...,
              language: str = ..., actionable_only: bool = ..., options: scoring_pb2.ScoreOptions | None = ...,
              ids: Sequence[str] | None = ..., errors: str = ...,
              timeout: float | None = ...) -> list[scoring_pb2.ScoreResult]: ...

    def score(self, model: str, data: Any, *, version: str | int = "", reasons: int = 0, heads: Sequence[str] = (),
              language: str = "", actionable_only: bool = False, options: scoring_pb2.ScoreOptions | None = None,
              ids: Sequence[str] | None = None, errors: str = "raise",
              timeout: float | None = None) -> Any:
        """Scores rows with a model ("" = the server's default; version "" = the routed one, else a number or an alias).

        data is a DataFrame whose columns are named as the model's features, or a sequence of mappings. None, NaN, NaT and
        pandas.NA are missing. Times without a zone are UTC.

        A DataFrame is answered by one with the same index. Its columns, by kind of head:

        probability   NAME, NAME_predicted, NAME_raw_score
        value         NAME, NAME_lower, NAME_upper, NAME_positive_probability
        both          NAME_percentile (0 to 100), NAME_band, NAME_reason_1 (a feature), NAME_contribution_1, …
        classes       NAME (the most probable), NAME_probability, NAME_probability_CLASS …
        embedding     NAME (arrays)
        segment       NAME, NAME_membership, NAME_distance, NAME_outlier
        uplift        NAME (the best treatment, missing = none), NAME_baseline, NAME_effect_TREATMENT, _lower_, _upper_, _profit_
        forecast      NAME (arrays of the points to come), NAME_q0.1 … (arrays of quantiles)

        then prediction_id and error; what the model does not give is left out. attrs["warnings"] and attrs["served_by"]
        hold the rest. A sequence is answered by a list of scoring_pb2.ScoreResult; ids name its rows. options are added to
        those that have a name here, such as ScoreOptions(horizon=4).

        Rows that cannot be scored raise ItemErrors, which has the other answers too; with errors="return" they are told by
        the column error (the field error of a result) alone. A call that fails as a whole raises Error.
        """
        call = _calls.score(model, data, self._limits(), version=str(version), reasons=reasons, heads=heads, language=language,
                            actionable_only=actionable_only, options=options, ids=ids, errors=errors)
        return self._run(call, timeout)

    def recommend(self, subjects: Any, *, model: str = "", version: str | int = "", count: int = 10, filter: str = "",
                  attributes: Sequence[str] = (), include_history: bool = False, diversity: float = 0.0,
                  options: choosing_pb2.RecommendOptions | None = None, ids: Sequence[str] | None = None,
                  errors: str = "raise", timeout: float | None = None) -> Any:
        """Ranks the items of a model's catalogue for subjects ("" = the server's default model for recommendations).

        A subject is a history, a list of item ids with the oldest first (empty or None = nothing is known), or a mapping
        with some of history, features, anchor_item, candidates and seen (counts by item). filter is an AIP-160 filter over
        the items' attributes, attributes names those to answer ("*" = all). options are added to those that have a name
        here, such as RecommendOptions(exploration=Exploration(temperature=0.1)), both of scry.scoring.v1.choosing_pb2.

        A Series of subjects is answered by a DataFrame with a row for each item, under the subject's index: rank, item,
        score, propensity and promotion where there are any, the attributes, prediction_id; any other sequence by a list of
        choosing_pb2.Recommendation, which ids name. errors is as for score; a subject that failed has no rows.
        """
        call = _calls.recommend(subjects, self._limits(), model=model, version=str(version), count=count, ids=ids, errors=errors,
                                options=_calls.recommend_options(filter, attributes, include_history, diversity, options))
        return self._run(call, timeout)

    @overload
    def explain(self, model: str, data: pd.DataFrame, *, version: str | int = ..., head: str = ..., target: str = ..., scale: str = ...,
                max_evaluations: int = ..., seed: int | None = ..., language: str = ..., actionable_only: bool = ...,
                ids: None = ..., errors: str = ..., timeout: float | None = ...) -> pd.DataFrame: ...
    @overload
    def explain(self, model: str, data: Sequence[Any], *, version: str | int = ..., head: str = ..., target: str = ..., scale: str = ...,
                max_evaluations: int = ..., seed: int | None = ..., language: str = ..., actionable_only: bool = ...,
                ids: Sequence[str] | None = ..., errors: str = ...,
                timeout: float | None = ...) -> list[scoring_pb2.Explanation]: ...

    def explain(self, model: str, data: Any, *, version: str | int = "", head: str = "", target: str = "", scale: str = "",
                max_evaluations: int = 0, seed: int | None = None, language: str = "", actionable_only: bool = False,
                ids: Sequence[str] | None = None, errors: str = "raise", timeout: float | None = None) -> Any:
        """Tells how each feature moved one number of each row's answer: Shapley values against the bundle's typical rows.

        data is as for score. head "" = the model's only one; target names a class, a segment or a treatment ("" = the row's
        own); scale of a probability is "raw_score" (the default), "probability" or "log_odds". max_evaluations 0 = 4,096 rows
        that the model is asked for, for each row; where that is enough for all coalitions the answer is exact, else sampled
        by seed (None = one made of the row).

        A DataFrame is answered by one with the same index and the columns value, base_value, target (of heads with several
        numbers), contribution_FEATURE … and, where something was sampled, standard_error_FEATURE … and additivity_error;
        then prediction_id and error. value is base_value plus the contributions plus additivity_error. attrs["head"],
        ["scale"], ["exact"], ["texts"] (by feature), ["members"] (of groups) and ["served_by"] hold the rest. With
        actionable_only the other features have no column, but count. A sequence is answered by a list of
        scoring_pb2.Explanation. errors is as for score.
        """
        call = _calls.explain(model, data, self._limits(), version=str(version), head=head, target=target, scale=scale,
                              max_evaluations=max_evaluations, seed=seed, language=language, actionable_only=actionable_only,
                              ids=ids, errors=errors)
        return self._run(call, timeout)

    @overload
    def choose_action(self, model: str, data: pd.DataFrame, *, version: str | int = ..., actions: Sequence[str] = ..., filter: str = ...,
                      count: int = ..., language: str = ..., options: choosing_pb2.ChooseActionOptions | None = ...,
                      ids: None = ..., errors: str = ..., timeout: float | None = ...) -> pd.DataFrame: ...
    @overload
    def choose_action(self, model: str, data: Sequence[Any], *, version: str | int = ..., actions: Sequence[str] = ...,
                      filter: str = ..., count: int = ..., language: str = ...,
                      options: choosing_pb2.ChooseActionOptions | None = ..., ids: Sequence[str] | None = ..., errors: str = ...,
                      timeout: float | None = ...) -> list[choosing_pb2.ActionChoice]: ...

    def choose_action(self, model: str, data: Any, *, version: str | int = "", actions: Sequence[str] = (), filter: str = "",
                      count: int = 0, language: str = "", options: choosing_pb2.ChooseActionOptions | None = None,
                      ids: Sequence[str] | None = None, errors: str = "raise", timeout: float | None = None) -> Any:
        """Chooses the next best action for customers from a model's catalogue; data is as for score.

        A DataFrame is answered by one with a row for each action, the best first, under the customer's index: rank, action,
        creative, title, probability, expected_profit, value, cost, sampled_probability, propensity, prediction_id, error. A
        customer for whom nothing is best has one row without action. attrs["excluded"] tells, by customer, which actions were
        not chosen from and why, attrs["seed"] what was drawn with. A sequence is answered by a list of
        choosing_pb2.ActionChoice.

        actions and filter restrict the choice, count 0 = 1. options are added to those that have a name here, such as
        ChooseActionOptions(thompson=ThompsonSampling(posteriors=[Posterior(action="call", successes=3, failures=40)])). errors
        is as for score.
        """
        from . import _choose

        return self._run(_choose.choose_action(model, data, self._limits(), version=str(version), actions=actions, filter=filter,
                                               count=count, language=language, options=options, ids=ids, errors=errors), timeout)

    def choose_send_time(self, model: str, data: Any, *, version: str | int = "", earliest: dt.datetime | None = None,
                         latest: dt.datetime | None = None, quiet_hours: Iterable[int] = (), count: int = 0,
                         half_life: dt.timedelta | None = None, errors: str = "raise", timeout: float | None = None) -> Any:
        """Chooses when to send to customers, by what they answered before.

        data is a DataFrame of messages with the columns id, time_zone (IANA; without one UTC), sent (a customer without
        messages has a row without a time) and answered; or a sequence of choosing_pb2.Recipient. A DataFrame is answered by
        one with a row for each time, the best first, under the customers' ids: rank, time (UTC), slot (hour of the week
        there, Monday 0 o'clock = 0), rate, prior_rate, observations, prediction_id, error; a sequence by a list of
        choosing_pb2.SendTimeChoice.

        earliest is now unless given, latest a week later; times without a zone are UTC. quiet_hours are hours of the
        customers' clocks. errors is as for score.
        """
        from . import _choose

        return self._run(_choose.choose_send_time(model, data, self._limits(), version=str(version), earliest=earliest, latest=latest,
                                                  quiet_hours=quiet_hours, count=count, half_life=half_life, errors=errors), timeout)

    @overload
    def analyze_text(self, texts: pd.Series, *, features: Sequence[str] = ..., topics: Sequence[str] = ...,
                     intents: Sequence[str] = ..., targets: Sequence[str] | Mapping[str, Sequence[str]] = ..., redact: bool = ...,
                     options: sentiment_pb2.TextOptions | None = ..., model: str = ..., version: str | int = ..., ids: None = ...,
                     errors: str = ..., timeout: float | None = ...) -> pd.DataFrame: ...
    @overload
    def analyze_text(self, texts: Sequence[Any], *, features: Sequence[str] = ..., topics: Sequence[str] = ...,
                     intents: Sequence[str] = ..., targets: Sequence[str] | Mapping[str, Sequence[str]] = ..., redact: bool = ...,
                     options: sentiment_pb2.TextOptions | None = ..., model: str = ..., version: str | int = ...,
                     ids: Sequence[str] | None = ..., errors: str = ...,
                     timeout: float | None = ...) -> list[sentiment_pb2.TextResult]: ...

    def analyze_text(self, texts: Any, *, features: Sequence[str] = ("sentiment",), topics: Sequence[str] = (),
                     intents: Sequence[str] = (), targets: Sequence[str] | Mapping[str, Sequence[str]] = (), redact: bool = False,
                     options: sentiment_pb2.TextOptions | None = None, model: str = "", version: str | int = "",
                     ids: Sequence[str] | None = None, errors: str = "raise", timeout: float | None = None) -> Any:
        """Analyses texts (str, or bytes of doubtful UTF-8).

        features are "sentiment", "sentences", "embedding", "emotions", "topics", "intent", "toxicity", "targets", "language",
        "personal_data" and "classes". topics and intents are what to look for, in words; targets names of brands, products or
        people, or a mapping of names to other words for them; redact replaces personal data before a model sees it. options
        add to these and overrule them. Offsets count code points, as Python's do.

        A Series is answered by a DataFrame with its index and, for what was asked for, the columns polarity, score, positive,
        neutral, negative, magnitude; sentences (a list of dictionaries: begin, end, polarity, score); embedding; emotions,
        topics, intents (dictionaries of scores); toxicity; targets, personal_data (lists of dictionaries); language,
        language_probability, language_supported; classes (a dictionary by head); redacted_text; and tokens, chunks,
        prediction_id, error. Any other sequence is answered by a list of sentiment_pb2.TextResult. errors is as for score.
        """
        asked = _calls.text_options(topics, intents, targets, redact, options)
        return self._run(_calls.analyze_text(texts, self._limits(), features=features, options=asked, model=model,
                                             version=str(version), ids=ids, errors=errors), timeout)

    def analyze_images(self, images: Sequence[Any], *, features: Sequence[str] = ("labels",), model: str = "",
                       version: str | int = "", max_labels: int = 0, min_score: float = 0.0, heads: Sequence[str] = (),
                       options: imageanalysis_pb2.ImageOptions | None = None, ids: Sequence[str] | None = None, errors: str = "raise",
                       timeout: float | None = None) -> list[imageanalysis_pb2.ImageResult]:
        """Analyses pictures: paths, bytes of JPEG, PNG, WebP or GIF files, or Pillow images.

        features are "labels", "embedding", "faces", "safe_search", "text" and, without a model, "colors" and "quality"; each
        result has the fields labels, embedding, faces, safe_search, text, colors and quality for what was asked for. max_labels
        (0 = 5), min_score and heads are of labels. options are added to those that have a name here, such as
        ImageOptions(max_colors=8, max_faces=100, expressions=True). errors is as for score.
        """
        call = _calls.analyze_images(images, self._limits(), features=features, model=model, version=str(version),
                                     max_labels=max_labels, min_score=min_score, heads=heads, options=options, ids=ids,
                                     errors=errors)
        return self._run(call, timeout)

    def find_similar(self, images: Sequence[Any], *, model: str = "", version: str | int = "", count: int = 10, filter: str = "",
                     min_score: float | None = None, attributes: Sequence[str] = (), ids: Sequence[str] | None = None,
                     errors: str = "raise", timeout: float | None = None) -> list[imageanalysis_pb2.SimilarResult]:
        """Finds the items of a model's catalogue that look most like pictures, which are as for analyze_images. filter is an
        AIP-160 filter over the items' attributes, attributes names those to answer ("*" = all). errors is as for score."""
        call = _calls.find_similar(images, self._limits(), model=model, version=str(version), count=count, filter=filter,
                                   min_score=min_score, attributes=attributes, ids=ids, errors=errors)
        return self._run(call, timeout)

    @overload
    def explain_text(self, texts: pd.Series, *, target: str = ..., model: str = ..., version: str | int = ..., max_evaluations: int = ...,
                     ids: None = ..., errors: str = ..., timeout: float | None = ...) -> pd.DataFrame: ...
    @overload
    def explain_text(self, texts: Sequence[Any], *, target: str = ..., model: str = ..., version: str | int = ...,
                     max_evaluations: int = ..., ids: Sequence[str] | None = ..., errors: str = ...,
                     timeout: float | None = ...) -> list[sentiment_pb2.TextExplanation]: ...

    def explain_text(self, texts: Any, *, target: str = "", model: str = "", version: str | int = "", max_evaluations: int = 0,
                     ids: Sequence[str] | None = None, errors: str = "raise", timeout: float | None = None) -> Any:
        """Tells by how much each word of a text moved a number of its answer: target "score" (= ""), "positive", "neutral",
        "negative" or "HEAD.LABEL". max_evaluations 0 = 256 texts that the model is asked for each text; words of longer texts
        are left out in groups.

        A Series is answered by a DataFrame with a row for each word, under its text's index: word, begin, end (characters),
        contribution, value, prediction_id, error; any other sequence by a list of sentiment_pb2.TextExplanation, whose spans
        count characters. errors is as for score.
        """
        from . import _why

        return self._run(_why.explain_text(texts, self._limits(), target=target, model=model, version=str(version),
                                           max_evaluations=max_evaluations, ids=ids, errors=errors), timeout)

    def explain_image(self, images: Sequence[Any], *, head: str = "", label: str = "", model: str = "", version: str | int = "",
                      max_evaluations: int = 0, ids: Sequence[str] | None = None, errors: str = "raise",
                      timeout: float | None = None) -> list[imageanalysis_pb2.ImageExplanation]:
        """Tells which parts of pictures (as in analyze_images) speak for a label ("" = each one's best): heat, a map of rows ×
        columns, and png, the picture with the map over it. max_evaluations 0 = 197. errors is as for score."""
        from . import _why

        return self._run(_why.explain_image(images, self._limits(), head=head, label=label, model=model, version=str(version),
                                            max_evaluations=max_evaluations, ids=ids, errors=errors), timeout)

    def push(self, path: str | os.PathLike[str], model: str, *, activate: bool = False, features: Sequence[str] = (),
             target: str = "", positive: str = "", graph: str = "", labels: Sequence[str] = (), task: str = "",
             preprocess: str = "") -> modelstore_pb2.Version:
        """Sends every file of a bundle's directory (or an .onnx file) that does not begin with a dot as a new version, which
        the server checks first; the same content again is the same version. activate routes the model's calls to it once
        it is loaded. What a broken push has sent is not sent again.

        A file or directory without a bundle.yaml is served by what the server infers of it, and version.manifest.inferred tells.
        features are the columns of its matrix in their order, or their names in training; target names what is predicted;
        positive is the class whose probability is answered, where the classes are not 0/1, no/yes or false/true.
        Of texts and pictures, graph is the .onnx file that is meant where there are several, labels are the classes in the order
        of its columns, task is "text" or "image", and preprocess "imagenet" or "torchvision:NAME"."""
        from . import _push

        return _push.push(self, Path(path), model, activate=activate,
                          hints=_push.hints(features, target, positive, graph, labels, task, preprocess))

    def _limits(self) -> server_pb2.Limits:
        try:
            return _calls.limits(self.server_info())
        except Error as e:
            if e.code in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED):
                return _calls.limits(None)
            raise

    def _unary(self, method: Any, request: Any, timeout: float, again: bool = True) -> Any:
        """Makes a call, and makes it again while that can succeed before the deadline."""
        deadline = time.monotonic() + timeout
        attempt = 1
        while True:
            try:
                response = method(request, timeout=max(0.001, deadline - time.monotonic()), metadata=self.metadata)
            except grpc.RpcError as e:
                error = from_rpc(e)
                pause = self._retries.pause(error, attempt, deadline - time.monotonic()) if again else None
                if pause is None:
                    raise error from None
                time.sleep(pause)
                attempt += 1
            else:
                self._retries.succeeded()
                return response

    def _run(self, call: _calls.Call[T], timeout: float | None) -> T:
        """Sends a call's messages, a few at a time, so that memory holds few of them."""
        method = getattr(call.stub(self.channel), call.method)
        limit = self.timeout if timeout is None else timeout
        first = next(call.requests, None)
        if first is None:
            return call.join([])
        second = next(call.requests, None)
        if second is None:
            return call.join([self._unary(method, first, limit)])
        responses: list[Any] = []
        waiting: deque[Future[Any]] = deque()
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="scry") as pool:
            try:
                waiting.extend(pool.submit(self._unary, method, request, limit) for request in (first, second))
                for request in call.requests:
                    if len(waiting) == AT_ONCE:
                        responses.append(waiting.popleft().result())
                    waiting.append(pool.submit(self._unary, method, request, limit))
                responses.extend(future.result() for future in waiting)
            except BaseException:
                for future in waiting:
                    future.cancel()
                raise
        return call.join(responses)
