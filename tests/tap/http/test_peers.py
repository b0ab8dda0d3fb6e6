"""A misbehaving server: no secret goes elsewhere, and any reply ends in one sentence, in bounded time."""

from __future__ import annotations

import json
import logging
import threading
import time
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tap_hubspot_dw.errors import AuthenticationError, HubSpotError, UnreachableError
from tap_hubspot_dw.http.auth import OAuthToken, StaticToken
from tap_hubspot_dw.http.client import Client
from tap_hubspot_dw.http.traffic import Traffic
from tap_hubspot_dw.http.transport import MOST_BYTES
from tap_hubspot_dw.settings import CONFIG_JSONSCHEMA, Settings
from tests.tap.running import run_tap

DEFAULTS = {name: each["default"] for name, each in CONFIG_JSONSCHEMA["properties"].items() if "default" in each}
OAUTH = {
    "client_id": "sandbox-client-id",
    "client_secret": "sandbox-client-secret-not-a-secret",
    "refresh_token": "sandbox-refresh-not-a-secret",
}
LIST = "/crm/objects/2026-09/0-1"
REDIRECTS = (301, 302, 303, 307, 308)


def client_of(sandbox, seconds: float = 5, token: str | None = None) -> Client:
    logger = logging.getLogger("test")
    return Client(
        sandbox.url, StaticToken(token or sandbox.token), timeout_seconds=seconds, user_agent="test", logger=logger
    )


def oauth_of(url: str, seconds: float = 5) -> OAuthToken:
    return OAuthToken(
        Settings.from_config(DEFAULTS | OAUTH | {"api_url": url, "request_timeout_seconds": seconds}), "x"
    )


