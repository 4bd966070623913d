"""Faults of the ingester: killed while it writes, while it rolls up, between commit and PUBACK, at
any moment.

What is tested: a message is acknowledged after its commit and never before, one that comes again
after a commit changes no number, and roll-ups are brought up to date by whoever comes next.
"""

from __future__ import annotations

import signal

from tests.faults.processes import is_alive, send
from tests.faults.world import APPLICATION, World, until

WRITING = f"""
SELECT a.backend_xid::text
  FROM pg_stat_activity AS a JOIN pg_locks AS l USING (pid) JOIN pg_class AS c ON c.oid = l.relation
 WHERE a.datname = current_database() AND a.backend_xid IS NOT NULL
   AND a.application_name <> '{APPLICATION}'
   AND c.relname = $1 AND l.mode = 'RowExclusiveLock' AND l.granted
 LIMIT 1
"""
"""The id of a transaction of the ingester that has written into a table and is not committed."""
DECIDED = "SELECT pg_xact_status($1::text::xid8)"
SLOW_S = 0.008
"""Delay of the database's link meanwhile: what follows a commit comes so much later."""


async def kill_while_it_writes(world: World) -> None:
    """kill -9 with samples written and not committed: they must come again."""
    await _kill_in_transaction(world, "radio_sample", "kill_while_it_writes")


async def kill_while_it_rolls_up(world: World) -> None:
    """kill -9 with samples added to a roll-up, now before and now just after the commit."""
    await _kill_in_transaction(world, "coverage_hour", "kill_while_it_rolls_up")


async def kill_at_any_moment(world: World) -> None:
    """kill -9 whatever it does, be it that it only starts; of several processes any one."""
    await world.pause(1.5)

    async def runs() -> bool:
        return world.ingester.pid is not None

    await until(runs, "the ingester is not started again")
    victim = world.rng.choice(world.ingester.processes)
    assert send(victim, signal.SIGKILL), "it ended by itself in this very moment"

    async def is_dead() -> bool:
        return not is_alive(victim)

    await until(is_dead, "a process survives kill -9")
    world.effects["kills"] += 1
    world.effects["kill_at_any_moment"] += 1


async def kill_between_commit_and_acknowledgement(world: World) -> None:
    """kill -9 while PUBACKs of committed messages are held in the cable, and then lost."""
    await world.until_ingesting()
    link = world.broker_link
    link.to_server.clear()
    before, destroyed = await world.committed(), link.destroyed["to_server"]

    async def committed_and_held() -> bool:
        return link.in_flight["to_server"] > 0 and await world.committed() > before

    async def is_destroyed() -> bool:
        return link.connections == 0 and link.destroyed["to_server"] > destroyed

    try:
        await until(committed_and_held, "no PUBACK follows a commit")
        await _kill(world)
        link.cut()
        await until(is_destroyed, "no PUBACK was lost")
    finally:
        link.to_server.set()
    world.effects["kill_between_commit_and_acknowledgement"] += 1


async def stop_cleanly(world: World) -> None:
    """SIGTERM: it finishes the batch in hand and ends without an error."""
    await world.until_ingesting()
    world.database_link.calm()
    code = await world.ingester.terminate()
    assert code == 0, f"SIGTERM ended it with {code}"
    world.effects["stop_cleanly"] += 1


async def _kill(world: World) -> None:
    await world.ingester.kill(world.ingester.processes)
    world.effects["kills"] += 1


async def _kill_in_transaction(world: World, table: str, fault: str) -> None:
    """Kill within a transaction that writes into the table, every other time right after it."""
    await world.until_ingesting()
    processes, transaction = world.ingester.processes, ""

    async def is_writing() -> bool:
        nonlocal transaction
        world.database_link.delay_s = SLOW_S
        transaction = await world.ask(WRITING, table) or ""
        return bool(transaction)

    async def is_decided() -> bool:
        world.database_link.delay_s = SLOW_S
        return bool(await world.ask(DECIDED, transaction) != "in progress")

    await until(is_writing, f"the ingester writes nothing into {table}", 60, every_s=0.001)
    if world.effects[fault] % 2:
        await until(is_decided, f"{transaction} is never committed", every_s=0)
    else:
        await world.pause(SLOW_S)
    await world.ingester.kill(processes)
    world.effects["kills"] += 1
    await until(is_decided, f"transaction {transaction} outlives its client")
    fate = await world.ask(DECIDED, transaction)
    world.effects[f"{fault}: transaction {fate}"] += 1
    world.effects[fault] += 1
