"""An HTTPS CONNECT proxy that is HubSpot to its clients: tunnels to HubSpot's hosts end in this sandbox.

For programs whose base address cannot be set: they get `HTTPS_PROXY` and the throw-away authority, nothing else.
Tunnels to any other host are refused, so nothing ever leaves the machine.
"""

from __future__ import annotations

import asyncio
import socket
import ssl

from hubspot_sandbox.certificates import HOSTS

_CHUNK = 65_536
_HEAD_LIMIT_SECONDS = 30


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    except (ConnectionError, ssl.SSLError, asyncio.CancelledError):
        return  # either side going away ends the tunnel; nobody is left to be told
    finally:
        writer.close()


async def _refuse(writer: asyncio.StreamWriter, status: str) -> None:
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
    writer.close()


class Proxy:
    """Accepts tunnels on `sock` and joins them to the sandbox at (host, port)."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str, port: int) -> None:
        self._sock = sock
        self._context = context
        self._target = (host, port)
        self._tunnels: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to accept."""
        self._server = await asyncio.start_server(self._accept, sock=self._sock)

    async def stop(self) -> None:
        """End the tunnels and stop accepting."""
        if self._server is not None:
            self._server.close()
        for tunnel in self._tunnels:
            tunnel.cancel()
        await asyncio.gather(*self._tunnels, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tunnels.add(task)
            task.add_done_callback(self._tunnels.discard)
        try:
            await self._tunnel(reader, writer)
        except (ConnectionError, ssl.SSLError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.close()  # a client that gave up, does not trust us, or does not speak HTTP

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_LIMIT_SECONDS)
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split()
        if len(words) != 3 or words[0] != "CONNECT":
            await _refuse(writer, "405 Only CONNECT is served here")
            return
        host = words[1].rpartition(":")[0].lower()
        if host not in HOSTS:
            await _refuse(writer, "403 Only HubSpot hosts are served here")
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await writer.start_tls(self._context)
        inner_reader, inner_writer = await asyncio.open_connection(*self._target)
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
