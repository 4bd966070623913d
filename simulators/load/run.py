"""One run: register, publish, verify, report; and clean up where nothing is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from rich.console import Console
from rich.live import Live

from shudao.database.connect import connect
from shudao.stopping import on_stop_signal
from simulators.load.plan import Plan
from simulators.load.publisher import Publisher
from simulators.load.register import register, remove
from simulators.load.report import Report, make_report
from simulators.load.verify import Stored, Verifier

_SHOW_EVERY_S = 1.0
_A_DAY_S = 86_400.0


async def run(plan: Plan, console: Console, *, max_p99_ms: float | None, keep: bool) -> Report:
    """Measure a plan. Ctrl-C publishes no more; a second one waits for nothing either.

    What belongs to the run is removed from the database, unless ``keep`` or something is missing:
    it may still arrive. Raises `ShudaoError` when broker or database cannot be reached.
    """
    verifier = await _register(plan, console) if plan.verified else None
    publisher = Publisher(plan, verifier.note if verifier else lambda _: None)
    try:
        watching = verifier.watch() if verifier else asyncio.sleep(0)
        async with _beside(watching), _beside(_show(publisher, verifier, console)):
            stored = await _publish_and_count(publisher, verifier)
    except BaseException:
        if not publisher.tally.published:
            await _remove(plan)
        raise
    to_query = verifier.to_query if verifier else None
    report = make_report(plan, publisher.tally, stored, to_query, max_p99_ms)
    if verifier and not keep:
        await _clean_up(plan, verifier, report, console)
    return report


async def _register(plan: Plan, console: Console) -> Verifier:
    console.print(f"registering {plan.devices:,} devices", style="dim")
    connection = await connect()
    try:
        registered = await register(connection, plan)
    finally:
        await connection.close()
    return Verifier(registered, plan.device_prefix, plan.patience_s)


async def _publish_and_count(publisher: Publisher, verifier: Verifier | None) -> Stored | None:
    """Publish to the end; what is stored then, or when nothing more comes."""
    waiting: list[asyncio.Task[None]] = []

    def give_up() -> None:
        publisher.give_up()
        for task in waiting:
            task.cancel()

    with on_stop_signal(publisher.stop, give_up, after_s=_A_DAY_S):
        await asyncio.to_thread(publisher.run)
        if verifier is None:
            return None
        waiting.append(asyncio.create_task(verifier.wait(publisher.tally.published)))
        with suppress(asyncio.CancelledError):
            await waiting[0]
        return await verifier.count()


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let work run meanwhile, and end it then. Raises what it failed with."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _show(publisher: Publisher, verifier: Verifier | None, console: Console) -> None:
    """Show how far it is, in a line that changes."""
    with Live(console=console, transient=True, auto_refresh=False) as live:
        while True:
            live.update(_line(publisher, verifier), refresh=True)
            await asyncio.sleep(_SHOW_EVERY_S)


def _line(publisher: Publisher, verifier: Verifier | None) -> str:
    tally = publisher.tally
    line = (
        f"{tally.connected:,} connections · {tally.seconds:.0f} s: {tally.published:,} published"
        f" ({tally.rate:,.0f}/s), {tally.acknowledged:,} acknowledged"
        f" (p99 {tally.to_ack.percentile(99) or 0:,.0f} ms)"
    )
    if verifier is not None:
        line += (
            f", {verifier.ledger:,} stored, of all senders"
            f" (queryable p99 {verifier.to_query.percentile(99) or 0:,.0f} ms)"
        )
    return line


async def _clean_up(plan: Plan, verifier: Verifier, report: Report, console: Console) -> None:
    if not report.lost and await verifier.rolled_up():
        console.print("removing what the run stored; --keep would keep it", style="dim")
        await _remove(plan)
        return
    console.print(
        f"devices and samples of run {plan.run} stay, since more may arrive or be rolled up;"
        " `shudao load --remove` removes them",
        style="dim",
    )


async def _remove(plan: Plan) -> None:
    connection = await connect()
    try:
        await remove(connection, plan.run)
    finally:
        await connection.close()