@pytest.fixture
def elsewhere():
    """A foreign server, which grants everything; `requests` are the requests received, with their headers."""
    requests: list[tuple[str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append((self.path, dict(self.headers)))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.dumps({"access_token": "granted", "results": []}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815  the standard library's name

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = requests
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def netrc(tmp_path):
    """An environment whose ~/.netrc has a login for every host in these tests."""
    file = tmp_path / "netrc"
    hosts = ("127.0.0.1", "localhost", "api.hubapi.com")
    file.write_text("".join(f"machine {host} login mallory password hunter2\n" for host in hosts))
    file.chmod(0o600)
    return {"NETRC": str(file)}


# Logins


@pytest.mark.parametrize("login", [{}, OAUTH], ids=["static", "oauth"])
def test_a_login_in_netrc_does_not_replace_the_token(clean_portal, tmp_path, netrc, login):
    login = login or {"access_token": clean_portal.token}
    run = run_tap(tmp_path, {"api_url": clean_portal.url, "objects": ["divisions"], **login}, env=netrc)
    assert run.returncode == 0, run.log
    assert len(run.records("divisions")) == 6
    assert "401" not in clean_portal.log()["byStatus"]


def test_the_token_endpoint_gets_no_login_from_netrc(elsewhere, netrc, monkeypatch):
    monkeypatch.setenv("NETRC", netrc["NETRC"])
    assert oauth_of(elsewhere.url).value() == "granted"
    ((_, headers),) = elsewhere.requests
    assert "Authorization" not in headers


def test_a_proxy_and_a_bundle_of_certificates_are_taken_from_the_environment(sandbox_factory, tmp_path, netrc):
    sandbox = sandbox_factory(contacts=5, divisions=3, proxy_port=0, ca_file=tmp_path / "ca.pem")
    env = {**netrc, "HTTPS_PROXY": sandbox.proxy, "REQUESTS_CA_BUNDLE": str(sandbox.ca_file)}
    run = run_tap(tmp_path, {"access_token": sandbox.token, "objects": ["divisions"]}, env=env)
    sandbox.stop()
    assert run.returncode == 0, run.log
    assert len(run.records("divisions")) == 3


def test_one_401_is_retried_and_a_second_is_fatal(clean_portal):
    client = client_of(clean_portal)
    clean_portal.faults([{"match": "list contacts", "status": 401, "nth": 1}])
    assert len(client.get(LIST, traffic=Traffic())["results"]) == 10
    clean_portal.faults([{"match": "list contacts", "status": 401}])
    traffic = Traffic()
    with pytest.raises(AuthenticationError, match="does not accept the token"):
        client.get(LIST, traffic=traffic)
    assert traffic.requests == 2


def test_after_a_401_another_refusal_is_a_refusal(clean_portal):
    clean_portal.faults([{"status": 401, "nth": 1}, {"status": 404}])
    traffic = Traffic()
    with pytest.raises(HubSpotError, match="HTTP 404"):
        client_of(clean_portal).get(LIST, traffic=traffic)
    assert traffic.requests == 2


# Redirects


@pytest.mark.parametrize("status", REDIRECTS)
def test_the_token_is_not_taken_to_another_host(clean_portal, elsewhere, status):
    location = f"{elsewhere.url}/next?secret=1"
    clean_portal.faults([{"status": status, "headers": {"location": location}}])
    with pytest.raises(HubSpotError, match=f"redirected to 127.0.0.1:{elsewhere.server_port} .HTTP {status}") as raised:
        client_of(clean_portal).get(LIST, traffic=Traffic())
    with pytest.raises(HubSpotError, match="redirected"):
        oauth_of(clean_portal.url).value()
    assert "secret" not in str(raised.value)
    assert elsewhere.requests == []


@pytest.mark.parametrize("location", ["/crm/v3/owners", "", "http://[", "https://a@b@c/", "file:///etc/passwd", None])
def test_no_redirect_is_followed(clean_portal, location):
    clean_portal.faults([{"nth": 1, "status": 302, "headers": {"location": location}}])
    with pytest.raises(HubSpotError, match=r"redirected to .*HTTP 302.*api_url"):
        client_of(clean_portal).get(LIST, traffic=Traffic())


def test_a_run_that_is_redirected_says_so(clean_portal, elsewhere, tmp_path):
    clean_portal.faults([{"match": "list contacts", "status": 307, "headers": {"location": elsewhere.url}}])
    settings = {"api_url": clean_portal.url, "access_token": clean_portal.token, "objects": ["contacts", "divisions"]}
    run = run_tap(tmp_path, settings)
    assert run.returncode == 1
    assert "contacts: GET" in run.log
    assert "was redirected to" in run.log
    assert "Traceback" not in run.log
    assert (len(run.records("divisions")), elsewhere.requests) == (6, [])


# Replies

PASSING = (
    {"status": 488}, {"body": ""}, {"body": "<html>Just a moment...</html>"}, {"cut": "short"}, {"body": "not JSON"},
    {"body": "[]"}, {"body": "null"}, {"body": '"text"'}, {"body": "1"}, {"body": "[" * 100_000}, {"body": "\x00"},
    {"body": '{"results": NaN}'}, {"headers": {"content-encoding": "gzip"}}, {"headers": {"content-encoding": "br"}},
    {"gzip": True, "cut": "body"},
)  # fmt: skip


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: str(fault)[:40])
def test_an_unreadable_reply_is_retried(clean_portal, fault):
    clean_portal.faults([{"nth": 1, **fault}])
    traffic = Traffic()
    assert len(client_of(clean_portal).get(LIST, traffic=traffic)["results"]) == 10
    assert (traffic.requests, traffic.retries) == (2, 1)


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: str(fault)[:40])
def test_an_unreadable_token_reply_is_retried(clean_portal, fault):
    clean_portal.faults([{"nth": 1, "match": "oauth token", **fault}])
    assert oauth_of(clean_portal.url).value()
    assert clean_portal.log()["total"] == 2


@pytest.mark.parametrize(
    "reply",
    [
        {}, {"access_token": None}, {"access_token": 5}, {"access_token": ""}, {"access_token": ["x"]},
        {"access_token": "line\nbreak"}, {"access_token": "na\u00efve"},
    ],
    ids=str,
)  # fmt: skip
def test_a_token_reply_without_a_token_is_retried(clean_portal, reply):
    clean_portal.faults([{"nth": 1, "match": "oauth token", "body": json.dumps(reply)}])
    assert oauth_of(clean_portal.url).value()


@pytest.mark.parametrize("life", [None, "1800", -5, 0, 1e300, True, [], {}])
def test_the_lifetime_of_a_token_may_have_any_value(clean_portal, life):
    clean_portal.faults([{"match": "oauth token", "edit": {"expires_in": life, "refresh_token": life}}])
    token = oauth_of(clean_portal.url)
    assert token.value() == token.value()
    assert clean_portal.log()["total"] == 1


def test_a_reply_that_stays_unreadable_ends_in_one_sentence(clean_portal):
    clean_portal.faults([{"body": "<html>a login page</html>"}])
    with pytest.raises(HubSpotError, match=r"No usable answer to GET .* in 3 tries .*not JSON.*api_url"):
        client_of(clean_portal).get(LIST, traffic=Traffic())


def test_a_reply_of_another_shape_is_given_up_soon(clean_portal):
    client = client_of(clean_portal)
    client.get(LIST, traffic=Traffic())
    clean_portal.faults([{"body": "[]"}])
    started, traffic = time.monotonic(), Traffic()
    with pytest.raises(HubSpotError, match="not a JSON object"):
        client.get(LIST, traffic=traffic)
    assert traffic.requests == 4
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "fault", [{"dripSeconds": 0.05}, {"endless": "body"}, {"endless": "body", "dripSeconds": 0.01}, {"endless": "head"}]
)
def test_a_reply_that_does_not_end_times_out(clean_portal, fault):
    clean_portal.faults([fault])
    started = time.monotonic()
    with pytest.raises(HubSpotError, match=r"ReadTimeout|more than 128 MB"):
        client_of(clean_portal, 0.1).get(LIST, traffic=Traffic())
    assert time.monotonic() - started < 15


