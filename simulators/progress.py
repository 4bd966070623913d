"""Show what a fleet does while it does it: a line that changes, or JSON once a second."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from rich.console import Console
from rich.live import Live

from simulators.report import Report, Tally

EVERY_S = 1.0


def line(report: Report) -> str:
    """One line for people."""
    return (
        f"{report.messages:,} messages ({report.rate:,.0f}/s), {report.samples:,} samples,"
        f" {report.acknowledged_samples:,} acknowledged; on purpose:"
        f" {report.malformed:,} malformed, {report.duplicates:,} duplicates;"
        f" {report.prefectures} prefectures, {report.carriers} carriers, {report.elapsed_s:.0f} s"
    )


@asynccontextmanager
async def showing(tally: Tally, *, as_json: bool) -> AsyncIterator[None]:
    """Show the tally each second, and at the end its final state."""
    show = _json_lines(tally) if as_json else _live_line(tally)
    task = asyncio.create_task(show)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        final = tally.report(final=True)
        if as_json:
            _print_json(final)
        else:
            print(line(final))


async def _json_lines(tally: Tally) -> None:
    while True:
        await asyncio.sleep(EVERY_S)
        _print_json(tally.report())


async def _live_line(tally: Tally) -> None:
    with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(EVERY_S)
            live.update(line(tally.report()), refresh=True)


def _print_json(report: Report) -> None:
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    sys.stdout.flush()
