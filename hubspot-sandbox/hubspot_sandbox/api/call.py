"""One request on its way to a handler, and the reply on its way back; no sockets here."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from hubspot_sandbox.errors import invalid_json, unknown_type, validation

if TYPE_CHECKING:
    from hubspot_sandbox.portal.object_types import ObjectType
    from hubspot_sandbox.sandbox.sandbox import Sandbox


@dataclass(frozen=True)
class Reply:
    """Status, body and more headers; the correlation id and rate-limit headers are added when it is sent."""

    status: int
    body: bytes
    content_type: str = "application/json;charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    #: `before` or `body`: where the sender shall cut the connection (scripted faults, as what follows)
    cut: str | None = None
    stall_seconds: float = 0.0
    #: between one byte and the next
    drip_seconds: float = 0.0
    #: `head` or `body`: what shall go on until the client leaves
    endless: str | None = None


def json_reply(value: Any, status: int = 200) -> Reply:
    """A reply of one JSON value."""
    return Reply(status, msgspec.json.encode(value))


@dataclass
class Call:
    """A request; `params` are the named parts of its path, once it is routed."""

    sandbox: Sandbox
    method: str
    path: str
    raw_query: str
    body: bytes
    headers: dict[str, str]
    params: dict[str, str]
    token: str = ""

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """Query parameters, every value of each; blank ones count as given."""
        return parse_qs(self.raw_query, keep_blank_values=True)

    def one(self, name: str) -> str:
        """The last value of a query parameter; empty if it is not given."""
        return self.query.get(name, [""])[-1]

    def flag(self, name: str) -> bool:
        """Whether a query parameter says true."""
        return self.one(name).lower() == "true"

    def names(self, name: str) -> tuple[str, ...]:
        """A list parameter: comma separated, repeated, or both."""
        return tuple(part.strip() for value in self.query.get(name, ()) for part in value.split(",") if part.strip())

    @property
    def version(self) -> str:
        """The API version in the path, such as `v3` or `2026-09`."""
        return self.params.get("version", "")

    @property
    def base_url(self) -> str:
        """What absolute links start with: the host the client called; only real host names speak TLS here."""
        host = self.headers.get("host", "api.hubapi.com")
        loopback = host.split(":")[0] in ("127.0.0.1", "localhost") or host.startswith("[::1]")
        return f"{'http' if loopback else 'https'}://{host}"

    def object_type(self, key: str = "type") -> ObjectType:
        """The object type that the path names; HubSpot's 400 otherwise."""
        found = self.sandbox.portal.resolve(self.params[key])
        if found is None:
            raise unknown_type(self.params[key])
        return found

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; HubSpot's 400 for anything else."""
        try:
            value = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise invalid_json(str(error)) from None
        if not isinstance(value, dict):
            raise invalid_json("the body must be an object.")
        return value

    def inputs(self, maximum: int, limit: str) -> list[dict[str, Any]]:
        """The `inputs` of a batch request; HubSpot's 400 for more than `maximum`, which `limit` says in words."""
        inputs = self.json_object().get("inputs")
        if not isinstance(inputs, list) or not all(isinstance(each, dict) and "id" in each for each in inputs):
            raise invalid_json("inputs must be a list of objects with an id.")
        if len(inputs) > maximum:
            raise validation(f"{limit}, got {len(inputs)}.", code="TOO_MANY_INPUTS")
        return inputs
