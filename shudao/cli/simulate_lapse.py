"""``shudao simulate --from --to``: the plan in fast motion, through the real pipeline."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from shudao.errors import ShudaoError

if TYPE_CHECKING:
    import asyncpg

    from simulators.devices import Population
    from simulators.fleet import Fleet
    from simulators.lapse import Lapse, Month
    from simulators.messages import Message
    from simulators.prepare import Choice
    from simulators.world import World

SHARE = 0.05
"""Of places, unless another is asked for: 29 months of 2,700 villages are 40 million samples."""
_RATE = 20_000.0
_PATIENCE_S = 600.0
_ANSWER_S, _START_S = 5.0, 60.0
_ARRIVED = """
SELECT coalesce(sum(stored + duplicates), 0)::bigint AS taken,
       coalesce(sum(quarantined), 0)::bigint AS refused
FROM ingest_minute WHERE origin = 'mqtt'
"""
_WAITING = "SELECT coalesce(sum(samples), 0)::bigint FROM rollup_journal"
Show = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Span:
    """Which days, and how many of their seconds pass in one."""

    first: date
    last: date
    speed: float


def span_of(first: datetime | None, last: datetime | None, speed: float | None) -> Span:
    """What the options say. Raises `ShudaoError` unless both days are given and have passed."""
    from simulators.replay import FASTEST

    if not first or not last or not first <= last or last.date() > datetime.now(UTC).date():
        raise ShudaoError(
            "a time lapse goes from one day to a later one, both in the past",
            "write it as --from 2018-08-25 --to 2020-12-31",
        )
    return Span(first.date(), last.date(), speed or FASTEST)


async def lapse(span: Span, choice: Choice, seed: int, *, as_json: bool) -> None:
    """Publish what devices measure from the first to the last day, then evaluate each month.

    Raises `ShudaoError` when the samples are not taken.
    """
    from shudao.database.connect import connect
    from shudao.settings import get_settings, mqtt_url
    from simulators.broker import check_broker
    from simulators.lapse import Lapse, months_between
    from simulators.prepare import prepare

    url, vintage = mqtt_url(), get_settings().vintage
    await check_broker(url, "shudao-simulate-check")
    connection = await connect()
    try:
        with _showing(as_json=as_json) as show:
            show("reading the registry")
            world, reporters = await prepare(connection, vintage, seed, choice)
            await _register(connection, world, reporters, show)
            months = months_between(span.first, span.last)
            probe = Lapse(world, reporters.part(0, 1), months[:1]).take(1, 0) or []
            async with _accepted(connection, url, span.first, probe, show):
                source = Lapse(world, reporters, months, span.speed / 86_400)
                await _publish(connection, url, source, show)
                await _evaluate(connection, months, vintage, show)
    finally:
        await connection.close()
    print("compare it with the truth: shudao simulate score", file=sys.stderr)


async def _register(
    connection: asyncpg.Connection[Any], world: World, reporters: Population, show: Show
) -> None:
    from simulators.register import CHUNK, register_devices

    for start in range(0, len(reporters), CHUNK):
        show(f"registering devices: {start / len(reporters):.0%} of {reporters.devices:,}")
        await register_devices(connection, world.places, reporters.part(start, start + CHUNK))


@asynccontextmanager
async def _accepted(
    connection: asyncpg.Connection[Any], url: str, first: date, probe: list[Message], show: Show
) -> AsyncIterator[None]:
    """See that old samples are taken; where nobody ingests, ingest ourselves meanwhile.

    Raises `ShudaoError` when an ingester refuses them.
    """
    from shudao.demo.process import Part
    from shudao.settings import get_settings

    show("looking for an ingester")
    if await _is_taken(connection, url, probe, first, _ANSWER_S):
        yield
        return
    show("nobody ingests: starting an ingester for old samples")
    log = get_settings().home / "lapse-ingest.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    ingester = Part(
        "ingest", ["ingest", "--metrics-port", "0"], log,
        environment={"SHUDAO_MAX_AGE_DAYS": str(_age_days(first))},
    )  # fmt: skip
    ingester.start()
    try:
        if not await _is_taken(connection, url, probe, first, _START_S):
            raise ShudaoError(
                f"the ingester does not take samples ({ingester.last_words()})", f"see {log}"
            )
        yield
    finally:
        await ingester.stop(within_s=30)


def _age_days(first: date) -> int:
    return (datetime.now(UTC).date() - first).days + 2


async def _is_taken(
    connection: asyncpg.Connection[Any],
    url: str,
    probe: list[Message],
    first: date,
    within_s: float,
) -> bool:
    """Publish messages again and again; whether samples arrive in the database within the time.

    Raises `ShudaoError` when they are refused.
    """
    from simulators.broker import gateway

    before = await _arrived(connection)
    deadline = time.monotonic() + within_s
    async with gateway(url, "shudao-simulate-probe", window=1) as client:
        while time.monotonic() < deadline:
            for message in probe:
                await client.publish(message.topic, message.payload, qos=1)
            await asyncio.sleep(1)
            now = await _arrived(connection)
            if now.refused > before.refused:
                raise ShudaoError(
                    f"the ingester that runs refuses samples of {first}",
                    "stop it (we start one of our own), or start it with"
                    f" SHUDAO_MAX_AGE_DAYS={_age_days(first)}",
                )
            if now.taken > before.taken:
                return True
    return False


class _Arrived(NamedTuple):
    taken: int
    refused: int


async def _arrived(connection: asyncpg.Connection[Any]) -> _Arrived:
    row = await connection.fetchrow(_ARRIVED)
    return _Arrived(*(row or (0, 0)))


async def _publish(
    connection: asyncpg.Connection[Any], url: str, source: Lapse, show: Show
) -> None:
    """Publish everything, and wait until it is stored and rolled up."""
    from shudao.stopping import on_stop_signal
    from simulators.fleet import Fleet

    fleet = Fleet(url, source, rate=_RATE)
    before = (await _arrived(connection)).taken
    task = asyncio.ensure_future(fleet.run())
    with on_stop_signal(fleet.stop, task.cancel, after_s=fleet.patience_s + 5):
        while not task.done():
            show(_line(fleet, source))
            await asyncio.wait([task], timeout=1)
        await task
    sent = fleet.tally.acknowledged_samples

    async def missing() -> int:
        return sent - (await _arrived(connection)).taken + before

    async def waiting() -> int:
        return int(await connection.fetchval(_WAITING))

    await _until_none(missing, "are not stored yet", show)
    await _until_none(waiting, "wait to be rolled up", show)
    if source.done < 1:
        raise ShudaoError(f"stopped in {source.month.first:%Y-%m}", "what was sent is stored")


def _line(fleet: Fleet, source: Lapse) -> str:
    report = fleet.tally.report()
    per_s = report.acknowledged_samples / max(report.elapsed_s, 1e-3)
    return (
        f"{source.month.first:%Y-%m}: {source.done:.0%} published,"
        f" {report.acknowledged_samples:,} samples, {per_s:,.0f}/s"
    )


async def _until_none(count: Callable[[], Awaitable[int]], what: str, show: Show) -> None:
    """Wait until there are none. Raises `ShudaoError` when they stop getting fewer."""
    least, since = await count(), time.monotonic()
    while least > 0:
        show(f"{least:,} samples {what}")
        await asyncio.sleep(0.5)
        now = await count()
        if now < least:
            least, since = now, time.monotonic()
        elif time.monotonic() - since > _PATIENCE_S:
            raise ShudaoError(
                f"{least:,} samples {what}, and it goes on no further",
                "see whether the ingester runs; `shudao quarantine list` shows what was refused",
            )


async def _evaluate(
    connection: asyncpg.Connection[Any], months: list[Month], vintage: str, show: Show
) -> None:
    """Evaluate at the end of each month, so that progress has a history."""
    from shudao.evaluation.evaluate import evaluate_all
    from shudao.goals import load_goals

    goals = load_goals()
    for month in months:
        show(f"evaluating {month.last}")
        await evaluate_all(connection, goals, date.fromisoformat(vintage), month.end)


@contextmanager
def _showing(*, as_json: bool) -> Iterator[Show]:
    """One line that changes, on standard error; or a JSON object a second."""
    import msgspec
    from rich.console import Console

    if not as_json:
        with Console(stderr=True).status("") as status:
            yield status.update
        return
    shown = 0.0

    def show(text: str) -> None:
        nonlocal shown
        if time.monotonic() - shown > 1:
            shown = time.monotonic()
            print(msgspec.json.encode({"now": text}).decode(), flush=True)

    yield show
