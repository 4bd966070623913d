"""The services that get hurt: a TimescaleDB and a mosquitto in a home of the test's own."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from shudao.local import LocalServices, broker, down, place, postgres, up
from shudao.local.process import wait_until
from tests.faults.processes import children, is_alive, send


class Services:
    """Start, stop, kill and freeze what a home holds. Blocking calls go to a thread."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.addresses = up(home)

    @property
    def _place(self) -> place.Place:
        return place.existing(self.home)

    async def start(self) -> LocalServices:
        """Start what does not run; the addresses must stay, for the links lead there."""
        found = await asyncio.to_thread(up, self.home)
        assert found == self.addresses, f"another program took a port: {found}"
        return found

    def delete(self) -> None:
        """Stop everything, thawed before, and delete all data."""
        for pid in self.database_pids():
            send(pid, signal.SIGCONT)
        down(self.home, delete_data=True)

    def database_pids(self) -> list[int]:
        """The postmaster and all its children; empty when it does not run."""
        pid = postgres.running_pid(self._place)
        return [] if pid is None else [pid, *children(pid)]

    async def kill_database(self) -> int:
        """kill -9 of the postmaster and its children; returns how many died."""
        pids = self.database_pids()
        for pid in pids:
            send(pid, signal.SIGKILL)
        gone = await asyncio.to_thread(wait_until, lambda: not any(map(is_alive, pids)), 10)
        assert gone, "the database survives kill -9"
        return len(pids)

    async def stop_database(self) -> bool:
        """A clean, fast stop, as for a restart; whether it ran."""
        return await asyncio.to_thread(postgres.stop, self._place)

    async def stop_broker(self) -> bool:
        """SIGTERM, upon which it saves; whether it ran."""
        return await asyncio.to_thread(broker.stop, self._place)

    def freeze_database(self) -> list[int]:
        """SIGSTOP: it says nothing more, and its connections stay open; returns the pids."""
        pids = self.database_pids()
        for pid in pids:
            send(pid, signal.SIGSTOP)
        return pids

    def thaw(self, pids: list[int]) -> None:
        """SIGCONT."""
        for pid in pids:
            send(pid, signal.SIGCONT)

    async def database_answers(self, within_s: float = 1.0) -> str:
        """What a new session meets: "yes", "refused" or "silent"."""
        try:
            async with asyncio.timeout(within_s):
                session = await asyncpg.connect(self.addresses.database_url, timeout=within_s)
                await session.close()
        except TimeoutError:
            return "silent"
        except (OSError, asyncpg.PostgresError):
            return "refused"
        return "yes"

    async def broker_listens(self) -> bool:
        """Whether a new connection to the broker comes about."""
        url = urlsplit(self.addresses.mqtt_url)
        try:
            _, writer = await asyncio.open_connection(url.hostname, url.port)
        except OSError:
            return False
        writer.close()
        return True
