"""An HTTPS CONNECT proxy in front of the sandbox: tunnels to HubSpot's hosts end in this process.

It is for clients with a fixed base address: they need only `HTTPS_PROXY` and the temporary authority. Tunnels to other
hosts are refused, so no request leaves the machine. This process serves the requests of a tunnel itself, without
another connection.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from hubspot_sandbox.server.certificates import HOSTS

_HEAD_LIMIT_SECONDS = 30
_HEAD_LIMIT_BYTES = 65_536
_END_OF_HEAD = b"\r\n\r\n"


class Proxy:
    """Accepts tunnels on `sock`; `serving` makes the protocol that serves a tunnel."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, serving: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        self._sock = sock
        self.context = context
        self.serving = serving
        self.tunnels: set[_Tunnel] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Start accepting connections."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Tunnel(self), sock=self._sock)

    def stop(self) -> None:
        """Stop accepting connections and close the tunnels."""
        if self._server is not None:
            self._server.close()
        for tunnel in list(self.tunnels):
            tunnel.end()


class _Tunnel(asyncio.Protocol):
    """A connection before its encryption: reads the CONNECT request and answers it."""

    _transport: asyncio.Transport
    _timer: asyncio.TimerHandle

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._head = b""
        self._encrypting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected; it has 30 seconds to send its CONNECT request."""
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(_HEAD_LIMIT_SECONDS, self.end)
        self._proxy.tunnels.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client has disconnected before the tunnel was encrypted."""
        self._timer.cancel()
        self._proxy.tunnels.discard(self)

    def end(self) -> None:
        """Close the connection."""
        if self._encrypting is not None:
            self._encrypting.cancel()
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Collect the head of the request; answer it when it is complete."""
        self._head += data
        if _END_OF_HEAD not in self._head:
            if len(self._head) > _HEAD_LIMIT_BYTES:
                self.end()
            return
        words = self._head.split(b"\r\n", 1)[0].decode("latin-1").split()
        if len(words) != 3 or words[0] != "CONNECT":
            self._refuse("405 Only CONNECT is served here")
        elif words[1].rpartition(":")[0].lower() not in HOSTS:
            self._refuse("403 Only HubSpot hosts are served here")
        else:
            self._transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._encrypting = asyncio.get_running_loop().create_task(self._encrypt())

    def _refuse(self, status: str) -> None:
        self._transport.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        self._transport.close()

    async def _encrypt(self) -> None:
        protocol = self._proxy.serving()
        try:
            tls = await asyncio.get_running_loop().start_tls(
                self._transport, protocol, self._proxy.context, server_side=True
            )
        except (OSError, TimeoutError):  # the client gave up or does not trust the authority
            self._transport.abort()
            return
        finally:
            self._timer.cancel()
            self._proxy.tunnels.discard(self)
        if tls is not None:
            protocol.connection_made(tls)
