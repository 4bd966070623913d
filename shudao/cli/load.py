"""``shudao load``: how much the platform takes, measured from the outside."""

from __future__ import annotations

import asyncio
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from shudao.cli.durations import parse_duration

if TYPE_CHECKING:
    from simulators.load.plan import Plan

SHAPES, CONNECTIONS, VERIFYING = "Load", "Connections", "Verification"
_LOG_WIDTH = 120


class LoadShape(StrEnum):
    """How the rate goes over time; what `simulators.load.schedule.Shape` has."""

    STEADY = "steady"
    RAMP = "ramp"
    BURST = "burst"
    DAILY = "daily"


class Protocol(StrEnum):
    """A version of MQTT."""

    V5 = "5"
    V3_1_1 = "3.1.1"


def _rate(text: str | float) -> float:
    """Messages a second; 0 or max: as fast as possible. Raises `typer.BadParameter`."""
    try:
        rate = 0.0 if text == "max" else float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate < float("inf"):
        raise typer.BadParameter(f"{text!r} is no rate: write messages a second, or max")
    return rate


def load(
    rate: Annotated[
        float,
        typer.Option(
            metavar="RATE|max",
            parser=_rate,
            rich_help_panel=SHAPES,
            help="Messages a second; max (or 0): as fast as acknowledgements come, up to --window.",
        ),
    ] = "1000",  # type: ignore[assignment]
    devices: Annotated[
        int, typer.Option(min=1, rich_help_panel=SHAPES, help="That publish in turn.")
    ] = 10_000,
    duration: Annotated[
        float,
        typer.Option(
            metavar="DURATION", parser=parse_duration, rich_help_panel=SHAPES, help="90s, 5m."
        ),
    ] = "60s",  # type: ignore[assignment]
    shape: Annotated[
        LoadShape,
        typer.Option(
            rich_help_panel=SHAPES,
            help="steady; ramp: from 0 to --rate; burst: --burst-factor times --rate in the last"
            " --burst-for of every --burst-every; daily: a day's curve in --duration, --rate in its"
            " busiest hour.",
        ),
    ] = LoadShape.STEADY,
    burst_factor: Annotated[float, typer.Option(min=1, rich_help_panel=SHAPES)] = 5.0,
    burst_for: Annotated[
        float, typer.Option(metavar="DURATION", parser=parse_duration, rich_help_panel=SHAPES)
    ] = "2s",  # type: ignore[assignment]
    burst_every: Annotated[
        float, typer.Option(metavar="DURATION", parser=parse_duration, rich_help_panel=SHAPES)
    ] = "10s",  # type: ignore[assignment]
    qos: Annotated[int, typer.Option(min=0, max=1, rich_help_panel=SHAPES)] = 1,
    connections: Annotated[
        int,
        typer.Option(
            min=1,
            rich_help_panel=CONNECTIONS,
            help="Gateways that share the devices; as many as --devices: each has its own.",
        ),
    ] = 100,
    connect_rate: Annotated[
        float, typer.Option(min=1, rich_help_panel=CONNECTIONS, help="Connections a second.")
    ] = 1_000.0,
    mqtt: Annotated[
        Protocol, typer.Option(rich_help_panel=CONNECTIONS, help="Version of MQTT.")
    ] = Protocol.V5,
    window: Annotated[
        int,
        typer.Option(
            min=1,
            rich_help_panel=CONNECTIONS,
            help="Messages that all connections together have under way, at most.",
        ),
    ] = 65_536,
    verify: Annotated[
        bool,
        typer.Option(
            rich_help_panel=VERIFYING,
            help="Count in the database. With --no-verify the broker alone is measured, on topics"
            " that no ingester reads.",
        ),
    ] = True,
    patience: Annotated[
        float,
        typer.Option(
            metavar="DURATION",
            parser=parse_duration,
            rich_help_panel=VERIFYING,
            help="What is missing counts as lost when nothing more came for so long.",
        ),
    ] = "10s",  # type: ignore[assignment]
    max_p99: Annotated[
        float | None,
        typer.Option(
            metavar="DURATION",
            parser=parse_duration,
            rich_help_panel=VERIFYING,
            help="Fail when publish-to-queryable (with --no-verify: -acknowledge) takes longer.",
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", rich_help_panel=VERIFYING, help="Remove nothing at the end.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Only remove what earlier runs left.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Publish at a chosen rate, and measure from the outside what became of it.

    Counts what the broker acknowledged and what the database has, message by message: each carries
    a number and its time. What is due does not wait for what was sent before, and latencies count
    from when a message was due: a platform that stalls is not spared, and its stall is seen.
    Devices and places are the run's own; no goal counts them, and they are removed at the end.
    Tells when it is itself the bottleneck. Ctrl-C publishes no more, and reports.

    Exit code 1 when a message is lost or stored twice, or --max-p99 is exceeded. The services are
    those of SHUDAO_MQTT_URL (mqtts:// for TLS; SSL_CERT_FILE names its authority) and
    SHUDAO_DATABASE_URL.

    Examples:  shudao load --rate 50000 --devices 1000000 --connections 200 --duration 60s
               shudao load --rate max --no-verify             shudao load --max-p99 1s --json
    """
    if remove:
        asyncio.run(_remove())
        return
    from shudao.settings import mqtt_url
    from simulators.load.plan import Plan
    from simulators.load.schedule import Curve, Shape
    from simulators.load.wire import Version

    curve = Curve(Shape(shape), rate, duration, burst_factor, burst_for, burst_every)
    plan = Plan(
        url=mqtt_url(),
        devices=devices,
        connections=connections,
        duration_s=duration,
        curve=curve if rate else None,
        qos=qos,
        version=Version.V5 if mqtt is Protocol.V5 else Version.V3_1_1,
        window=window,
        connect_rate=connect_rate,
        patience_s=patience,
        verified=verify,
    )
    _measure(plan, None if max_p99 is None else max_p99 * 1000, keep=keep, as_json=as_json)


def _measure(plan: Plan, max_p99_ms: float | None, *, keep: bool, as_json: bool) -> None:
    import msgspec
    from rich.console import Console

    from simulators.load.report import table
    from simulators.load.run import run

    progress = Console(stderr=True)
    if not plan.verified:
        progress.print("measuring the broker alone: no database is asked", style="dim")
    report = asyncio.run(run(plan, progress, max_p99_ms=max_p99_ms, keep=keep))
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        Console(width=None if sys.stdout.isatty() else _LOG_WIDTH).print(table(report))
    if not report.ok:
        raise typer.Exit(1)


async def _remove() -> None:
    from shudao.database.connect import connect
    from simulators.load.register import remove

    connection = await connect()
    try:
        print(f"{await remove(connection):,} devices removed, with all that they sent")
    finally:
        await connection.close()
