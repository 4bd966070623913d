"""Faults of the database: killed, restarted, frozen, locked, its sessions ended.

What is tested: nothing is acknowledged meanwhile, the broker connection stays alive however long
it takes, memory stays bounded (the broker holds back what exceeds the receive maximum), and the
ingester comes back by itself.
"""

from __future__ import annotations

import asyncio
import time

from tests.faults.world import APPLICATION, RECEIVE_MAXIMUM, World, connect, until


async def kill_database(world: World) -> None:
    """kill -9 of the postmaster and all sessions; it is away for a while, and recovers."""
    await world.until_ingesting()
    died = await world.services.kill_database()
    assert died > 1, "there was no session to kill"
    await _stay_away(world, "kill_database")


async def restart_database(world: World) -> None:
    """A clean stop that ends all sessions, as an upgrade of PostgreSQL does."""
    await world.until_ingesting()
    assert await world.services.stop_database(), "it did not run"
    await _stay_away(world, "restart_database")


async def kill_database_and_ingester(world: World) -> None:
    """Both at once, as when the machine loses its power; the ingester starts first."""
    await world.until_ingesting()
    await world.services.kill_database()
    await world.ingester.kill(world.ingester.processes)
    world.effects["kills"] += 1
    await _stay_away(world, "kill_database_and_ingester")


async def end_sessions(world: World) -> None:
    """pg_terminate_backend of what the ingester has open, as a failover does."""
    await world.until_ingesting()
    ended = await world.ask(
        "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity"
        f" WHERE backend_type = 'client backend' AND application_name <> '{APPLICATION}'"
    )
    assert ended > 0, "the ingester had no session"
    world.effects["end_sessions"] += 1


async def freeze_database(world: World, seconds: float = 3.0) -> None:
    """SIGSTOP: silence, with all connections open. The broker must not notice."""
    await world.until_ingesting()
    lost = world.broker_link.closed
    pids = world.services.freeze_database()
    try:
        await asyncio.sleep(seconds)
        answer = await world.services.database_answers()
    finally:
        world.services.thaw(pids)
    assert answer == "silent", f"the frozen database answers: {answer}"
    assert world.broker_link.closed == lost, "the broker connection did not outlive the silence"
    world.effects["freeze_database"] += 1


async def lock_samples(world: World) -> None:
    """The raw table is locked until the in-flight window is full and the broker holds back."""
    await world.until_ingesting()
    locker = await connect(world.services)
    try:
        async with locker.transaction():
            await locker.execute("LOCK TABLE radio_sample IN ACCESS EXCLUSIVE MODE")
            await _window_full(world)
            await world.pause(1.0)
    finally:
        await locker.close()
    world.effects["lock_samples"] += 1


async def _window_full(world: World) -> None:
    """Nothing comes from the broker for a second, though more was published than fits."""

    async def is_waiting() -> bool:
        return bool(
            await world.ask(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            )
        )

    await until(is_waiting, "the ingester does not meet the lock")
    published = world.publisher.book.accepted_numbers.total()
    passed, since = -1, time.monotonic()

    async def has_stopped() -> bool:
        nonlocal passed, since
        if passed != world.broker_link.passed["to_client"]:
            passed, since = world.broker_link.passed["to_client"], time.monotonic()
        more = world.publisher.book.accepted_numbers.total() - published
        return time.monotonic() - since > 1 and more > RECEIVE_MAXIMUM

    await until(has_stopped, "the broker goes on sending into a full window", 30)


async def _stay_away(world: World, fault: str) -> None:
    """Count the time without a database, then start it again."""
    began = time.monotonic()
    world.database_link.refuse()
    assert await world.services.database_answers() == "refused"
    await asyncio.sleep(world.rng.uniform(0.5, 2.5))
    assert await world.services.database_answers() == "refused"
    await world.services.start()
    await world.database_link.listen()
    world.effects["ms without a database"] += round((time.monotonic() - began) * 1000)
    world.effects[fault] += 1
