"""``shudao simulate``: a province of simulated devices, and the truth about it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shudao.cli import simulate_faults as fault
from shudao.cli.durations import parse_duration
from shudao.cli.options import carrier_id
from shudao.cli.simulate_lapse import SHARE, lapse, span_of
from shudao.cli.simulate_plot import plot
from shudao.cli.simulate_replay import Play, parse_speed, play
from shudao.cli.simulate_score import score
from shudao.cli.simulate_truth import truth
from shudao.errors import ShudaoError
from shudao.vocabulary import CARRIER_IDS, Carrier

if TYPE_CHECKING:
    from simulators.faults import Faults
    from simulators.fleet import Fleet
    from simulators.prepare import Choice

app = typer.Typer(help="Simulated devices of the whole province, in a world with a known truth.")
app.command()(truth)
app.command()(score)
app.command()(plot)

Seed = Annotated[int, typer.Option(help="Of the world: the same seed is the same world.")]
LAPSE = "Time lapse of the plan; also --share, --carrier, --prefecture, --speed, --seed"
REPLAY = "Replay of recorded data, with --carrier (telecom) and --for"


class Pace(StrEnum):
    """When devices report."""

    TURNS = "turns"
    NATURAL = "natural"


@dataclass(frozen=True, slots=True)
class Run:
    """How to publish: messages a second, gateways, seconds (None: until stopped), where faults
    are logged."""

    rate: float
    pace: Pace
    connections: int
    history_s: float
    seconds: float | None
    fault_log: Path | None
    as_json: bool


@app.callback(invoke_without_command=True)
def simulate(
    context: typer.Context,
    rate: Annotated[float, typer.Option(min=0.1, help="Messages a second.")] = 500.0,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for", metavar="DURATION", parser=parse_duration, help="Stop after that long (60s)."
        ),
    ] = None,
    history: Annotated[
        float,
        typer.Option(
            metavar="DURATION",
            parser=parse_duration,
            help="How far back the samples reach that a device's first message holds.",
        ),
    ] = "3d",  # type: ignore[assignment]
    share: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Share of places whose devices report: all, or 5 % with --from."
        ),
    ] = None,
    devices: Annotated[int | None, typer.Option(min=1, help="At most so many devices.")] = None,
    carrier: Annotated[
        list[str] | None, typer.Option(help="Only this carrier's devices; may be repeated.")
    ] = None,
    prefecture: Annotated[
        list[int] | None, typer.Option(help="Only here, as 5101; may be repeated.")
    ] = None,
    seed: Seed = 2018,
    connections: Annotated[int, typer.Option(min=1, max=256, help="Gateways to share it.")] = 4,
    pace: Annotated[
        Pace,
        typer.Option(
            help="turns: reporters take turns at --rate. natural: each in its own rhythm, half an"
            " hour to a day for a sensor (3GPP TR 45.820), at most at --rate."
        ),
    ] = Pace.TURNS,
    malformed: fault.Malformed = 0.001,
    sentinels: fault.Sentinels = 0.0,
    duplicates: fault.Duplicates = 0.002,
    late: fault.Late = 0.002,
    shuffled: fault.Shuffled = 0.01,
    clocks: fault.Clocks = 0.0,
    silent: fault.Silent = 0.0,
    flood: fault.Flood = 0.0,
    outage: fault.Outage = None,
    backhaul: fault.Backhaul = None,
    regression: fault.Regression = None,
    areas_per_hour: fault.AreasPerHour = 0.0,
    fault_log: fault.Log = None,
    first: Annotated[
        datetime | None,
        typer.Option(
            "--from",
            formats=["%Y-%m-%d"],
            rich_help_panel=LAPSE,
            help="Publish what was measured since that day instead, and evaluate each month.",
        ),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option(
            "--to", formats=["%Y-%m-%d"], rich_help_panel=LAPSE, help="Until the end of that day."
        ),
    ] = None,
    replay: Annotated[
        str,
        typer.Option(metavar="FILE", rich_help_panel=REPLAY, help="Publish a recording instead."),
    ] = "",
    profile: Annotated[
        str,
        typer.Option(
            rich_help_panel=REPLAY,
            help="As of `shudao import`; by default the bundled one that has the file's columns.",
        ),
    ] = "",
    speed: Annotated[
        float | None,
        typer.Option(
            metavar="SPEED",
            parser=parse_speed,
            rich_help_panel=REPLAY,
            help="1 is as recorded, 60 an hour in a minute, max as fast as the broker takes it;"
            " with --from, max is the default.",
        ),
    ] = None,
    shift: Annotated[
        bool,
        typer.Option(
            "--shift-to-now",
            rich_help_panel=REPLAY,
            help="Move the times so that the last sample is fresh: the platform refuses samples"
            " older than SHUDAO_MAX_AGE_DAYS. Without it they stay as recorded.",
        ),
    ] = False,
    place: Annotated[
        str,
        typer.Option(rich_help_panel=REPLAY, help="Code of the village where the devices stand."),
    ] = "",
    progress_json: Annotated[
        bool, typer.Option("--progress-json", help="Print one JSON object a second.")
    ] = False,
) -> None:
    """Publish radio and broadband samples of simulated devices over MQTT.

    Sensors, probes and drive testers stand at the places of the registry. Each is registered, then
    publishes its stored history, and later fresh samples, turn by turn or in its own rhythm. Faults
    come in the shares that the options name; --fault-log keeps the truth about them. Ctrl-C stops,
    waits until the broker has acknowledged what is under way, and prints the final counts.

    Examples:  shudao simulate --for 60s --rate 1000          shudao simulate --share 0.1
               shudao simulate --prefecture 5133 --carrier telecom
               shudao simulate --outage telecom:5101:+60s:5m --fault-log faults.jsonl
               shudao simulate --from 2018-08-25 --to 2020-12-31
               shudao simulate --replay speedtests.csv.gz --speed 3600 --shift-to-now
    """
    if context.invoked_subcommand:
        return
    if replay:
        what = Play(replay, profile, speed or 1, shift, carrier or ["telecom"], place)
        asyncio.run(play(what, seconds, as_json=progress_json))
        return
    from simulators.prepare import Choice

    carriers = tuple(Carrier(carrier_id(name)) for name in carrier or CARRIER_IDS)
    if first or last:
        span = span_of(first, last, speed)
        choice = Choice(share or SHARE, devices, carriers, tuple(prefecture or ()))
        asyncio.run(lapse(span, choice, seed, as_json=progress_json))
        return
    from simulators.faults import Faults
    from simulators.traffic import SHORTEST_HISTORY_MS

    if 0 < history * 1000 < SHORTEST_HISTORY_MS:
        raise ShudaoError(
            "a history is two minutes or more", "write it as 3d, 12h or 5m; 0 for none"
        )
    faults = Faults(
        malformed=malformed,
        duplicates=duplicates,
        late=late,
        shuffled=shuffled,
        sentinels=sentinels,
        clocks=clocks,
        silent=silent,
        flood=flood,
        areas=fault.area_faults(outage=outage, backhaul=backhaul, regression=regression),
        areas_per_hour=areas_per_hour,
    )
    asyncio.run(
        _simulate(
            Choice(1.0 if share is None else share, devices, carriers, tuple(prefecture or ())),
            faults,
            seed,
            Run(rate, pace, connections, history, seconds, fault_log, progress_json),
        )
    )


async def _simulate(choice: Choice, faults: Faults, seed: int, run: Run) -> None:
    from shudao.database.connect import connect
    from shudao.settings import get_settings, mqtt_url
    from simulators.broker import check_broker
    from simulators.fault_log import FaultLog
    from simulators.fleet import Fleet
    from simulators.prepare import prepare
    from simulators.progress import showing
    from simulators.register import Registrar
    from simulators.traffic import Traffic

    url, log = mqtt_url(), FaultLog(run.fault_log)
    await check_broker(url, "shudao-simulate-check")
    connection = await connect()
    try:
        world, reporters = await prepare(connection, get_settings().vintage, seed, choice)
        traffic = Traffic(
            world,
            reporters,
            start_ms=time.time_ns() // 1_000_000,
            history_ms=int(run.history_s * 1000),
            faults=faults,
            natural=run.pace == Pace.NATURAL,
            log=log,
        )
        registrar = Registrar(traffic, world.places, reporters)
        await registrar.some(connection)
    finally:
        await connection.close()
    print(f"{reporters.devices:,} devices in the world of seed {seed}", file=sys.stderr)
    fleet = Fleet(url, traffic, rate=run.rate, connections=run.connections, on_sent=log.message)
    async with showing(fleet.tally, as_json=run.as_json):
        await until_stopped(fleet, run.seconds, registrar.run(connect))


async def until_stopped(
    fleet: Fleet, seconds: float | None, *beside: Coroutine[Any, Any, None]
) -> None:
    """Run a fleet for so many seconds, or until a signal. Raises `ShudaoError`, as `Fleet.run`."""
    from shudao.stopping import on_stop_signal

    task = asyncio.ensure_future(fleet.run(*beside))
    if seconds is not None:
        asyncio.get_running_loop().call_later(seconds, fleet.stop)
    with on_stop_signal(fleet.stop, task.cancel, after_s=fleet.patience_s + 5):
        try:
            await task
        except asyncio.CancelledError:
            raise ShudaoError(
                f"stopped with {fleet.tally.unacknowledged} messages unacknowledged",
                "they may or may not have reached the broker",
            ) from None
