"""The `/sandbox/…` endpoints: change the portal; read the truth, the log and the status. No token, not in the log.

The truth is all data of the portal. It is streamed line by line, so that tests can compare a portal of any size.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from hubspot_sandbox.api.call import Call, Reply, json_reply
from hubspot_sandbox.behaviour.faults import Fault
from hubspot_sandbox.changes.mutation_fields import Mutation, MutationError
from hubspot_sandbox.changes.random_mutations import random_mutations
from hubspot_sandbox.errors import HubSpotError
from hubspot_sandbox.portal.association_types import LABELS
from hubspot_sandbox.portal.property_plan import encode
from hubspot_sandbox.portal.record_states import ARCHIVED, LIVE, MERGED, STATE_NAMES
from hubspot_sandbox.server import settings_endpoint
from hubspot_sandbox.timestamps import iso

PREFIX = "/sandbox/"
_LINES_A_CHUNK = 200


class NotPossible(HubSpotError):  # noqa: N818 - a reply rather than an error of the program
    """400 with a message of one sentence."""

    def __init__(self, message: str) -> None:
        super().__init__(400, {"status": "error", "message": message})


def _body(call: Call) -> Any:
    if not call.body:
        return {}
    try:
        return msgspec.json.decode(call.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotPossible(f"The body is not JSON: {error}.") from None


def mutate(call: Call) -> Reply:
    """POST mutations: a list of mutations, or `{"random": N, "seed": S}`; mutations before an error stay applied."""
    asked = _body(call)
    sandbox = call.sandbox
    if isinstance(asked, dict) and "random" in asked:
        count, seed = asked["random"], asked.get("seed", 1)
        if not isinstance(count, int) or not isinstance(seed, int):
            raise NotPossible("random and seed must be whole numbers.")
        script: Any = random_mutations(sandbox.portal, count, seed)
    elif isinstance(asked, list):
        script = asked
    else:
        raise NotPossible('Send a JSON list of mutations, or {"random": N, "seed": S}.')
    results: list[Mutation] = []
    for place, mutation in enumerate(script):
        try:
            if not isinstance(mutation, dict):
                raise MutationError("a mutation must be a JSON object.")
            results.append(sandbox.change(mutation))
        except MutationError as error:
            raise NotPossible(f"Mutation {place + 1} (after {len(results)} applied): {error}") from None
    return json_reply({"results": results})


def log(call: Call) -> Reply:
    """GET log: the number of requests per endpoint and status."""
    return json_reply(call.sandbox.log.as_json())


def faults(call: Call) -> Reply:
    """GET faults: how often each rule was met and fired; POST faults: a list of rules that replaces them."""
    if call.method == "POST":
        asked = _body(call)
        if not isinstance(asked, list):
            raise NotPossible("Send a JSON list of faults (an empty list removes all).")
        try:
            call.sandbox.faults.replace(tuple(Fault.from_json(raw) for raw in asked))
        except ValueError as error:
            raise NotPossible(str(error)) from None
    return json_reply({"rules": call.sandbox.faults.as_json()})


def clock(call: Call) -> Reply:
    """POST clock with `{"advanceSeconds": n}` or `{"offsetSeconds": n}`: move the sandbox's clock."""
    asked = _body(call)
    try:
        if "offsetSeconds" in asked:
            call.sandbox.clock.offset_ms = round(float(asked["offsetSeconds"]) * 1000)
        call.sandbox.clock.offset_ms += round(float(asked.get("advanceSeconds", 0)) * 1000)
    except (TypeError, ValueError, AttributeError):
        raise NotPossible("Send advanceSeconds or offsetSeconds as numbers.") from None
    return json_reply({"now": iso(call.sandbox.clock.now_ms())})


def settings(call: Call) -> Reply:
    """POST settings: change the behaviour of the running sandbox."""
    try:
        settings_endpoint.change(call.sandbox, _body(call))
    except ValueError as error:
        raise NotPossible(str(error)) from None
    return json_reply({"status": "changed"})


def reset(call: Call) -> Reply:
    """POST reset: restore the clean portal."""
    call.sandbox.reset()
    return json_reply({"status": "reset"})


