"""Run the demo: services, schema, registry, then the parts; watch; stop; settle the account.

At the end the simulator stops first, the ingester catches up, and what was published is compared
with what was committed. Everything that the demo started is stopped, whatever happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console
from rich.live import Live

from shudao.broker_address import broker_address
from shudao.database import AWAY, connect, create_pool
from shudao.database.migrate import migrate
from shudao.demo.numbers import Counts, read_counts, read_fast, read_slow
from shudao.demo.process import Part
from shudao.demo.view import Scene, goals_table
from shudao.errors import ShudaoError
from shudao.goals import load_goals
from shudao.local import down, status, up
from shudao.settings import Settings, mqtt_url
from shudao.stopping import on_stop_signal

_SLOW_EVERY_S = 4.0
_CATCH_UP_S = 60.0
_QUIET_S = 1.0
_WIDE = 110


@dataclass(frozen=True, slots=True)
class Options:
    """What the demo is asked to do; ``seconds`` None runs until it is stopped."""

    rate: int
    seconds: float | None
    seed: int
    grafana_url: str


async def demo(settings: Settings, options: Options, console: Console) -> bool:
    """Run the demo; True when everything that was published was committed."""
    stop = asyncio.Event()
    with on_stop_signal(stop.set, stop.set, after_s=3600):
        async with AsyncExitStack() as stack:
            await _start_services(settings, stack, console)
            with _step(console, "database schema"):
                await asyncio.to_thread(migrate)
            await _load_registry(settings, console)
            await _require_broker()
            pool = await create_pool(size=2)
            stack.push_async_callback(pool.close)
            return await _watch(settings, options, pool, stop, console)


@contextlib.contextmanager
def _step(console: Console, what: str) -> Any:
    began = time.monotonic()
    with console.status(f"{what} …"):
        yield
    console.print(f"  {what:<56} {time.monotonic() - began:5.1f} s", highlight=False)


async def _start_services(settings: Settings, stack: AsyncExitStack, console: Console) -> None:
    """Bring up the private services that are needed; those that ran before stay at the end."""
    if settings.database_url and settings.mqtt_url:
        return
    ran_before = any(s.running for s in status(settings.home))
    with _step(console, "TimescaleDB and mosquitto"):
        await asyncio.to_thread(up, settings.home)
    if not ran_before:
        stack.push_async_callback(asyncio.to_thread, down, settings.home)


async def _load_registry(settings: Settings, console: Console) -> None:
    from shudao.registry.load import load_registry
    from shudao.registry.tree import VINTAGES

    connection = await connect()
    try:
        with _step(console, f"registry: villages of {' and '.join(VINTAGES)}"):
            await load_registry(connection, vintages=VINTAGES)
    finally:
        await connection.close()


async def _require_broker() -> None:
    """Say at once that the broker is away, not when the simulator has given up."""
    address = broker_address(mqtt_url())
    try:
        _, writer = await asyncio.open_connection(address.host, address.port)
    except OSError as error:
        raise ShudaoError(
            f"the MQTT broker at {address} cannot be reached ({error.strerror})",
            "start one with `shudao local up`, or correct SHUDAO_MQTT_URL",
        ) from error
    writer.close()


def _parts(settings: Settings, options: Options, scene: Scene) -> list[Part]:
    port = _free_port(settings.api_host, settings.api_port)
    scene.addresses.append(("API", f"http://{settings.api_host}:{port}/docs"))

    api = ["api", "--host", settings.api_host]
    simulate = ["simulate", "--rate", str(options.rate), "--seed", str(options.seed)]
    return [
        Part("ingest", ["ingest"], _log(settings, "ingest")),
        Part("evaluate", ["evaluate", "--every", "3s"], _log(settings, "evaluate")),
        Part("api", [*api, "--port", str(port)], _log(settings, "api")),
        Part(
            "simulate", [*simulate, "--progress-json"], _log(settings, "simulate"),
            on_report=scene.published.update,
        ),
    ]  # fmt: skip


def _log(settings: Settings, name: str) -> Path:
    """An empty log of a part."""
    folder = settings.home / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.log"
    path.write_bytes(b"")
    return path


def _free_port(host: str, wanted: int) -> int:
    """The port that was asked for, or another one when somebody listens there."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ShudaoError(f"no port is free on {host}", "set SHUDAO_API_HOST")


async def _watch(
    settings: Settings,
    options: Options,
    database: asyncpg.Pool[Any],
    stop: asyncio.Event,
    console: Console,
) -> bool:
    goals = load_goals(settings.goals_file)
    grafana = await _grafana(settings, options, console)
    scene = Scene([], goals, settings.vintage, [("Grafana", grafana)])
    scene.wide = console.width >= _WIDE
    scene.parts = _parts(settings, options, scene)
    async with _running(scene.parts):
        with _step(console, "ingester"):
            start = await _until_quiet(database, _part(scene, "ingest"), stop)
        began, scene.began = datetime.now(UTC), time.monotonic()
        if not stop.is_set():
            _part(scene, "simulate").start()
        with Live(console=console, refresh_per_second=4, get_renderable=scene.draw, transient=True):
            await _until_stopped(settings, options, database, stop, scene, start, began)
            await _wind_down(database, scene, start)
        with contextlib.suppress(*AWAY):
            await read_slow(database, scene.numbers, began, settings.vintage)
    return _settle(scene, console, timed=options.seconds is not None)


def _part(scene: Scene, name: str) -> Part:
    return next(p for p in scene.parts if p.name == name)


