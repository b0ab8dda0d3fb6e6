"""HTTP itself: one request out, one whole answer in, bounded in time and in memory.

Proxies and certificates come from the environment as everywhere (HTTPS_PROXY, REQUESTS_CA_BUNDLE). Logins do not: by
default requests would put what ~/.netrc has for the host in place of the token. Redirects are not followed: HubSpot
documents none, and a token goes to one host only.
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

MOST_BYTES = 128_000_000  # of a reply; that of 1,000 ids with 500 associations each (documented) has less
_LONGEST_CONNECT_SECONDS = 10.0
_SILENCES = 5  # a reply may take so many times as long as it may be silent
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class NoAnswerError(Exception):
    """No whole answer came; another try may help."""


class RedirectedError(HubSpotError):
    """The answer is to be found elsewhere, where the tap does not go."""


class Transport:
    """Sends requests, each with the credentials it is given; safe to use from several threads."""

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
        """Return what comes back, with its body decompressed; `head_came` is called before the body is read.

        Raises:
            NoAnswerError: nothing came, not all of it, or it took too long.
            RedirectedError: it is a redirect.
            HubSpotError: it is larger than any reply should be.
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
            if isinstance(error, ValueError):  # a URL or a header that cannot be sent: no other try will help
                raise
            raise NoAnswerError(type(error).__name__) from error
        if 300 <= reply.status_code < 400:
            raise RedirectedError(_redirected(method, url, reply))
        return Answer(reply.status_code, reply.headers, content)

    def _session(self) -> requests.Session:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _Session()
            session.auth = _as_it_is
            session.headers["User-Agent"] = self._user_agent
            session.headers["Accept-Encoding"] = "gzip"  # what `_content` can undo
            for scheme in ("http://", "https://"):
                session.mount(scheme, _Adapter())
        return cast("requests.Session", session)


class _Session(requests.Session):
    """Follows no redirect, nor looks where it leads: for that requests would read the whole body."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002  requests' signature
        return None


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave a request as it is: requests takes logins from ~/.netrc for those without any `auth`."""
    return request


def _redirected(method: str, url: str, reply: requests.Response) -> str:
    asked, target = urlsplit(url), reply.headers.get("Location", "")
    try:
        host = shown(urlsplit(urljoin(url, target)).netloc.rpartition("@")[2])
    except ValueError:
        host = "an address that is none"
    return (
        f"{method} {asked.scheme}://{asked.netloc}{asked.path} was redirected to {host} (HTTP {reply.status_code}), "
        "which the tap does not follow, for the token is HubSpot's only: check the setting api_url, and what stands "
        "between this machine and HubSpot."
    )


def _content(reply: requests.Response) -> bytes:
    """Return the decompressed body.

    It is read in one piece, as far as a reply may go, and decompressed in one: requests would join a hundred.
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
        raise NoAnswerError(f"a reply in the encoding {shown(encoding)[:40]}, which was not asked for")
    return _decompressed(content, reply)


def _decompressed(content: bytes, reply: requests.Response) -> bytes:
    parts, size = [], 0
    while content:  # a gzip text may consist of several
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
        f"{MOST_BYTES // 1_000_000} MB, so it was not read: lower page_size, and if it stays tell HubSpot's support.",
        reply={"correlationId": reply.headers.get("X-HubSpot-Correlation-Id")},
    )


# A reply that drips is never silent for long: how long all of it may take has to be looked at with every piece.


class _Timed(io.RawIOBase):
    """What comes from a socket, for so many seconds; then it is as if it were silent."""

    def __init__(self, raw: io.RawIOBase, seconds: float) -> None:
        self._raw = raw
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._until:
            raise TimeoutError("the reply takes too long")
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """A reply, its head included, that is over in good time."""

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
    """Lets connections, also those by way of a proxy, be of the classes above."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        return manager
