"""Brokers for tests of the sources: a mosquitto of a test's own, and one that plays a part."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from shudao.local.binaries import find_mosquitto
from shudao.local.process import free_ports, is_listening, wait_until

CLOSE = b""
"""In a script: close the connection."""


class Mosquitto:
    """A real broker that a test may kill."""

    def __init__(self, folder: Path, settings: str) -> None:
        self.port = next(free_ports(None, str(folder)))
        as_root = "user root\n" if os.geteuid() == 0 else ""
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"{as_root}listener {self.port} 127.0.0.1\nmax_queued_messages 0\n"
            f"max_inflight_messages 0\npersistence_location {folder}/\n{settings}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        process = subprocess.Popen(
            [find_mosquitto(), "-c", self._config], stderr=subprocess.DEVNULL
        )
        self._process = process
        assert wait_until(lambda: is_listening(process.pid, self.port), 10)

    def stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        assert self._process is not None
        self._process.send_signal(by)
        self._process.wait(10)


@contextlib.contextmanager
def mosquitto(folder: Path, settings: str = "allow_anonymous true") -> Iterator[Mosquitto]:
    broker = Mosquitto(folder, settings)
    try:
        yield broker
    finally:
        broker.stop()


class Scripted:
    """A broker that answers the packets of its n-th connection with the n-th script.

    An answer for each packet: bytes, `CLOSE`, or None for silence; what follows the script is
    answered with silence, too. No real broker can be made to send what these tests need.
    """

    def __init__(self, scripts: Sequence[Sequence[bytes | None]]) -> None:
        self.port = 0
        self.open = 0
        """Connections now."""
        self.received: list[list[bytes]] = []
        """The packets of each connection."""
        self._scripts = scripts

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packets: list[bytes] = []
        self.received.append(packets)
        self.open += 1
        script = list(self._scripts[min(len(self.received), len(self._scripts)) - 1])
        try:
            while packet := await read_packet(reader):
                packets.append(packet)
                answer = script.pop(0) if script else None
                if answer == CLOSE:
                    break
                writer.write(answer or b"")
        finally:
            self.open -= 1
            writer.close()


@contextlib.asynccontextmanager
async def scripted(*scripts: Sequence[bytes | None]) -> AsyncIterator[Scripted]:
    broker = Scripted(scripts)
    server = await asyncio.start_server(broker.serve, "127.0.0.1")
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()


async def read_packet(reader: asyncio.StreamReader) -> bytes:
    """One MQTT packet; empty at the end."""
    try:
        packet, size, shift = await reader.readexactly(1), 0, 0
        while True:
            byte = await reader.readexactly(1)
            packet += byte
            size |= (byte[0] & 0x7F) << shift
            shift += 7
            if byte[0] < 0x80:
                return packet + await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return b""
