"""Requests to one version of HubSpot's API, counted for the stream that makes them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tap_hubspot_dw.errors import ReplyError
from tap_hubspot_dw.http import shapes
from tap_hubspot_dw.http.client import Client, Decode
from tap_hubspot_dw.http.rate_limits import OBJECTS
from tap_hubspot_dw.http.replies import Reply
from tap_hubspot_dw.http.traffic import Traffic
from tap_hubspot_dw.routes import path


@dataclass(frozen=True)
class Api:
    """The API of one account."""

    client: Client
    version: str
    logger: logging.Logger
    traffic: Traffic = field(default_factory=Traffic)

    def path(self, need: str, **parts: str) -> str:
        """Return the path for `need`; `parts` fills in object type ids."""
        return path(need, self.version, **parts)

    def get(
        self, where: str, params: dict[str, str] | None = None, *, budget: str = OBJECTS, decoded: Decode = shapes.rows
    ) -> Reply:
        """Return the reply to a GET, counted against a budget."""
        return self.client.get(where, params, budget, traffic=self.traffic, decoded=decoded)

    def post(self, where: str, body: dict[str, Any], *, budget: str = OBJECTS, decoded: Decode = shapes.rows) -> Reply:
        """Return the reply to a POST that reads, counted against a budget."""
        return self.client.post(where, body, budget, traffic=self.traffic, decoded=decoded)

    def pages(self, where: str, params: dict[str, str], decoded: Decode) -> Iterator[Reply]:
        """Yield the replies of all pages; the last one has no cursor, earlier ones may be short or empty (observed).

        Raises:
            ReplyError: the cursors repeat.
        """
        after, cycle = None, shapes.CycleDetector()
        while True:
            reply = self.get(where, {**params, "after": after} if after else params, decoded=decoded)
            yield reply
            after = shapes.cursor(reply)
            if not after:
                return
            if cycle.repeats(after):
                raise ReplyError(f"HubSpot's list at {where} does not advance beyond {after}: run again later.")

    def wait(self, seconds: float) -> None:
        """Wait.

        Raises:
            RunStoppedError: the run was stopped; raised at once.
        """
        self.client.wait(seconds)
