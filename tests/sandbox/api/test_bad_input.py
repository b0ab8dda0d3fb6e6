"""Bad requests get HubSpot's errors, and the sandbox keeps running."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.sandbox.conftest import Api

SEARCH = "/crm/v3/objects/contacts/search"

BAD: tuple[tuple[str, str, bytes, int], ...] = (
    ("GET", "/nowhere", b"", 404),
    ("GET", "/crm/v9/objects/contacts", b"", 404),
    ("GET", "/", b"", 404),
    ("DELETE", "/crm/v3/objects/contacts", b"", 405),
    ("GET", SEARCH + "/x/y", b"", 404),
    ("PUT", SEARCH, b"{}", 405),
    ("POST", SEARCH, b"{", 400),
    ("POST", SEARCH, b"[]", 400),
    ("POST", SEARCH, b"\xff\xfe", 400),
    ("POST", SEARCH, b"", 400),
    ("POST", SEARCH, b'{"filterGroups": 5}', 400),
    ("POST", SEARCH, b'{"filterGroups": [5]}', 400),
    ("POST", SEARCH, b'{"filters": ["x"]}', 400),
    ("POST", SEARCH, b'{"filters": 7}', 400),
    ("POST", SEARCH, b'{"filterGroups": [{"filters": 7}]}', 400),
    ("POST", SEARCH, b'{"sorts": 7}', 400),
    ("POST", SEARCH, b'{"properties": 7}', 400),
    ("POST", SEARCH, b'{"after": "x"}', 400),
    ("POST", SEARCH, b'{"limit": {}}', 400),
    ("POST", SEARCH, b'{"limit": 1e400}', 400),
    ("POST", SEARCH, b'{"sorts": ["-nope"]}', 400),
    ("POST", SEARCH, b'{"x": "' + b"y" * 3_100_000 + b'"}', 413),
    ("POST", "/crm/v3/objects/contacts/batch/read", b'{"inputs": 5}', 400),
    ("POST", "/crm/v3/objects/contacts/batch/read", b'{"inputs": [5]}', 400),
    ("POST", "/crm/v3/objects/contacts/batch/read", b'{"inputs": [], "properties": 5}', 400),
    ("POST", "/crm/associations/2026-09/contacts/deals/batch/read", b'{"inputs": [{}]}', 400),
    ("POST", "/crm/associations/2026-09/contacts/deals/batch/read", b'{"inputs": [{"id": "51", "after": "!"}]}', 400),
    ("POST", "/crm/associations/2026-09/contacts/widgets/batch/read", b'{"inputs": []}', 400),
    ("GET", "/crm/v3/objects/contacts?after=x", b"", 400),
    ("GET", "/crm/v3/objects/contacts/abc", b"", 404),
    ("GET", "/crm/v3/objects/contacts?after=%C2%B2", b"", 400),
    ("GET", "/crm/v3/objects/contacts?limit=%C2%B2", b"", 400),
    ("GET", "/crm/v3/objects/contacts?limit=" + "9" * 5_000, b"", 400),
    ("GET", "/crm/v3/owners?after=x", b"", 400),
    ("GET", "/crm/v3/owners?after=%C2%B2", b"", 400),
    ("GET", "/crm/v4/objects/contacts/51/associations/deals?limit=%C2%B2", b"", 400),
    ("GET", "/deals/v1/deal/paged?offset=%C2%B2", b"", 400),
    ("GET", "/crm/v3/pipelines/contacts", b"", 404),
    ("POST", "/sandbox/mutations", b"{", 400),
    ("POST", "/sandbox/mutations", b'[{"kind": "edit"}]', 400),
    ("POST", "/sandbox/mutations", b'[{"kind": "bulk-touch", "type": "contacts", "count": "x"}]', 400),
    ("POST", "/sandbox/mutations", b'{"random": "x"}', 400),
    ("POST", "/sandbox/faults", b'[{"status": 200}]', 400),
    ("POST", "/sandbox/settings", b'{"tier": "gold"}', 400),
    ("POST", "/sandbox/settings", b'{"latencyMs": "x"}', 400),
    ("POST", "/sandbox/settings", b'{"quirks": {"x": "y"}}', 400),
    ("POST", "/sandbox/settings", b'{"quirks": {"short-search-pages": "\\u00b2"}}', 400),
    ("POST", "/sandbox/clock", b"[]", 400),
    ("GET", "/sandbox/nothing", b"", 404),
    ("GET", "/sandbox/truth/objects/widgets", b"", 400),
    ("GET", "/sandbox/truth/objects/contacts?state=x", b"", 400),
)


@pytest.mark.parametrize(("method", "path", "body", "status"), BAD, ids=lambda v: str(v)[:60])
def test_a_bad_request_gets_its_error_and_does_no_harm(
    shared: Api, method: str, path: str, body: bytes, status: int
) -> None:
    reply = shared.session.request(
        method,
        shared.sandbox.url + path,
        data=body,
        headers={"Authorization": f"Bearer {shared.sandbox.token}"},
        timeout=20,
    )
    assert reply.status_code == status
    assert reply.json()["status"] == "error"
    assert reply.json()["message"]
    assert shared.get("/crm/v3/objects/contacts?limit=1").status_code == 200


@pytest.mark.parametrize(
    "raw", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"GET / HT"]
)
def test_bytes_that_are_not_http_end_only_their_connection(shared: Api, raw: bytes) -> None:
    address = urlsplit(shared.sandbox.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=5) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1000)
    assert shared.get("/crm/v3/objects/contacts?limit=1").status_code == 200


def test_a_body_on_a_get_is_tolerated(shared: Api) -> None:
    reply = shared("GET", "/crm/v3/objects/contacts?limit=1", {"unasked": True})
    assert (reply.status_code, len(reply.json()["results"])) == (200, 1)


def test_the_bad_requests_cover_every_status() -> None:
    statuses: set[Any] = {status for *_, status in BAD}
    assert statuses == {400, 404, 405, 413}
