"""Distortions: how a fault changes a finished reply, that is its text, fields, headers and length.

`edit` and `remove` take paths into the JSON of a body, such as `paging.next.after`, `results.*.id` (of all results) or
`results.-1` (the last one).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from hubspot_sandbox.api.call import Reply
from hubspot_sandbox.behaviour.faults import Fault

_GZIP = 16 + zlib.MAX_WBITS
_MEGABYTE = b" " * 1_000_000


def distorted(reply: Reply, fault: Fault) -> Reply:
    """Return the reply with the effects of the fault."""
    body, content_type = reply.body, reply.content_type
    if fault.edit or fault.remove or (fault.is_less and reply.status in (200, 207)):
        body = _edited(body, fault)
    if fault.body is not None:
        body = fault.body.encode("utf-8", "surrogatepass")
        content_type = "text/html" if body.startswith(b"<") else content_type
    if fault.cut == "short":
        body = body[: len(body) // 2]
    headers = dict(reply.headers)
    if fault.gzip or fault.bomb_megabytes:
        body, headers["content-encoding"] = _compressed(body, fault.bomb_megabytes), "gzip"
    for name, text in fault.headers.items():
        if text is None:
            headers.pop(name.lower(), None)
        elif name.lower() == "content-type":
            content_type = text
        else:
            headers[name.lower()] = text
    return replace(
        reply,
        status=fault.status or reply.status,
        body=body,
        content_type=content_type,
        headers=headers,
        cut=None if fault.cut == "short" else fault.cut,
        stall_seconds=fault.stall_seconds,
        drip_seconds=fault.drip_seconds,
        endless=fault.endless,
    )


def _compressed(body: bytes, megabytes: int) -> bytes:
    """The body as gzip after this many megabytes of spaces, which take a thousandth of that on the wire."""
    packer = zlib.compressobj(1, wbits=_GZIP)
    parts = [packer.compress(_MEGABYTE) for _ in range(megabytes)]
    return b"".join([*parts, packer.compress(body), packer.flush()])


def _edited(body: bytes, fault: Fault) -> bytes:
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:  # an HTML page has no fields
        return body
    if isinstance(value, dict) and isinstance(value.get("results"), list):
        _shorten(value, fault)
    holder = {"": value}
    for path, new in fault.edit.items():
        _at(holder, ["", *path.split(".")], _setter(new))
    for path in fault.remove:
        _at(holder, ["", *str(path).split(".")], _drop)
    return msgspec.json.encode(holder[""])


def _shorten(page: dict[str, Any], fault: Fault) -> None:
    """Remove rows or the paging, or change the total."""
    page["results"] = page["results"][: fault.rows]
    if not fault.paging:
        page.pop("paging", None)
    if fault.total is not None and "total" in page:
        page["total"] = fault.total


def _setter(new: Any) -> Callable[[Any, Any], None]:
    def put(holder: Any, key: Any) -> None:
        holder[key] = new

    return put


def _drop(holder: Any, key: Any) -> None:
    if isinstance(holder, list) or key in holder:
        del holder[key]


def _at(value: Any, steps: Sequence[str], change: Callable[[Any, Any], None]) -> None:
    """Apply the change at every place that the path leads to; skip places that do not exist."""
    step, rest = steps[0], steps[1:]
    keys: list[Any] = []
    if isinstance(value, list):
        keys = list(range(len(value)))[::-1]
        if step != "*":
            number = int(step)
            keys = [number] if -len(value) <= number < len(value) else []
    elif isinstance(value, dict):
        keys = list(value) if step == "*" else [step]
    for key in keys:
        if not rest:
            change(value, key)
        elif isinstance(value, list) or key in value:
            _at(value[key], rest, change)
