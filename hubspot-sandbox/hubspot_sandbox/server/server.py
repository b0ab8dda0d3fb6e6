"""The server process: a loopback socket, uvicorn, and the end by a signal or after an idle time."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hubspot_sandbox.sandbox.sandbox import Sandbox
from hubspot_sandbox.server.app import TRANSPORT, App

if TYPE_CHECKING:
    from hubspot_sandbox.server.proxy import Proxy

DEFAULT_PORT = 8642


class ListenError(Exception):
    """The server cannot listen on this address; the message says why."""


@dataclass(frozen=True)
class Listening:
    """The addresses to listen on, and the idle minutes after which the server stops (0: never)."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    idle_minutes: float = 0.0
    allow_remote: bool = False
    proxy_port: int | None = None
    ca_file: str = "hubspot-sandbox-ca.pem"


class CuttableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also gives the application its connection, so that it can cut it.

    It acknowledges received data at once. Behind a proxy, a client sends the body of a request only after the head has
    been acknowledged (urllib3 leaves Nagle's algorithm on there), and Linux delays that acknowledgement by 40 ms. Every
    POST through the proxy would be slower than HubSpot by that time.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wrap the application, so that the scope of every request has this connection."""
        super().connection_made(transport)
        application = self.app

        async def with_transport(scope: Any, receive: Any, send: Any) -> None:
            scope[TRANSPORT] = transport
            await application(scope, receive, send)

        self.app = with_transport
        self._sock = transport.get_extra_info("socket")

    def data_received(self, data: bytes) -> None:
        """Acknowledge the data, then read it; the kernel forgets TCP_QUICKACK, so it is set every time."""
        if sys.platform == "linux":
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        super().data_received(data)


def bind(listening: Listening, port: int) -> socket.socket:
    """Return a listening socket; raise ListenError for an address that other machines can reach, unless allowed."""
    try:
        address = ipaddress.ip_address(listening.host)
    except ValueError:
        if listening.host != "localhost":
            raise ListenError(f"--host takes an IP address or localhost, not {listening.host!r}.") from None
        address = ipaddress.ip_address("127.0.0.1")
    if not address.is_loopback and not listening.allow_remote:
        raise ListenError(f"{listening.host} is not a loopback address; add --allow-remote to listen on it anyway.")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((str(address), port))
    except OSError as error:
        sock.close()
        raise ListenError(f"Port {port} on {listening.host} cannot be used: {error.strerror}.") from error
    sock.listen(512)
    return sock


@dataclass(frozen=True)
class Sockets:
    """The listening sockets of the API and, if requested, of the proxy."""

    api: socket.socket
    proxy: socket.socket | None = None

    @classmethod
    def of(cls, listening: Listening) -> Sockets:
        """Bind the sockets; ListenError if that fails."""
        api = bind(listening, listening.port)
        return cls(api, None if listening.proxy_port is None else bind(listening, listening.proxy_port))


async def _run(sandbox: Sandbox, listening: Listening, socks: Sockets, ready: Callable[[], None]) -> int:
    app = App(sandbox)
    config = uvicorn.Config(
        app,
        http=CuttableProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        date_header=False,  # the sandbox has its own clock and sends its own header
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[socks.api]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.002)
    ended_by: list[int] = []

    def end(signal_number: int) -> None:
        ended_by.append(signal_number)
        server.should_exit = server.force_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    proxy: Proxy | None = None
    if socks.proxy is not None:
        # Imported here, because loading the library for certificates takes 0.1 s and few users need the proxy.
        from hubspot_sandbox.server.certificates import tls_for_hubspot
        from hubspot_sandbox.server.proxy import Proxy

        tls = tls_for_hubspot(Path(listening.ca_file))
        proxy = Proxy(socks.proxy, tls, lambda: CuttableProtocol(config, server.server_state, {}, loop))
        await proxy.start()
    ready()
    while not serving.done():
        await asyncio.wait([serving], timeout=1.0)
        if listening.idle_minutes and time.monotonic() - app.last_asked > listening.idle_minutes * 60:
            server.should_exit = server.force_exit = True
    if proxy is not None:
        proxy.stop()
    await serving
    return 130 if signal.SIGINT in ended_by else 0


def run(sandbox: Sandbox, listening: Listening, socks: Sockets, ready: Callable[[], None]) -> int:
    """Serve until a signal or the idle time; call `ready` when requests are answered. Return the exit code."""
    config = uvicorn.Config(app="", loop="auto")
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        return runner.run(_run(sandbox, listening, socks, ready))
