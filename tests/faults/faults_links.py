"""Faults of the cables: slow, throttled, and cut with bytes in flight, one of which may be the
COMMIT whose answer never arrives.

What is tested: a batch whose fate is unknown is tried again, and counts once; a PUBACK that was
lost costs a redelivery and nothing else.
"""

from __future__ import annotations

import asyncio

from tests.faults.proxy import Link
from tests.faults.world import World, until


async def cut_broker_link(world: World) -> None:
    """Break the connection to the broker while bytes are under way."""
    await world.until_ingesting()
    await world.until_connected()
    await _cut(world, world.broker_link, "cut_broker_link")


async def cut_database_link(world: World) -> None:
    """Break the connections to the database while bytes are under way."""
    await world.until_ingesting()
    await _cut(world, world.database_link, "cut_database_link")


async def _cut(world: World, link: Link, fault: str) -> None:
    await world.pause(0.5)

    async def is_busy() -> bool:
        return link.in_flight.total() > 0

    link.delay_s = max(link.delay_s, 0.005)  # so that there is something under way
    await until(is_busy, "nothing passes over the link")
    lossy = link.cut()
    assert lossy > 0
    world.effects[f"{fault}: connections cut with bytes in flight"] += lossy
    world.effects[fault] += 1


async def disturb_links(world: World) -> None:
    """For ever: new delays and rates for both links every now and then, calm ones among them."""
    while True:
        for link in (world.broker_link, world.database_link):
            link.delay_s = world.rng.choice([0.0, 0.0, 0.001, 0.003, 0.01])
            link.bytes_per_s = world.rng.choice([float("inf"), 20e6, 2e6])
            world.effects["links disturbed"] += link.delay_s > 0 or link.bytes_per_s < 1e9
        await asyncio.sleep(world.rng.uniform(0.3, 2))
