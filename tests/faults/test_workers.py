"""What several workers, who share one subscription, must not lose.

One loss is open, and is the broker's: mosquitto 2.0 saves sessions without their shared
subscriptions, so what it takes between its restart and the workers' return has no subscriber
(`UnheardError`). A single worker's plain subscription is saved (`test_chaos`).
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.run import UnheardError, judged
from tests.faults.scale import only_long, seed
from tests.faults.services import Services
from tests.faults.world import open_world, until

ONE, TWO = ("mqtt5", 1), ("mqtt5", 2)


@only_long
async def test_another_number_of_workers_loses_nothing(
    own_services: Services, tmp_path: Path
) -> None:
    """From one process to two workers, while messages are published."""
    number = seed()
    async with open_world(own_services, tmp_path, number) as world:

        async def work() -> bool:
            return len(world.ingester.processes) == 1 + world.workers

        async def change() -> None:
            await world.run_ingester(*TWO)
            await until(work, "the workers are not started", 30)
            await world.until_ingesting()

        await judged(world, ONE, number, change)


@only_long
@pytest.mark.xfail(
    strict=True,
    raises=UnheardError,
    reason="mosquitto 2.0 saves the sessions and forgets their shared subscriptions",
)
async def test_workers_lose_nothing_when_the_broker_restarts(
    own_services: Services, tmp_path: Path
) -> None:
    """The broker is back before the workers are: it must keep for them what is published."""
    number = seed()
    async with open_world(own_services, tmp_path, number) as world:

        async def restart() -> None:
            await world.until_ingesting()
            await world.until_connected()
            world.broker_link.refuse()
            await world.services.stop_broker()
            await world.services.start()
            await asyncio.sleep(3)  # the publisher is there after one
            await world.broker_link.listen()
            await world.until_ingesting()

        await judged(world, TWO, number, restart)
