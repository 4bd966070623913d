"""A backlog of more messages than there are packet ids (65,535), in flight when the ingester dies.

Once acknowledgements come, mosquitto 2.0 sends all of a session's backlog at once, whatever the
receive maximum, and so uses packet ids twice. What is tested: each of these messages is one of
its own, is stored, and is acknowledged, without waiting for another connection.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults.run import judgement, session_exists
from tests.faults.scale import only_long, seed
from tests.faults.services import Services
from tests.faults.world import World, connect, open_world, until

MESSAGES = 100_000


@only_long
@pytest.mark.parametrize("source", ["mqtt5", "aiomqtt"])
async def test_a_backlog_beyond_the_packet_ids_is_drained(
    own_services: Services, tmp_path: Path, source: str
) -> None:
    """Almost all of it was sent and not acknowledged, and is sent again."""
    number = seed()
    async with open_world(own_services, tmp_path, number) as world:
        await world.run_ingester(source, 1)
        await session_exists(world)
        await world.ingester.stop()
        await _publish_backlog(world)
        await world.run_ingester(source, 1)
        await world.until_ingesting()
        locker = await connect(world.services)
        async with locker.transaction():
            await locker.execute("LOCK TABLE radio_sample IN ACCESS EXCLUSIVE MODE")
            await _all_is_in_flight(world)
            await world.ingester.kill(world.ingester.processes)
        await locker.close()
        await judgement(world, number)


async def _publish_backlog(world: World) -> None:
    sent = 0
    while sent < MESSAGES:
        window = world.traffic.window()
        for envelope in window:
            await world.publisher.publish(envelope)
        sent += len(window)
    await world.publisher.settled(60)


async def _all_is_in_flight(world: World) -> None:
    """Nothing comes any more, for some seconds."""
    passed, since = 0, time.monotonic()

    async def has_stopped() -> bool:
        nonlocal passed, since
        if (now := world.broker_link.passed["to_client"]) - passed > 1_000:
            passed, since = now, time.monotonic()
        return passed > MESSAGES * 100 and time.monotonic() - since > 3

    await until(has_stopped, "the backlog is not sent", 90)