async def _until_quiet(database: asyncpg.Pool[Any], ingest: Part, stop: asyncio.Event) -> Counts:
    """The ledger's totals, once the ingester listens and has nothing left to store.

    What an earlier run left at the broker is not this one's. Raises `ShudaoError` where others
    keep publishing: no account could be settled there.
    """
    before, since = await read_counts(database), time.monotonic()
    patience = since + _CATCH_UP_S
    while time.monotonic() - since < _QUIET_S or not ingest.has_said("subscribed"):
        if stop.is_set():
            break
        if ingest.failed:
            raise ShudaoError(f"ingest ended: {ingest.last_words()}", f"its log is {ingest.log}")
        if time.monotonic() > patience:
            raise ShudaoError(
                f"after {_CATCH_UP_S:.0f} s the ingester is not idle: others publish to this broker"
                " or much waits there",
                f"unset SHUDAO_MQTT_URL to use a private broker, or try again; see {ingest.log}",
            )
        await asyncio.sleep(0.1)
        counts = await read_counts(database)
        if counts != before:
            before, since = counts, time.monotonic()
    return before


@asynccontextmanager
async def _running(parts: list[Part]) -> AsyncIterator[None]:
    for part in parts:
        if part.name != "simulate":
            part.start()
    try:
        yield
    finally:
        await asyncio.gather(*(p.stop() for p in parts))


async def _until_stopped(
    settings: Settings,
    options: Options,
    database: asyncpg.Pool[Any],
    stop: asyncio.Event,
    scene: Scene,
    start: Counts,
    began: datetime,
) -> None:
    """Refresh the numbers until a signal, the end of the time, or a part that stays down."""
    end, slow_at = math.inf, 0.0
    while not stop.is_set() and time.monotonic() < end:
        if options.seconds is not None and end == math.inf and scene.published.get("samples"):
            end = time.monotonic() + options.seconds
        for part in scene.parts:
            if part.failed:
                raise ShudaoError(
                    f"{part.name} ended: {part.last_words()}", f"its log is {part.log}"
                )
        try:
            await read_fast(database, scene.numbers, start)
            if time.monotonic() >= slow_at:
                await read_slow(database, scene.numbers, began, settings.vintage)
                slow_at = time.monotonic() + _SLOW_EVERY_S
            scene.note = ""
        except AWAY as error:
            scene.note = f"the database does not answer, the numbers stand still ({error})"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1)


async def _wind_down(database: asyncpg.Pool[Any], scene: Scene, start: Counts) -> None:
    """Stop publishing, and let the ingester catch up with what was published."""
    scene.note = "stopping: the simulator finishes, the ingester catches up …"
    await _part(scene, "simulate").stop(within_s=30)
    patience = time.monotonic() + _CATCH_UP_S
    while time.monotonic() < patience and not (_is_settled(scene) and not scene.numbers.waiting):
        before = scene.numbers.counts.received, scene.numbers.waiting
        await asyncio.sleep(0.25)
        with contextlib.suppress(*AWAY):
            await read_fast(database, scene.numbers, start)
        if (scene.numbers.counts.received, scene.numbers.waiting) != before:
            patience = time.monotonic() + _CATCH_UP_S
    # One more evaluation, over everything that was committed.
    evaluator = _part(scene, "evaluate")
    await evaluator.stop()
    last = Part("evaluate", ["evaluate"], evaluator.log)
    last.start()
    await last.finished(within_s=30)


def _is_settled(scene: Scene) -> bool:
    counts, sent = scene.numbers.counts, scene.published
    if not sent:  # stopped before it published anything
        return True
    return (
        bool(sent.get("final"))
        and counts.stored == sent["samples"]
        and counts.quarantined == sent["malformed"]
    )


def _settle(scene: Scene, console: Console, *, timed: bool) -> bool:
    """Print the final table, and say whether the account is even.

    A timed demo that published nothing has shown nothing, so that is a failure.
    """
    counts, sent = scene.numbers.counts, scene.published
    console.print(goals_table(scene.goals, scene.numbers.progress, wide=scene.wide))
    samples, malformed = int(sent.get("samples", 0)), int(sent.get("malformed", 0))
    console.print(
        f"\npublished {samples:,} samples and {malformed:,} malformed on purpose · "
        f"committed {counts.stored:,} · quarantined {counts.quarantined:,} · "
        f"duplicates {counts.duplicates:,}, counted once\n"
        f"heard from {scene.numbers.prefectures} of 21 prefectures and"
        f" {scene.numbers.carriers} of 4 carriers",
        highlight=False,
    )
    if not samples:
        console.print("[yellow]nothing was published yet[/]")
        return not timed
    even = _is_settled(scene)
    console.print(
        "[green]everything that was published is committed[/]"
        if even
        else "[bold red]not everything that was published is committed[/]"
        f" → see the logs in {scene.parts[0].log.parent}"
    )
    return even


async def _grafana(settings: Settings, options: Options, console: Console) -> str:
    """Push the dashboards to a Grafana that answers, and tell where to look."""
    if not options.grafana_url:
        return "none: install Grafana 10 to 12, set GRAFANA_URL and GRAFANA_TOKEN"
    command = ["dashboards", "push", "--url", options.grafana_url]
    push = Part("dashboards", command, _log(settings, "dashboards"), restart=False)
    with _step(console, f"dashboards → {options.grafana_url}"):
        push.start()
        await push.finished(within_s=60)
    if push.failed:
        return f"{options.grafana_url}: not pushed, {push.last_words()}"
    return f"{options.grafana_url}/d/shudao-province"
