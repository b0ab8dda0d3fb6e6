"""A session that can read HubSpot and do nothing else: what is not in `READS` is refused before it is sent.

It counts what it sends, and refuses to spend more than `most_requests` of the account's daily requests.
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
    ("POST", rf"/crm/(objects/{_VERSION}|v3/objects)/{_TYPE}/(search|batch/read)"),
    ("POST", rf"/crm/(associations/{_VERSION}|v4/associations)/{_TYPE}/{_TYPE}/batch/read"),
)


class NotAReadError(AssertionError):
    """Somebody wanted to send what these checks never send; it was not sent."""


@dataclass
class Spent:
    """How many requests were sent, and how many may be."""

    most_requests: int = 500
    requests: int = 0


def is_read(method: str, path: str) -> bool:
    """Tell whether a request only reads."""
    return any(method == allowed and re.fullmatch(pattern, path, re.ASCII) for allowed, pattern in READS)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave a request as it is: requests puts a login from ~/.netrc in place of the token otherwise."""
    return request


class ReadOnlySession(requests.Session):
    """Sends reads to one address; redirects are looked at as any other request."""

    def __init__(self, api_url: str, spent: Spent) -> None:
        super().__init__()
        self.auth = _as_it_is
        self._origin = urlsplit(api_url)[:2]
        self._spent = spent

    def send(self, request: requests.PreparedRequest, **more: Any) -> requests.Response:
        """Send a read, and nothing else."""
        self.check(request)
        return super().send(request, **more)

    def check(self, request: requests.PreparedRequest) -> None:
        """Count a request that is about to be sent.

        Raises:
            NotAReadError: it is none, goes elsewhere, or is one too many.
        """
        parts = urlsplit(request.url or "")
        if parts[:2] != self._origin:
            raise NotAReadError(f"A request to {parts.hostname} was refused: it is not the API's address.")
        if not is_read(request.method or "", parts.path):
            raise NotAReadError(f"{request.method} {parts.path} was refused: it is not a read.")
        if self._spent.requests >= self._spent.most_requests:
            raise NotAReadError(f"These checks spend at most {self._spent.most_requests} requests.")
        self._spent.requests += 1
