"""Requests and replies as values, without sockets."""

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
    """A reply: status, body and its own headers, to which `answering` adds the correlation id and the rate limits."""

    status: int
    body: bytes
    content_type: str = "application/json;charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    #: `before` or `body`: where the sender cuts the connection (for faults, as the fields below)
    cut: str | None = None
    stall_seconds: float = 0.0
    #: the pause between two bytes
    drip_seconds: float = 0.0
    #: `head` or `body`: what the sender continues until the client disconnects
    endless: str | None = None


def json_reply(value: Any, status: int = 200) -> Reply:
    """Return a reply whose body is this JSON value."""
    return Reply(status, msgspec.json.encode(value))


@dataclass
class Call:
    """A request; after routing, `params` has the named parts of its path."""

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
        """All values of every query parameter, empty ones too."""
        return parse_qs(self.raw_query, keep_blank_values=True)

    def parameter(self, name: str) -> str:
        """The last value of a query parameter; empty if there is none."""
        return self.query.get(name, [""])[-1]

    def flag(self, name: str) -> bool:
        """Whether a query parameter is `true`."""
        return self.parameter(name).lower() == "true"

    def names(self, name: str) -> tuple[str, ...]:
        """The values of a list parameter, which is comma separated, repeated, or both."""
        return tuple(part.strip() for value in self.query.get(name, ()) for part in value.split(",") if part.strip())

    @property
    def version(self) -> str:
        """The API version in the path, such as `v3` or `2026-09`."""
        return self.params.get("version", "")

    @property
    def base_url(self) -> str:
        """The start of absolute links: the host that the client called; host names other than loopback use TLS."""
        host = self.headers.get("host", "api.hubapi.com")
        loopback = host.split(":")[0] in ("127.0.0.1", "localhost") or host.startswith("[::1]")
        return f"{'http' if loopback else 'https'}://{host}"

    def object_type(self, key: str = "type") -> ObjectType:
        """Return the object type that the path names; raise HubSpot's 400 if there is none."""
        object_type = self.sandbox.portal.resolve(self.params[key])
        if object_type is None:
            raise unknown_type(self.params[key])
        return object_type

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object; raise HubSpot's 400 for any other body."""
        try:
            value = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise invalid_json(str(error)) from None
        if not isinstance(value, dict):
            raise invalid_json("the body must be an object.")
        return value

    def inputs(self, maximum: int, limit: str) -> list[dict[str, Any]]:
        """Return the `inputs` of a batch request; more than `maximum` are HubSpot's 400 with the message `limit`."""
        inputs = self.json_object().get("inputs")
        if not isinstance(inputs, list) or not all(isinstance(item, dict) and "id" in item for item in inputs):
            raise invalid_json("inputs must be a list of objects with an id.")
        if len(inputs) > maximum:
            raise validation(f"{limit}, got {len(inputs)}.", code="TOO_MANY_INPUTS")
        return inputs
