"""HTTP itself: one request out, one whole answer in, bounded in time and in memory.

Proxies and certificates come from the environment as usual (HTTPS_PROXY, REQUESTS_CA_BUNDLE). Logins do not: by
default `requests` would replace the token by the host's entry in ~/.netrc. Redirects are not followed: HubSpot
documents none, and the token must go to one host only.
"""

from __future__ import annotations

import http.client
import io
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from tap_hubspot_dw.errors import HubSpotError
from tap_hubspot_dw.http.replies import Answer
from tap_hubspot_dw.shown import shown

MOST_BYTES = 128_000_000  # of a reply; 1,000 ids with 500 associations each (documented) are smaller
_LONGEST_CONNECT_SECONDS = 10.0
_SILENCES = 5  # the whole reply may take this many times the timeout of one silence
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class NoAnswerError(Exception):
    """No complete answer arrived; a retry may help."""


class RedirectedError(HubSpotError):
    """The answer is a redirect, which the tap does not follow."""


class Transport:
    """Sends requests, each with the credentials it is given. Thread-safe."""

    def __init__(self, *, timeout_seconds: float, user_agent: str) -> None:
        self._timeout = (min(_LONGEST_CONNECT_SECONDS, timeout_seconds), timeout_seconds)
        self._user_agent = user_agent
        self._local = threading.local()

    def answer(
        self,
        method: str,
        url: str,
        *,
        token: str | None = None,
        data: bytes | Mapping[str, str | None] | None = None,
        content_type: str | None = None,
        head_came: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Return the answer with its body decompressed; `head_came` is called before the body is read.

        Raises:
            NoAnswerError: no answer arrived, an incomplete one, or too slowly.
            RedirectedError: the answer is a redirect.
            HubSpotError: the answer is larger than `MOST_BYTES`.
        """
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if content_type:
            headers["Content-Type"] = content_type
        try:
            try:
                reply = self._session().request(
                    method, url, data=data, headers=headers, timeout=self._timeout, stream=True
                )
            finally:
                head_came()
            with reply:
                content = _content(reply)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            if isinstance(error, ValueError):  # a URL or a header that cannot be sent: a retry would not help
                raise
            raise NoAnswerError(type(error).__name__) from error
        if 300 <= reply.status_code < 400:
            raise RedirectedError(_redirected(method, url, reply))
        return Answer(reply.status_code, reply.headers, content)

    def _session(self) -> requests.Session:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _Session()
            session.auth = _unchanged
            session.headers["User-Agent"] = self._user_agent
            session.headers["Accept-Encoding"] = "gzip"  # which `_content` can decompress
            for scheme in ("http://", "https://"):
                session.mount(scheme, _Adapter())
        return cast("requests.Session", session)


class _Session(requests.Session):
    """Does not follow redirects, nor look at their target: for that `requests` would read the whole body."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002  requests' signature
        return None


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Return a request unchanged: without any `auth`, `requests` would take logins from ~/.netrc."""
    return request


def _redirected(method: str, url: str, reply: requests.Response) -> str:
    asked, target = urlsplit(url), reply.headers.get("Location", "")
    try:
        host = shown(urlsplit(urljoin(url, target)).netloc.rpartition("@")[2])
    except ValueError:
        host = "an invalid address"
    return (
        f"{method} {asked.scheme}://{asked.netloc}{asked.path} was redirected to {host} (HTTP {reply.status_code}), "
        "which the tap does not follow, as the token is for HubSpot only: check the setting api_url, and any proxy "
        "between this machine and HubSpot."
    )


def _content(reply: requests.Response) -> bytes:
    """Return the decompressed body.

    It is read and decompressed in one piece, up to `MOST_BYTES`; `requests` would join a hundred small ones.
    """
    encoding = reply.headers.get("Content-Encoding", "identity").strip().lower()
    parts, size = [], 0
    while piece := reply.raw.read(MOST_BYTES + 1 - size, decode_content=False):
        parts.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            raise _too_large(reply)
    content = parts[0] if len(parts) == 1 else b"".join(parts)
    if encoding in {"identity", ""} or not content:
        return content
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise NoAnswerError(f"a reply in the encoding {shown(encoding)[:40]}, which was not requested")
    return _decompressed(content, reply)


def _decompressed(content: bytes, reply: requests.Response) -> bytes:
    parts, size = [], 0
    while content:  # a gzip stream may have several members
        unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            part = unpacker.decompress(content, MOST_BYTES + 1 - size)
        except zlib.error as error:
            raise NoAnswerError("a reply that does not decompress") from error
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise _too_large(reply)
        if not unpacker.eof:
            raise NoAnswerError("a reply that breaks off")
        content = unpacker.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(reply: requests.Response) -> HubSpotError:
    parts = urlsplit(reply.url)
    return HubSpotError(
        f"The reply to {reply.request.method} {parts.scheme}://{parts.netloc}{parts.path} has more than "
        f"{MOST_BYTES // 1_000_000} MB, so it was not read: lower page_size, or contact HubSpot's support.",
        reply={"correlationId": reply.headers.get("X-HubSpot-Correlation-Id")},
    )


# A reply that trickles in is never silent for long, so its total time is checked with every read.


class _Timed(io.RawIOBase):
    """The bytes of a socket until `seconds` have passed; then reading times out, as if the socket were silent."""

    def __init__(self, raw: io.RawIOBase, seconds: float) -> None:
        self._raw = raw
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._until:
            raise TimeoutError("the reply took too long")
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """A reply, head included, with a limit on its total time."""

    def __init__(self, sock: Any, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        silence = sock.gettimeout()
        if silence is not None:
            self.fp = io.BufferedReader(_Timed(self.fp.detach(), _SILENCES * silence))


class _Connection(HTTPConnection):
    response_class = _Response


class _TLSConnection(HTTPSConnection):
    response_class = _Response


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class _Adapter(HTTPAdapter):
    """Makes all connections, through proxies too, instances of the classes above."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        return manager
