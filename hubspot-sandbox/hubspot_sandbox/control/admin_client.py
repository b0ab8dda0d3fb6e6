"""A client of the admin endpoints of a running sandbox, for the command line and for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

_TIMEOUT_SECONDS = 120
_NO_SANDBOX = "{} is served by something that is not a sandbox."


class AdminError(Exception):
    """The sandbox did not answer or refused; the message is one sentence."""


class AdminClient:
    """A client of the sandbox at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme != "http" or not parts.hostname:
            raise AdminError(f"{url!r} is not the address of a sandbox, such as http://127.0.0.1:8642.")
        self._host, self._port = parts.hostname, parts.port or 80

    @contextmanager
    def _ask(self, method: str, path: str, body: Any = None) -> Iterator[HTTPResponse]:
        connection = HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        data = None if body is None else json.dumps(body).encode()
        try:
            try:
                connection.request(method, f"/sandbox/{path}", body=data)
                response = connection.getresponse()
            except OSError as error:
                raise AdminError(f"No sandbox answers at {self.url}; start one with `hubspot-sandbox up`.") from error
            except HTTPException:
                raise AdminError(_NO_SANDBOX.format(self.url)) from None
            if response.status >= 400:
                raise AdminError(_message(response.read()) or _NO_SANDBOX.format(self.url))
            yield response
        finally:
            connection.close()

    def _json(self, method: str, path: str, body: Any = None) -> Any:
        with self._ask(method, path, body) as response:
            try:
                return json.loads(response.read())
            except ValueError:
                raise AdminError(_NO_SANDBOX.format(self.url)) from None

    def get(self, path: str) -> Any:
        """Return the JSON of an admin endpoint."""
        return self._json("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        """Send a JSON body; return the JSON of the reply."""
        return self._json("POST", path, {} if body is None else body)

    def mutate(self, mutations: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Apply mutations; return their results, with ids."""
        results: list[dict[str, Any]] = self.post("mutations", mutations)["results"]
        return results

    def random(self, count: int, seed: int = 1) -> list[dict[str, Any]]:
        """Apply random mutations, the same for the same portal and seed; return their results."""
        results: list[dict[str, Any]] = self.post("mutations", {"random": count, "seed": seed})["results"]
        return results

    def truth(self, object_type: str, state: str = "live") -> Iterator[dict[str, Any]]:
        """Iterate over the records of a type in a state, with all values (merged: `id` and `survivorId`)."""
        return self._lines(f"truth/objects/{object_type}?state={state}")

    def truth_associations(self) -> Iterator[dict[str, Any]]:
        """Iterate over every live edge and association type, from both sides."""
        return self._lines("truth/associations")

    def _lines(self, path: str) -> Iterator[dict[str, Any]]:
        with self._ask("GET", path) as response:
            for line in response:
                yield json.loads(line)


def _message(body: bytes) -> str | None:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return None
