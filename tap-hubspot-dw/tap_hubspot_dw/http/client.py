"""The HTTP client: one request in, one decoded reply out, or an error that says what to do.

It handles tokens, rate limits, retries and HubSpot's error replies, and knows nothing of objects, streams or state.
Thread-safe.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from tap_hubspot_dw.errors import (
    DailyLimitError,
    MisshapenReplyError,
    RunStoppedError,
    UnreachableError,
    UnreadableReplyError,
)
from tap_hubspot_dw.http.auth import Token
from tap_hubspot_dw.http.rate_limits import OBJECTS, Budgets
from tap_hubspot_dw.http.replies import (
    Answer,
    Reply,
    decode,
    error_reply,
    gave_up,
    header_date,
    header_number,
    refusal,
    retry_after_seconds,
    throttle_seconds,
)
from tap_hubspot_dw.http.traffic import Traffic
from tap_hubspot_dw.http.transport import NoAnswerError, Transport
from tap_hubspot_dw.shown import shown
from tap_hubspot_dw.timestamps import clock_ahead, now

# Statuses to retry. Source: HubSpot's error handling guide; 488 is HubSpot's "wrong hublet", which is temporary
# (observed); 525, 526 and 530 are Cloudflare's, added by guess.
_RETRIED = frozenset({423, 429, 477, 488, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 530})
_MAX_TRIES = 10
_MAX_THROTTLED = 200  # 429s for one request: other programs may share the limit; each wait is a second or two
_MAX_RENEWED = 6  # token renewals for one request: a concurrent client may invalidate tokens too
_MAX_TRIES_AGAIN = 2  # for a request that failed before in this run: an outage should not cost minutes per stream
_MAX_MISSHAPEN = 4  # replies of an undocumented shape for one request: this rarely passes
_FIRST_WAIT_SECONDS = 0.5
_MAX_TRIES_UNSEEN = 3  # while HubSpot has never answered: a wrong URL should be reported within seconds
_MAX_WAIT_SECONDS = 30.0
_SHORTEST_WAIT_SECONDS = {423: 2.0}  # documented: wait two seconds while an object is locked
_LONGEST_RETRY_AFTER_SECONDS = 300.0  # 477 (portal migration) may ask for a day; then the run ends instead


Decode = Callable[[bytes], Reply]


class Client:
    """Requests to one HubSpot account."""

    def __init__(
        self,
        api_url: str,
        token: Token,
        *,
        timeout_seconds: float,
        user_agent: str,
        logger: logging.Logger,
        daily_reserve: float = 0.0,
        machine_time: Callable[[], datetime] = now,
    ) -> None:
        self._api_url = api_url
        self._token = token
        self._transport = Transport(timeout_seconds=timeout_seconds, user_agent=user_agent)
        self._daily_reserve = daily_reserve
        self._logger = logger
        self.machine_time = machine_time
        self._stop = threading.Event()
        self._answered = False
        self._given_up: set[str] = set()  # requests whose last attempt failed
        self._warned = False
        self.clock_ahead: timedelta | None = None  # this machine's clock minus HubSpot's, from the last `Date`
        self.has_replied = False
        self.daily: tuple[int | None, int | None] = None, None  # the daily limit, and how much of it is left
        self._budgets = Budgets()

    def stop(self) -> None:
        """Make all waiting and future requests fail at once."""
        self._stop.set()

    def wait(self, seconds: float) -> None:
        """Wait.

        Raises:
            RunStoppedError: the run was stopped; raised at once.
        """
        if self._stop.wait(seconds):
            raise RunStoppedError("The run was stopped.")

    def now(self) -> datetime:
        """Return the current time by HubSpot's clock; by this machine's while HubSpot's is unknown."""
        return self.machine_time() - (self.clock_ahead or timedelta())

    def get(
        self,
        path: str,
        params: dict[str, str] | None = None,
        budget: str = OBJECTS,
        *,
        traffic: Traffic,
        decoded: Decode = decode,
    ) -> Reply:
        """Return the reply to a GET, counted against a budget. Commas stay literal, which shortens the URL."""
        query = "&".join(f"{name}={quote(value, safe=',')}" for name, value in (params or {}).items())
        return self._reply("GET", f"{path}?{query}" if query else path, None, budget, traffic, decoded)

    def post(
        self,
        path: str,
        body: dict[str, Any],
        budget: str = OBJECTS,
        *,
        traffic: Traffic,
        decoded: Decode = decode,
    ) -> Reply:
        """Return the reply (200 or 207) to a POST that reads, counted against a budget."""
        return self._reply("POST", path, msgspec.json.encode(body), budget, traffic, decoded)

    def _reply(
        self, method: str, path: str, body: bytes | None, budget: str, traffic: Traffic, decoded: Decode
    ) -> Reply:
        """Send a request until HubSpot gives a usable reply, at most `_MAX_TRIES` times.

        Raises:
            HubSpotError: the request failed; the class says what happens next.
        """
        request = f"{method} {self._api_url}{path.partition('?')[0]}"
        tries = throttled = renewed = rejected = misshapen = 0
        while True:
            self.wait(0)  # send nothing once the run is stopped
            token = self._token.value()
            self._await_budget(budget)
            response, trouble = self._send(method, path, body, token, budget, traffic)
            status = 0 if response is None else response.status_code
            if response is not None and status in {200, 201, 207}:
                try:
                    reply = decoded(response.content)
                except UnreadableReplyError as error:
                    trouble = str(error).partition(":")[0]
                    misshapen += isinstance(error, MisshapenReplyError)
                else:
                    self._given_up.discard(request)
                    self._take_up(response, budget)
                    return reply
            elif response is not None:
                if status == 401 and renewed < _MAX_RENEWED and self._token.renew(token):
                    renewed += 1
                    continue
                is_first = status == 401 and not rejected  # HubSpot sometimes refuses a valid token
                rejected += status == 401
                if status not in _RETRIED and not is_first:
                    self._answered = True
                    raise refusal(response, request)
                trouble = f"HTTP {status}"
            if status == 429:
                throttled += 1
                seconds = 0.0  # the reply's policy decides, in `_wait`
            else:
                seconds = min(_FIRST_WAIT_SECONDS * 2**tries, _MAX_WAIT_SECONDS)
                tries += 1
            if tries >= self._most_tries(request) or misshapen >= _MAX_MISSHAPEN or throttled >= _MAX_THROTTLED:
                self._given_up.add(request)
                raise gave_up(response, request, tries + throttled, trouble, was_ever_answered=self._answered)
            self._wait(response, seconds, trouble, budget, traffic)

    def _most_tries(self, request: str) -> int:
        if not self._answered:
            return _MAX_TRIES_UNSEEN
        return _MAX_TRIES_AGAIN if request in self._given_up else _MAX_TRIES

    def _take_up(self, response: Answer, budget: str) -> None:
        """Adopt the limits that a good reply states."""
        self._answered = True
        if budget == OBJECTS:
            self._budgets.learn(header_number(response, "X-HubSpot-RateLimit-Max"))
        self._keep_daily_reserve(response)

    def _await_budget(self, budget: str) -> None:
        while seconds := self._budgets[budget].take():
            self.wait(seconds)

    def _send(
        self, method: str, path: str, body: bytes | None, token: str, budget: str, traffic: Traffic
    ) -> tuple[Answer | None, str]:
        started, sent_at = time.monotonic(), self.machine_time()
        traffic.add(requests=1)
        try:
            response = self._transport.answer(
                method,
                self._api_url + path,
                token=token,
                data=body,
                content_type=None if body is None else "application/json",
                head_came=lambda: self._budgets[budget].answered(time.monotonic() - started),
            )
        except NoAnswerError as error:
            return None, str(error)
        traffic.add(received=len(response.content))
        self._learn_clock(response, sent_at)
        self._warn_of_sunset(response, f"{method} {path.partition('?')[0]}")
        self._logger.debug(
            "%s %s: %d, %d bytes, %.0f ms",
            method,
            path.partition("?")[0],
            response.status_code,
            len(response.content),
            1000 * (time.monotonic() - started),
        )
        return response, ""

    def _learn_clock(self, response: Answer, sent_at: datetime) -> None:
        """Learn HubSpot's clock: if both clocks agree, `Date` lies between sending and receiving."""
        if date := header_date(response):
            self.clock_ahead = clock_ahead(date, sent_at, self.machine_time())
        self.has_replied = True

    def _warn_of_sunset(self, response: Answer, request: str) -> None:
        """Warn once that HubSpot is about to retire an endpoint (headers of RFC 9745 and RFC 8594)."""
        end = response.headers.get("Sunset") or response.headers.get("Deprecation")
        if end and not self._warned:
            self._warned = True
            self._logger.warning("HubSpot will retire %s (%s): see the setting api_version.", request, shown(end, 100))

    def _keep_daily_reserve(self, response: Answer) -> None:
        """Check that the account has more daily requests left than the reserve (OAuth apps have no limit).

        Raises:
            DailyLimitError: it has not.
        """
        limit = header_number(response, "X-HubSpot-RateLimit-Daily")
        left = header_number(response, "X-HubSpot-RateLimit-Daily-Remaining")
        if limit is not None:
            self.daily = limit, left
        if limit is not None and left is not None and left < limit * self._daily_reserve:
            raise DailyLimitError(
                f"Only {left:,} of the account's {limit:,} daily HubSpot requests are left, less than the reserve "
                "(setting daily_reserve_percent); the state is kept: run again after midnight in the account's "
                "time zone."
            )

    def _wait(
        self,
        response: Answer | None,
        wait_seconds: float,
        trouble: str,
        budget: str,
        traffic: Traffic,
    ) -> None:
        """Wait as long as HubSpot asks, or `wait_seconds` with jitter if that is longer.

        Raises:
            UnreachableError: HubSpot asks for a longer wait than a run should take.
            DailyLimitError: the account's daily requests are used up.
        """
        seconds = random.uniform(wait_seconds / 2, wait_seconds)  # noqa: S311  jitter is no secret
        throttled = response is not None and response.status_code == 429
        if response is not None:
            asked = max(retry_after_seconds(response), _SHORTEST_WAIT_SECONDS.get(response.status_code, 0.0))
            if asked > _LONGEST_RETRY_AFTER_SECONDS:
                raise UnreachableError(
                    f"HubSpot asks to wait {asked:.0f} seconds ({trouble}): run again after that.",
                    reply=error_reply(response),
                )
            if throttled:
                asked = max(asked, throttle_seconds(error_reply(response)))
                self._budgets[budget].close(asked)
            seconds = max(seconds, asked)
        traffic.add(retries=1, throttled=seconds if throttled else 0.0)
        level = logging.INFO if throttled else logging.WARNING
        self._logger.log(level, "HubSpot: %s; trying again in %.1f s.", trouble, seconds)
        self.wait(seconds)
