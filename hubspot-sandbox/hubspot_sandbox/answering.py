"""From a request to a reply, by HubSpot's order of checks: length, path, token, scopes, then the handler."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import msgspec

from hubspot_sandbox import routes
from hubspot_sandbox.call import Call, Reply
from hubspot_sandbox.errors import HTML_414, HubSpotError, missing_scopes, not_found

if TYPE_CHECKING:
    from hubspot_sandbox.sandbox import Sandbox

#: Longer request targets are answered by nginx, not by HubSpot (observed, two measurements).
MAX_TARGET = 16_200
MAX_BODY_BYTES = 3_000_000


def error_reply(error: HubSpotError, correlation_id: str) -> Reply:
    """HubSpot's JSON error; the correlation id is the header's."""
    body = {**error.body, "correlationId": correlation_id}
    return Reply(error.status, msgspec.json.encode(body), headers=error.headers)


def new_correlation_id() -> str:
    """A fresh id for one reply."""
    return str(uuid.uuid4())


def _too_large(size: int) -> HubSpotError:
    return HubSpotError(413, {"status": "error", "message": f"The request body is too large ({size} bytes)."})


def _routed(sandbox: Sandbox, call: Call) -> routes.Route:
    route, params, exists = routes.find(call.method, call.path)
    if route is None:
        if exists:
            raise HubSpotError(405, {"status": "error", "message": f"Method Not Allowed: {call.method[:20]}"})
        raise not_found()
    call.params = params
    if route.budget != routes.OPEN:
        call.token = sandbox.tokens.check(call.headers.get("authorization", ""))
    return route


def answer(sandbox: Sandbox, call: Call) -> Reply:
    """The whole reply, errors included; counted in the log under the route's name and the object type."""
    correlation_id = new_correlation_id()
    name = "unknown path"
    try:
        if len(call.path) + len(call.raw_query) + 1 > MAX_TARGET:
            sandbox.log.add("too long", 414)
            return Reply(414, HTML_414.encode(), "text/html")
        if len(call.body) > MAX_BODY_BYTES:
            raise _too_large(len(call.body))
        route, _, _ = routes.find(call.method, call.path)
        if route is not None:
            name = route.endpoint
        route = _routed(sandbox, call)
        name = _log_name(call, route)
        needed = [row for row in routes.required_scopes(call, route) if not sandbox.tokens.scopes.intersection(row)]
        if needed:
            raise missing_scopes([scope for row in needed for scope in row])
        reply = route.handler(call)
    except HubSpotError as error:
        reply = error_reply(error, correlation_id)
    sandbox.log.add(name, reply.status)
    return Reply(
        reply.status,
        reply.body,
        reply.content_type,
        {"x-hubspot-correlation-id": correlation_id, **reply.headers},
    )


def _log_name(call: Call, route: routes.Route) -> str:
    """`list contacts`, `associations batch read deals→contacts`, `owners`."""
    named = [call.sandbox.portal.resolve(call.params[key]) for key in ("type", "from", "to") if key in call.params]
    return " ".join((route.endpoint, "→".join(t.plural for t in named if t))).strip()
