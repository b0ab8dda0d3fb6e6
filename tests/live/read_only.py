"""A session that can only read HubSpot: it refuses every request that is not in `READS` before it is sent.

It counts requests and sends at most `max_requests` of the account's daily requests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

_VERSION, _TYPE = r"[\w-]+", r"[\w-]+"
READS: tuple[tuple[str, str], ...] = (
    ("GET", r"/crm(-object-schemas)?/[\w/-]+"),
    ("GET", rf"/account-info/{_VERSION}/details"),
    ("POST", rf"/crm/(objects/{_VERSION}|v3/objects)/{_TYPE}/(search|batch/read)"),
    ("POST", rf"/crm/(associations/{_VERSION}|v4/associations)/{_TYPE}/{_TYPE}/batch/read"),
)


class NotAReadError(AssertionError):
    """A request that these checks must not send; it was not sent."""


@dataclass
class RequestBudget:
    """The number of requests sent, and its maximum."""

    max_requests: int = 500
    requests: int = 0


def is_read(method: str, path: str) -> bool:
    """Return whether a request only reads."""
    return any(method == allowed and re.fullmatch(pattern, path, re.ASCII) for allowed, pattern in READS)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Return the request unchanged: without an auth function, requests replaces the token by a login from ~/.netrc."""
    return request


class ReadOnlySession(requests.Session):
    """Sends reads to one address; redirects are checked as other requests."""

    def __init__(self, api_url: str, budget: RequestBudget) -> None:
        super().__init__()
        self.auth = _as_it_is
        self._origin = urlsplit(api_url)[:2]
        self._budget = budget

    def send(self, request: requests.PreparedRequest, **more: Any) -> requests.Response:
        """Send a read; refuse any other request."""
        self.check(request)
        return super().send(request, **more)

    def check(self, request: requests.PreparedRequest) -> None:
        """Check and count a request before it is sent.

        Raises:
            NotAReadError: it is not a read, goes to another address, or exceeds the maximum.
        """
        parts = urlsplit(request.url or "")
        if parts[:2] != self._origin:
            raise NotAReadError(f"A request to {parts.hostname} was refused: it is not the API's address.")
        if not is_read(request.method or "", parts.path):
            raise NotAReadError(f"{request.method} {parts.path} was refused: it is not a read.")
        if self._budget.requests >= self._budget.max_requests:
            raise NotAReadError(f"These checks spend at most {self._budget.max_requests} requests.")
        self._budget.requests += 1
