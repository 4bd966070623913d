"""A proxy that swallows PUBLISH packets, and acknowledges them itself: some middleboxes do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.ingest.brokers import read_packet


@dataclass
class Liar:
    """Between clients and a broker; ``share`` of the messages never arrive."""

    target: str
    share: float
    port: int = 0
    swallowed: int = 0
    _random: random.Random = field(default_factory=lambda: random.Random(2018))

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to = urlsplit(self.target)
        back, out = await asyncio.open_connection(to.hostname, to.port)
        answers = asyncio.create_task(self._pass_back(back, writer))
        while packet := await read_packet(reader):
            if packet[0] & 0xF0 == 0x30 and self._random.random() < self.share:
                self.swallowed += 1
                if packet[0] & 0x06:
                    writer.write(b"\x40\x02" + _packet_id(packet))
            else:
                out.write(packet)
                await out.drain()
        out.close()
        await answers

    async def _pass_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while packet := await read_packet(reader):  # whole ones: a lie must not come in between
            writer.write(packet)
            await writer.drain()
        writer.close()


def _packet_id(packet: bytes) -> bytes:
    start = 2 if packet[1] < 0x80 else 3
    after = start + 2 + int.from_bytes(packet[start : start + 2])
    return packet[after : after + 2]


@asynccontextmanager
async def lying(target: str, share: float) -> AsyncIterator[Liar]:
    liar = Liar(target, share)
    server = await asyncio.start_server(liar.serve, "127.0.0.1")
    liar.port = server.sockets[0].getsockname()[1]
    try:
        yield liar
    finally:
        server.close()
