"""Everything a fault may touch: services, links, the ingester, the traffic, and what was seen."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from shudao.database.migrate import migrate
from tests.faults.ingester import SupervisedIngester
from tests.faults.numbered import register
from tests.faults.proxy import Link, open_link
from tests.faults.publisher import Publisher
from tests.faults.services import Services
from tests.faults.traffic import Traffic

CLIENT_ID = "chaos"
APPLICATION = "chaos-test"
"""What our own sessions call themselves, to be told from the ingester's."""
RECEIVE_MAXIMUM = 600
MOST_BEHIND = 20_000
AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass
class World:
    """One run: its parts, its dice, and its effects."""

    services: Services
    broker_link: Link
    database_link: Link
    ingester: SupervisedIngester
    publisher: Publisher
    traffic: Traffic
    rng: random.Random
    base_ms: int
    workers: int = 1
    """Of the ingester, as it is run now."""
    effects: Counter[str] = field(default_factory=Counter)
    """What the faults did, each counted where it was seen."""
    _session: asyncpg.Connection[Any] | None = None

    async def session(self) -> asyncpg.Connection[Any]:
        """Our own session, past the links; made again when the database was away."""
        if self._session is None or self._session.is_closed():
            self._session = await connect(self.services)
        return self._session

    async def ask(self, query: str, *arguments: Any) -> Any:
        """One value of the database; waits for a database that is away."""
        async with asyncio.timeout(30):
            while True:
                try:
                    return await (await self.session()).fetchval(query, *arguments)
                except AWAY:
                    await asyncio.sleep(0.1)

    async def committed(self) -> int:
        """Samples and refusals that the ledger knows."""
        return int(await self.ask("SELECT coalesce(sum(received), 0)::bigint FROM ingest_minute"))

    async def until_ingesting(self, patience_s: float = 60) -> None:
        """Wait until the ingester commits something, which proves that it got over what was."""
        before = await self.committed()

        async def has_committed() -> bool:
            return await self.committed() > before

        await until(has_committed, "the ingester commits nothing more", patience_s)

    async def until_close_behind(self) -> None:
        """Wait until the ingester is less than `MOST_BEHIND` samples behind the publisher.

        One that is killed whenever it has just begun would fall behind for ever.
        """

        async def is_close() -> bool:
            stored = "SELECT coalesce(sum(stored + quarantined), 0)::bigint FROM ingest_minute"
            behind = len(self.publisher.book.accepted_numbers) - int(await self.ask(stored))
            return behind < MOST_BEHIND

        await until(is_close, "the ingester does not catch up", 120)

    async def until_connected(self) -> None:
        """Wait until the ingester is connected to the broker with all its sessions, and heard it.

        That its socket stands is not enough: the broker may not know yet who it is.
        """
        link, heard = self.broker_link, -1

        async def is_connected() -> bool:
            nonlocal heard
            if link.connections < self.workers:
                heard = -1
            elif heard < 0:
                heard = link.passed["to_client"]
            return 0 <= heard < link.passed["to_client"]

        await until(is_connected, "the ingester does not connect again", 60)

    @property
    def client_ids(self) -> list[str]:
        """The sessions that the ingester has at the broker."""
        if self.workers == 1:
            return [CLIENT_ID]
        return [f"{CLIENT_ID}-{i + 1}" for i in range(self.workers)]

    async def run_ingester(self, source: str, workers: int) -> None:
        """Run it in this way from now on; stopped cleanly if it ran in another one."""
        if self.ingester.is_kept:
            await self.until_ingesting()
        self.workers = workers
        await self.ingester.change(
            "--client-id", CLIENT_ID, "--source", source, "--workers", str(workers),
            "--metrics-port", "0",
        )  # fmt: skip

    async def pause(self, longest_s: float) -> None:
        """Some time, by the dice."""
        await asyncio.sleep(self.rng.uniform(0, longest_s))


async def until(
    condition: Callable[[], Awaitable[bool]],
    otherwise: str,
    patience_s: float = 15,
    *,
    every_s: float = 0.02,
) -> None:
    """Look again and again until the condition holds; fails with ``otherwise`` if it does not."""
    deadline = time.monotonic() + patience_s
    while not await condition():
        assert time.monotonic() < deadline, f"{otherwise} (waited {patience_s:.0f} s)"
        await asyncio.sleep(every_s)


async def connect(services: Services) -> asyncpg.Connection[Any]:
    """A session of ours, past the links."""
    return await asyncpg.connect(
        services.addresses.database_url,
        timeout=10,
        server_settings={"application_name": APPLICATION},
    )


@asynccontextmanager
async def open_world(services: Services, folder: Path, seed: int) -> AsyncIterator[World]:
    """Services with schema and devices, links, a publisher; all of it ended afterwards.

    The ingester is not started yet.
    """
    rng, base_ms = random.Random(seed), time.time_ns() // 1_000_000
    await asyncio.to_thread(migrate, services.addresses.database_url)
    session = await connect(services)
    await register(session)
    database, mqtt = map(urlsplit, (services.addresses.database_url, services.addresses.mqtt_url))
    database_link = await open_link(str(database.hostname), database.port or 5432)
    broker_link = await open_link(str(mqtt.hostname), mqtt.port or 1883)
    environment = {
        "SHUDAO_HOME": str(services.home),
        "SHUDAO_DATABASE_URL": database._replace(
            netloc=f"{database.username}:{database.password}@127.0.0.1:{database_link.port}"
        ).geturl(),
        "SHUDAO_MQTT_URL": f"mqtt://127.0.0.1:{broker_link.port}",
        "SHUDAO_BATCH_MESSAGES": "300",
        "SHUDAO_BATCH_MS": "50",
        "SHUDAO_RECEIVE_MAXIMUM": str(RECEIVE_MAXIMUM),
    }
    ingester = SupervisedIngester(environment, folder / "ingester.log")
    publisher = Publisher(services.addresses.mqtt_url)
    world = World(
        services, broker_link, database_link, ingester, publisher, Traffic(rng, base_ms),
        rng, base_ms, _session=session,
    )  # fmt: skip
    try:
        yield world
    finally:
        ingester.destroy()
        publisher.close()
        await broker_link.aclose()
        await database_link.aclose()
        (await world.session()).terminate()
