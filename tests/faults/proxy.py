"""A TCP proxy that delays, throttles, holds and cuts: the cable between two processes.

What it has read and not yet passed on is *in flight*; a cut destroys it, as a broken cable would.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field

_CHUNK = 65_536


@dataclass(eq=False, slots=True)
class _Connection:
    """Two sockets and what is in flight between them."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    in_flight: Counter[str] = field(default_factory=Counter)
    """Bytes, by direction."""

    def abort(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()


@dataclass(eq=False, slots=True)
class Link:
    """Listens on ``port`` and connects each client to the target; made by `open_link`."""

    target: tuple[str, int]
    port: int = 0
    delay_s: float = 0.0
    """Before each piece is passed on."""
    bytes_per_s: float = float("inf")
    to_server: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is clear, nothing passes from the client to the server."""
    passed: Counter[str] = field(default_factory=Counter)
    """Bytes passed on, by direction: to_server, to_client."""
    destroyed: Counter[str] = field(default_factory=Counter)
    """Bytes that were in flight when a connection broke, by direction."""
    opened: int = 0
    closed: int = 0
    _connections: set[_Connection] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def in_flight(self) -> Counter[str]:
        """Bytes read and not yet passed on, of all connections, by direction."""
        return sum((c.in_flight for c in self._connections), Counter())

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._connections)

    def calm(self) -> None:
        """As fast as the machine can."""
        self.delay_s, self.bytes_per_s = 0.0, float("inf")
        self.to_server.set()

    def cut(self) -> int:
        """Break all connections; returns how many of them had bytes in flight, now lost."""
        lossy = sum(c.in_flight.total() > 0 for c in self._connections)
        for connection in list(self._connections):
            connection.abort()
        return lossy

    async def listen(self) -> None:
        """Take connections, always on the same port."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Take no new connections until `listen`, as when nothing listens at the other end."""
        assert self._server is not None
        self._server.close()

    async def aclose(self) -> None:
        """Break all connections and listen no more."""
        self.refuse()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            server_reader, server = await asyncio.open_connection(*self.target)
        except OSError:
            client.transport.abort()
            return
        connection = _Connection(client, server)
        self._connections.add(connection)
        self.opened += 1
        pumps = [
            asyncio.ensure_future(self._pump(connection, reader, server, "to_server")),
            asyncio.ensure_future(self._pump(connection, server_reader, client, "to_client")),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections.discard(connection)
            self.closed += 1
            self.destroyed.update(connection.in_flight)
            connection.abort()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: str,
    ) -> None:
        with contextlib.suppress(OSError):  # the cable is cut
            while data := await reader.read(_CHUNK):
                connection.in_flight[direction] += len(data)
                await asyncio.sleep(self.delay_s + len(data) / self.bytes_per_s)
                if direction == "to_server":
                    await self.to_server.wait()
                writer.write(data)
                await writer.drain()
                connection.in_flight[direction] -= len(data)
                self.passed[direction] += len(data)


async def open_link(host: str, port: int) -> Link:
    """A calm link to that address, on a free port of loopback."""
    link = Link((host, port))
    link.calm()
    await link.listen()
    return link
