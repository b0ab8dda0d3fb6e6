"""A proxy between the tap and the sandbox that falsifies replies: it cuts, drops, repeats and refuses.

Every lie is a function from an honest reply to a false one. A client can detect all of them from other facts: a total,
the requested ids, the same list read again.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]
#: A falsified reply: its status and body; None if the lie does not apply to the reply.
Falsified = tuple[int, bytes] | None
_HOP_BY_HOP = {"content-length", "transfer-encoding", "connection", "content-encoding", "host", "accept-encoding"}


def _status(status: int) -> Callable[[bytes], Falsified]:
    body = {"status": "error", "message": "The request is not valid.", "category": "VALIDATION_ERROR"}
    return lambda _: (status, json.dumps(body).encode())


def _changed(change: Callable[[Json], bool]) -> Callable[[bytes], Falsified]:
    """Make a lie about a JSON reply with `results`; `change` returns whether it changed anything."""

    def lie(body: bytes) -> Falsified:
        reply = json.loads(body)
        if not isinstance(reply, dict) or "results" not in reply or not change(reply):
            return None
        return 200, json.dumps(reply).encode()

    return lie


def _without_paging(reply: Json) -> bool:
    return reply.pop("paging", None) is not None


def _half(reply: Json) -> bool:
    whole = reply["results"]
    reply["results"] = whole[: len(whole) // 2]
    reply.pop("paging", None)
    return len(whole) > 1


def _without_some(reply: Json) -> bool:
    whole = reply["results"]
    reply["results"] = whole[::3]
    return len(whole) > 1


def _empty(reply: Json) -> bool:
    was = bool(reply["results"])
    reply["results"] = []
    reply.pop("paging", None)
    return was


def _empty_page(reply: Json) -> bool:
    was = bool(reply["results"]) and "paging" in reply
    reply["results"] = []
    return was


def _repeated(reply: Json) -> bool:
    whole = reply["results"]
    reply["results"] = [result for result in whole for _ in range(2)]
    return bool(whole)


def _backwards(reply: Json) -> bool:
    reply["results"].reverse()
    return len(reply["results"]) > 1


def _in_circles(reply: Json) -> bool:
    if "paging" in reply:
        reply["paging"]["next"]["after"] = "1"
    return "paging" in reply


def _no_total(reply: Json) -> bool:
    return reply.pop("total", None) is not None


def _total_of_zero(reply: Json) -> bool:
    was = bool(reply.get("total"))
    reply["total"] = 0
    return was


def _no_errors(reply: Json) -> bool:
    return reply.pop("errors", None) is not None


def _results(value: Any) -> Callable[[Json], bool]:
    def change(reply: Json) -> bool:
        reply["results"] = value
        return True

    return change


def _without_ids(reply: Json) -> bool:
    for result in reply["results"]:
        result.pop("id", None)
    return bool(reply["results"])


LIES: dict[str, Callable[[bytes], Falsified]] = {
    **{f"status {status}": _status(status) for status in (400, 401, 403, 404, 409, 414, 488, 502)},
    "a page of HTML": lambda _: (200, b"<html><body>Attention required</body></html>"),
    "no body": lambda _: (200, b""),
    "half a body": lambda body: (200, body[: len(body) // 2]),
    "no paging": _changed(_without_paging),
    "half of the results and no paging": _changed(_half),
    "a third of the results": _changed(_without_some),
    "no results and no paging": _changed(_empty),
    "an empty page that announces another": _changed(_empty_page),
    "results twice": _changed(_repeated),
    "results backwards": _changed(_backwards),
    "a cursor that goes back": _changed(_in_circles),
    "no total": _changed(_no_total),
    "a total of zero": _changed(_total_of_zero),
    "no errors": _changed(_no_errors),
    "results null": _changed(_results(None)),
    "results an object": _changed(_results({})),
    "results texts": _changed(_results(["x"])),
    "results without ids": _changed(_without_ids),
}


@dataclass
class LyingProxy:
    """A proxy to one server; `lie` sets the lie for requests whose `METHOD path?query` contains a text."""

    upstream: str
    url: str = ""
    lies: int = 0  # since the last `lie`
    _lie: Callable[[bytes], Falsified] | None = None
    _where: str = ""
    _left: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lie(self, name: str, where: str, times: int) -> None:
        """From now on, falsify the replies to the first `times` requests that contain `where`."""
        with self._lock:
            self._lie, self._where, self._left, self.lies = LIES[name], where, times, 0

    def be_honest(self) -> None:
        """Forward all replies unchanged."""
        self._lie = None

    def reply(self, request: str, status: int, body: bytes) -> tuple[int, bytes]:
        """Return the reply for the client."""
        with self._lock:
            if self._lie is None or self._left == 0 or self._where not in request or status not in {200, 207}:
                return status, body
            falsified = self._lie(body)
            if falsified is None:
                return status, body
            self._left -= 1
            self.lies += 1
            return falsified


@contextmanager
def lying_proxy(upstream: str) -> Iterator[LyingProxy]:
    """Serve a proxy to the server at this URL on a free port of 127.0.0.1."""
    proxy = LyingProxy(upstream)
    port = urlsplit(upstream).port

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Do not log."""

        def _forward(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            sent = {name: text for name, text in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            server = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            server.request(self.command, self.path, self.rfile.read(size) if size else None, sent)
            reply = server.getresponse()
            status, body = proxy.reply(f"{self.command} {self.path}", reply.status, reply.read())
            self.send_response(status)
            for name, text in reply.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            server.close()

        do_GET = do_POST = _forward  # noqa: N815  the base class looks for these names

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Do not log: a client may disconnect at any time."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
