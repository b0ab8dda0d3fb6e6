"""A client that sends one request at a time; a refusal is an answer too.

Pauses between requests keep within HubSpot's smallest limits (5 searches per second, 100 other requests per ten
seconds), unless its replies have no rate-limit headers. After a 429 the client waits as long as the reply says.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from tap_hubspot_dw.routes import API_VERSIONS, path
from tests.live.read_only import ReadOnlySession

_PAUSE_SECONDS = 0.25
_MAX_TRIES = 4
_MAX_WAIT_SECONDS = 60.0
_TIMEOUT_SECONDS = 60.0
_REFUSALS = frozenset({400, 404, 405, 409, 413, 414, 422})
_CODE = re.compile(r"[\w.]{1,80}", re.ASCII)


class CannotAskError(Exception):
    """No request is possible: HubSpot refuses the token, does not answer, or has no more requests today."""


@dataclass(frozen=True)
class Reply:
    """HubSpot's reply. Only its `summary` may be shown: it has no values and no ids."""

    status: int
    body: dict[str, Any]
    at: datetime

    @property
    def results(self) -> list[dict[str, Any]]:
        """The results, empty if there are none."""
        return self.body.get("results") or []

    @property
    def after(self) -> str | None:
        """The cursor of the next page."""
        return ((self.body.get("paging") or {}).get("next") or {}).get("after")

    @property
    def is_good(self) -> bool:
        """Whether HubSpot answered the request."""
        return self.status in {200, 207}

    @property
    def is_answer(self) -> bool:
        """Whether HubSpot answered or refused the request itself; a refused token or a failure is no answer."""
        return self.is_good or self.status in _REFUSALS

    @property
    def summary(self) -> str:
        """Status and category, such as `HTTP 400 VALIDATION_ERROR`."""
        return f"HTTP {self.status}" + ("" if self.is_good else f" {code(self.body.get('category'))}")


def code(category: Any) -> str:
    """Return a category, or a text in place of anything that is none, because that must not be shown."""
    if not category:
        return "without a category"
    return category if isinstance(category, str) and _CODE.fullmatch(category) else "with a category of another form"


@dataclass
class ApiClient:
    """A client of one account with one token."""

    api_url: str
    token: str = field(repr=False)
    session: ReadOnlySession
    version: str = API_VERSIONS[0]
    sleep: Callable[[float], None] = time.sleep
    _is_limited: bool = False
    _sent_at: float = 0.0

    def get(self, need: str, parts: dict[str, str], **query: str) -> Reply:
        """Send a GET request."""
        return self._ask("GET", path(need, self.version, **parts), params=query)

    def post(self, need: str, parts: dict[str, str], body: dict[str, Any]) -> Reply:
        """Send a POST request."""
        return self._ask("POST", path(need, self.version, **parts), json=body)

    def settle(self) -> None:
        """Wait until the searches of the last second no longer count, before another client sends requests."""
        if self._is_limited:
            self.sleep(1.0)

    def _ask(self, method: str, where: str, **more: Any) -> Reply:
        """Send a request and return the reply; retry 429, 423, 477 and 5xx a few times.

        Raises:
            CannotAskError: HubSpot refuses the token, does not answer, or has no more requests today.
        """
        for tries in range(1, _MAX_TRIES + 1):
            if self._is_limited:
                self.sleep(max(0.0, self._sent_at + _PAUSE_SECONDS - time.monotonic()))
            self._sent_at = time.monotonic()
            headers = {"Authorization": f"Bearer {self.token}"}
            try:
                answer = self.session.request(
                    method, self.api_url + where, headers=headers, timeout=_TIMEOUT_SECONDS, **more
                )
            except requests.RequestException as error:
                if tries == _MAX_TRIES:
                    raise CannotAskError(f"No answer from {self.api_url} ({type(error).__name__}).") from None
                self.sleep(float(tries))
                continue
            self._is_limited |= "X-HubSpot-RateLimit-Max" in answer.headers
            reply = Reply(answer.status_code, _json(answer), _replied_at(answer))
            if reply.status == 401:
                raise CannotAskError(f"HubSpot does not accept HUBSPOT_TEST_API_TOKEN ({reply.summary}).")
            if reply.status < 500 and reply.status not in {423, 429, 477}:
                break
            if reply.body.get("policyName") == "DAILY":
                raise CannotAskError("The account's daily requests are used up: run again after its midnight.")
            if tries < _MAX_TRIES:
                self._wait(answer, reply, tries)
        return reply

    def _wait(self, answer: requests.Response, reply: Reply, tries: int) -> None:
        retry_after = answer.headers.get("Retry-After", "")
        if retry_after.isdigit():
            seconds = float(retry_after)
        elif reply.status == 429:
            seconds = 1.0 if reply.body.get("policyName") != "TEN_SECONDLY_ROLLING" else 10.0
        else:
            seconds = float(tries)
        if seconds > _MAX_WAIT_SECONDS:
            raise CannotAskError(f"HubSpot asks to wait {seconds:.0f} seconds ({reply.summary}): run again after that.")
        self.sleep(seconds)


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _replied_at(answer: requests.Response) -> datetime:
    """Return the `Date` of a reply, the local time if it has none."""
    try:
        return parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)