def status(call: Call) -> Reply:
    """GET status: sizes, clock, limits and defects; `up` compares `options`."""
    sandbox = call.sandbox
    for records in sandbox.portal.records.values():
        records.drop_expired_archive()
    return json_reply(
        {
            "name": "hubspot-sandbox",
            "pid": os.getpid(),
            "portalId": sandbox.options.portal.portal_id,
            "now": iso(sandbox.clock.now_ms()),
            "options": sandbox.fingerprint,
            "records": {
                r.type.plural: {
                    "typeId": r.type.type_id,
                    "live": r.state.count(LIVE),
                    "archived": r.state.count(ARCHIVED),
                    "merged": r.state.count(MERGED),
                }
                for r in sandbox.portal.records.values()
            },
            "limits": sandbox.limits.as_json(),
            "pagesChangedWhilePaging": sum(s.done for s in sandbox.portal.standing_changes),
            "requests": sandbox.log.total,
            "defects": sandbox.defects,
        }
    )


def _lines(parts: Iterator[bytes]) -> Iterator[bytes]:
    chunk: list[bytes] = []
    for part in parts:
        chunk.append(part)
        if len(chunk) == _LINES_A_CHUNK:
            yield b"\n".join(chunk) + b"\n"
            chunk.clear()
    if chunk:
        yield b"\n".join(chunk) + b"\n"


def truth_objects(call: Call) -> Iterator[bytes]:
    """GET truth/objects/{type}[?state=]: NDJSON of every record in that state.

    Live and archived records have all values, merged ones `id` and `survivorId`, deleted ones only `id`.
    """
    records = call.sandbox.portal.records[call.object_type().type_id]
    name = call.parameter("state") or "live"
    if name not in STATE_NAMES:
        raise NotPossible(f"There is no state {name[:40]!r}; there are: {', '.join(STATE_NAMES)}.")
    state = STATE_NAMES[name]
    records.drop_expired_archive()

    def line(number: int) -> bytes:
        if name in ("merged", "deleted"):
            survivor = number
            while name == "merged" and records.state[survivor] == MERGED:
                survivor = records.survivor[survivor]
            ids = {"id": str(records.id_of(number))}
            return encode(ids | {"survivorId": str(records.id_of(survivor))} if name == "merged" else ids)
        text = records.json.truth(number)
        return (
            text if name == "live" else text[:-1] + b',"archivedAt":"%s"}' % iso(records.archived_at[number]).encode()
        )

    return _lines(line(number) for number in records.numbers(state))


def truth_associations(call: Call) -> Iterator[bytes]:
    """GET truth/associations: NDJSON of every live edge and association type, from both sides."""
    portal = call.sandbox.portal

    def lines() -> Iterator[bytes]:
        for (from_type, to_type), table in LABELS.items():
            source, target = portal.records[from_type], portal.records[to_type]
            for number in source.numbers(LIVE):
                for other, ids in portal.associations.of(from_type, number, to_type).items():
                    for type_id in ids:
                        yield encode(
                            {
                                "fromType": from_type,
                                "fromId": str(source.id_of(number)),
                                "toType": to_type,
                                "toId": str(target.id_of(other)),
                                "category": table[type_id].category,
                                "typeId": call.sandbox.quirks.shown_type(from_type, to_type, type_id),
                                "label": table[type_id].label,
                            }
                        )

    return _lines(lines())


Handler = Callable[[Call], Reply | Iterator[bytes]]
ROUTES: tuple[tuple[str, re.Pattern[str], Handler], ...] = (
    ("POST", re.compile("^/sandbox/mutations$"), mutate),
    ("GET", re.compile("^/sandbox/log$"), log),
    ("POST", re.compile("^/sandbox/reset$"), reset),
    ("GET", re.compile("^/sandbox/faults$"), faults),
    ("POST", re.compile("^/sandbox/faults$"), faults),
    ("POST", re.compile("^/sandbox/clock$"), clock),
    ("POST", re.compile("^/sandbox/settings$"), settings),
    ("GET", re.compile("^/sandbox/status$"), status),
    ("GET", re.compile("^/sandbox/truth/objects/(?P<type>[^/]+)$"), truth_objects),
    ("GET", re.compile("^/sandbox/truth/associations$"), truth_associations),
)


def answer(call: Call) -> Reply | Iterator[bytes]:
    """Return the reply of an admin endpoint."""
    for method, pattern, handler in ROUTES:
        match = pattern.match(call.path)
        if match and method == call.method:
            call.params.update(match.groupdict())
            return handler(call)
    endpoints = ", ".join(f"{method} {pattern.pattern.strip('^$')}" for method, pattern, _ in ROUTES)
    raise HubSpotError(404, {"status": "error", "message": f"No such sandbox endpoint; there are: {endpoints}."})
