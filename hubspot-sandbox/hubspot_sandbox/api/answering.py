"""The way from a request to its reply: length, path, fault rule, token, rate limits, scopes, handler, in this order."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from hubspot_sandbox.api.call import Call, Reply
from hubspot_sandbox.api.distortions import distorted
from hubspot_sandbox.api.routes import Route, find, required_scopes
from hubspot_sandbox.behaviour import limits
from hubspot_sandbox.behaviour.faults import HTML_STATUSES, Fault, error_of
from hubspot_sandbox.errors import HTML_414, HubSpotError, cloudflare_html, missing_scopes, not_found

if TYPE_CHECKING:
    from hubspot_sandbox.sandbox.sandbox import Sandbox

MAX_BODY_BYTES = 3_000_000


def error_reply(error: HubSpotError, correlation_id: str) -> Reply:
    """HubSpot's JSON error with the correlation id that is also in the header."""
    body = {**error.body, "correlationId": correlation_id}
    return Reply(error.status, msgspec.json.encode(body), headers=error.headers)


def new_correlation_id() -> str:
    """A new id for one reply. It is no secret, so it does not need the system's random source, which is slow."""
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def _too_large(size: int) -> HubSpotError:
    return HubSpotError(413, {"status": "error", "message": f"The request body is too large ({size} bytes)."})


def _endpoint(call: Call, route: Route) -> str:
    """The endpoint's name for the log and for faults, such as `list contacts archived` or `search deals`."""
    named = [call.sandbox.portal.resolve(call.params[key]) for key in ("type", "from", "to") if key in call.params]
    archived = "archived" if route.endpoint in {"list", "owners"} and call.flag("archived") else ""
    return " ".join(filter(None, (route.endpoint, "→".join(t.plural for t in named if t), archived)))


def _admit(sandbox: Sandbox, call: Call, route: Route, request_id: str) -> None:
    """Check the token, then the rate limits, then the scopes; raise HubSpot's error replies."""
    if route.budget == limits.OPEN:
        return
    call.token = sandbox.tokens.check(call.headers.get("authorization", ""))
    sandbox.limits.take(
        route.budget, sandbox.clock.now_ms(), oauth=sandbox.tokens.is_oauth(call.token), request_id=request_id
    )
    lacking = [row for row in required_scopes(call, route) if not sandbox.tokens.scopes.intersection(row)]
    if lacking:
        raise missing_scopes([scope for row in lacking for scope in row])


def _handled(sandbox: Sandbox, call: Call, route: Route, fault: Fault | None, request_id: str) -> Reply:
    """Return the reply of a known path: from the fault, from an error, or from the handler."""
    try:
        if fault is not None and fault.status is not None and fault.has_error_status:
            if fault.status in HTML_STATUSES:
                return Reply(fault.status, cloudflare_html(fault.status).encode(), "text/html; charset=UTF-8")
            if fault.status == 414:
                return Reply(414, HTML_414.encode(), "text/html")
            if fault.status < 400:
                return Reply(fault.status, b"")
            raise error_of(fault, route.budget, sandbox.limits.portal_id, request_id)
        _admit(sandbox, call, route, request_id)
        return route.handler(call)
    except HubSpotError as error:
        return error_reply(error, request_id)


def _unrouted(call: Call, *, exists: bool) -> HubSpotError:
    if exists:
        return HubSpotError(405, {"status": "error", "message": f"Method Not Allowed: {call.method[:20]}"})
    return not_found()


def answer(sandbox: Sandbox, call: Call) -> Reply:
    """Return the reply to any request and count it in the log; the reply may ask the sender to stall or to cut it."""
    request_id = new_correlation_id()
    headers = {"x-hubspot-correlation-id": request_id}
    # nginx, not HubSpot, answers longer URLs (observed, two measurements).
    if len(call.path) + len(call.raw_query) + 1 > sandbox.quirks.longest_url:
        sandbox.log.add("too long", 414)
        return Reply(414, HTML_414.encode(), "text/html", headers)
    route, call.params, exists = find(call.method, call.path)
    if route is None or len(call.body) > MAX_BODY_BYTES:
        problem = _unrouted(call, exists=exists) if route is None else _too_large(len(call.body))
        sandbox.log.add("unknown path" if route is None else route.endpoint, problem.status)
        return replace(error_reply(problem, request_id), headers=headers)
    endpoint = _endpoint(call, route)
    fault = sandbox.faults.take(endpoint)
    reply = _handled(sandbox, call, route, fault, request_id)
    if reply.content_type.startswith("application/json"):
        oauth = sandbox.tokens.is_oauth(call.token)
        headers |= sandbox.limits.headers(route.budget, sandbox.clock.now_ms(), oauth=oauth)
    if fault is not None and fault.expire_tokens:
        sandbox.tokens.expire_all()
    reply = replace(reply, headers=headers | reply.headers)
    if fault is not None:
        reply = distorted(reply, fault)
    sandbox.log.add(endpoint, 0 if reply.cut else reply.status)
    return reply
