"""Talking to a running sandbox's admin endpoints; used by the command line and by tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import requests

_TIMEOUT_SECONDS = 120


class AdminError(Exception):
    """The sandbox could not be reached or refused; the message is one sentence."""


class AdminClient:
    """One running sandbox at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy is for the world outside, never for loopback

    def _ask(self, method: str, path: str, body: Any = None, *, stream: bool = False) -> requests.Response:
        data = None if body is None else json.dumps(body).encode()
        try:
            response = self._session.request(
                method, f"{self.url}/sandbox/{path}", data=data, timeout=_TIMEOUT_SECONDS, stream=stream
            )
        except requests.RequestException as error:
            raise AdminError(f"No sandbox answers at {self.url}; start one with `hubspot-sandbox up`.") from error
        if response.status_code >= 400:
            raise AdminError(_message(response))
        return response

    def get(self, path: str) -> Any:
        """The JSON of an admin endpoint."""
        return self._ask("GET", path).json()

    def post(self, path: str, body: Any = None) -> Any:
        """The JSON answer to a JSON body."""
        return self._ask("POST", path, body).json()

    def mutate(self, mutations: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Apply mutations; what happened, with ids."""
        found: list[dict[str, Any]] = self.post("mutations", mutations)["results"]
        return found

    def random(self, count: int, seed: int = 1) -> list[dict[str, Any]]:
        """Apply a deterministic script of mixed mutations."""
        found: list[dict[str, Any]] = self.post("mutations", {"random": count, "seed": seed})["results"]
        return found

    def truth(self, object_type: str, state: str = "live") -> Iterator[dict[str, Any]]:
        """Every record of a type in a state, with all raw values."""
        return self._lines(f"truth/objects/{object_type}?state={state}")

    def truth_associations(self) -> Iterator[dict[str, Any]]:
        """Every live edge and type, once from each side."""
        return self._lines("truth/associations")

    def _lines(self, path: str) -> Iterator[dict[str, Any]]:
        with self._ask("GET", path, stream=True) as response:
            for line in response.iter_lines(chunk_size=1 << 16):
                yield json.loads(line)


def _message(response: requests.Response) -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"The server at {response.url.split('/sandbox/')[0]} answered {response.status_code}; is it a sandbox?"
