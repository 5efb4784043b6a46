"""When a call is made again."""

from __future__ import annotations

import random
import threading

import grpc

from ._errors import Error

MAX_ATTEMPTS = 4
TOKENS = 20.0  # a failure costs one, a success gives back a tenth; below half nothing is tried again
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


class Retries:
    """Decides on retries of calls that may be made twice, within one budget for a client. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens = TOKENS

    def succeeded(self) -> None:
        with self._lock:
            self._tokens = min(TOKENS, self._tokens + 0.1)

    def pause(self, error: Error, attempt: int, remaining: float) -> float | None:
        """Seconds to wait before the call is made again after its attempt (1 = the first) failed; None = do not.

        UNAVAILABLE is tried again after a growing pause, RESOURCE_EXHAUSTED only when the server says when to come back.
        A pause that does not end before the deadline, in remaining seconds, is not worth waiting for.
        """
        if error.code == grpc.StatusCode.UNAVAILABLE:
            wait = max(error.retry_after, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1)))
        elif error.code == grpc.StatusCode.RESOURCE_EXHAUSTED and error.retry_after > 0:
            wait = error.retry_after
        else:
            return None
        with self._lock:
            self._tokens = max(0.0, self._tokens - 1)
            allowed = self._tokens > TOKENS / 2
        wait += random.uniform(0, wait / 5)  # those who were refused together do not come back together
        return wait if allowed and attempt < MAX_ATTEMPTS and wait < remaining else None