def test_a_token_reply_that_trickles_in_times_out(clean_portal):
    clean_portal.faults([{"match": "oauth token", "dripSeconds": 0.03, "times": 1}])
    started = time.monotonic()
    assert oauth_of(clean_portal.url, 0.1).value()
    assert time.monotonic() - started < 5, "its 400 bytes take twelve seconds"


def test_a_slow_reply_is_read_completely(clean_portal):
    clean_portal.faults([{"dripSeconds": 0.01, "body": '{"results":   []}'}])
    assert client_of(clean_portal, 1).get(LIST, traffic=Traffic()) == {"results": []}


def test_a_compressed_reply_is_decompressed(clean_portal):
    client, traffic = client_of(clean_portal), Traffic()
    plain = client.get(LIST, traffic=traffic)
    clean_portal.faults([{"gzip": True}])
    assert client.get(LIST, traffic=traffic) == plain
    clean_portal.faults([{"bombMegabytes": 5}])
    assert client.get(LIST, traffic=traffic) == plain


def test_a_decompression_bomb_is_not_unpacked(clean_portal):
    clean_portal.faults([{"bombMegabytes": 300}])
    tracemalloc.start()
    try:
        with pytest.raises(HubSpotError, match="has more than 128 MB"):
            client_of(clean_portal, 60).get(LIST, traffic=Traffic())
        assert tracemalloc.get_traced_memory()[1] < 2.2 * MOST_BYTES
    finally:
        tracemalloc.stop()


# Headers

NONSENSE = ("0", "-5", "1", "1e3", "\u00b2", "\u00bd", "3.5", "9" * 400, "", " ", "many", "0x10", "1_000", "+7")
HEADERS = ("X-HubSpot-RateLimit-Max", "X-HubSpot-RateLimit-Daily", "X-HubSpot-RateLimit-Daily-Remaining", "Date")


@pytest.mark.parametrize("name", HEADERS)
def test_a_number_in_a_header_may_have_any_value(clean_portal, name):
    client = client_of(clean_portal)
    for text in NONSENSE:
        clean_portal.faults([{"headers": {name: text}}])
        started = time.monotonic()
        assert len(client.get(LIST, traffic=Traffic())["results"]) == 10, text
        assert time.monotonic() - started < 2, text


@pytest.mark.parametrize("text", [*NONSENSE[:-1], "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_an_invalid_retry_after_is_ignored(clean_portal, text):
    clean_portal.faults([{"nth": 1, "status": 503, "headers": {"retry-after": text}}])
    client, started = client_of(clean_portal), time.monotonic()
    if text == "9" * 400:
        with pytest.raises(UnreachableError, match="wait 1000000000 seconds"):
            client.get(LIST, traffic=Traffic())
    else:
        client.get(LIST, traffic=Traffic())
    assert time.monotonic() - started < 3
