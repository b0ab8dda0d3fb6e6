"""The ASGI application: reads a request, calls `answering` or `admin`, sends the reply. No other module uses ASGI."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

from hubspot_sandbox.api import answering
from hubspot_sandbox.api.call import Call, Reply
from hubspot_sandbox.errors import HubSpotError
from hubspot_sandbox.sandbox.sandbox import Sandbox
from hubspot_sandbox.server import admin

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: the key under which the server puts the connection into the scope, for faults
TRANSPORT = "hubspot_sandbox.transport"
_CHUNK = 65_536  # bytes

logger = logging.getLogger("hubspot_sandbox")


class App:
    """Serves one sandbox, and keeps the time of the last request."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.last_asked = time.monotonic()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        self.last_asked = time.monotonic()
        call = Call(
            sandbox=self.sandbox,
            method=scope["method"],
            path=scope["path"],
            raw_query=scope["query_string"].decode("latin-1"),
            body=await _read_body(receive),
            headers={k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]},
            params={},
        )
        if call.path.startswith(admin.PREFIX):
            await self._admin(call, send)
        else:
            await self._hubspot(call, send, receive, scope[TRANSPORT])

    async def _hubspot(self, call: Call, send: Send, receive: Receive, transport: asyncio.Transport) -> None:
        if self.sandbox.latency_ms:
            await asyncio.sleep(self.sandbox.latency_ms / 1000)
        try:
            reply = answering.answer(self.sandbox, call)
        except Exception as defect:  # noqa: BLE001 - recorded, logged and answered with 500
            # The client sees an error as HubSpot's own; the test sees the defect in the status.
            self._record(call, defect)
            error = HubSpotError(500, {"status": "error", "message": "internal error"})
            reply = answering.error_reply(error, answering.new_correlation_id())
        if reply.stall_seconds:
            await asyncio.sleep(reply.stall_seconds)
        date = self.sandbox.date_header()
        if date and "date" not in reply.headers:
            reply = replace(reply, headers={"date": date, **reply.headers})
        if reply.cut:
            await _send_cut(reply, send, receive, transport)
        elif reply.endless or reply.drip_seconds:
            await _send_slowly(reply, send, receive, transport)
        else:
            await _send(reply, send)

    def _record(self, call: Call, defect: Exception) -> None:
        """Keep a defect for `GET /sandbox/status`, on which tests fail, and log it."""
        logger.error("Could not answer %s %s", call.method, call.path, exc_info=defect)
        self.sandbox.defects.append(f"{call.method} {call.path}: {type(defect).__name__}")

    async def _admin(self, call: Call, send: Send) -> None:
        try:
            reply = admin.answer(call)
        except HubSpotError as error:
            reply = answering.error_reply(error, answering.new_correlation_id())
        except Exception as defect:  # noqa: BLE001 - recorded, logged and answered with 500
            self._record(call, defect)
            sorry = HubSpotError(500, {"status": "error", "message": "internal error of the sandbox"})
            reply = answering.error_reply(sorry, answering.new_correlation_id())
        if isinstance(reply, Reply):
            await _send(reply, send)
        else:
            await _stream(reply, send)


async def _read_body(receive: Receive) -> bytes:
    """Return the body, cut a little above the accepted size; the rest is read and dropped."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        if size <= answering.MAX_BODY_BYTES:
            parts.append(part)
        size += len(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def _send_cut(reply: Reply, send: Send, receive: Receive, transport: asyncio.Transport) -> None:
    """Close the connection instead of a reply, or in the middle of its body."""
    if reply.cut == "body":
        await _start(reply, send)
        await send({"type": "http.response.body", "body": reply.body[: len(reply.body) // 2], "more_body": True})
        transport.close()
    else:
        transport.abort()
    # Return only after the disconnect; otherwise uvicorn logs an error about an unfinished reply.
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_slowly(reply: Reply, send: Send, receive: Receive, transport: asyncio.Transport) -> None:
    """Send byte by byte, or send an endless head or body, until the client disconnects."""
    if reply.endless == "head":
        transport.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
        while not transport.is_closing():
            transport.write(b"x")
            await asyncio.sleep(reply.drip_seconds or 0.05)
    else:
        await _start(reply, send, has_length=not reply.endless)
        step = 1 if reply.drip_seconds else _CHUNK
        chunks = (reply.body[start : start + step] for start in range(0, len(reply.body), step))
        filling = repeat(b" " * step) if reply.endless else ()
        for chunk in chain(chunks, filling):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(reply.drip_seconds)
            if transport.is_closing():
                break
        else:
            await send({"type": "http.response.body", "body": b""})
            return
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(reply: Reply, send: Send) -> None:
    await _start(reply, send)
    await send({"type": "http.response.body", "body": reply.body})


async def _start(reply: Reply, send: Send, *, has_length: bool = True) -> None:
    length = {"content-length": str(len(reply.body))} if has_length else {}
    headers = {"content-type": reply.content_type, **length, **reply.headers}
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()],
        }
    )


async def _stream(chunks: Iterator[bytes], send: Send) -> None:
    headers = [(b"content-type", b"application/x-ndjson")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b""})
