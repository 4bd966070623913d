"""``shudao bench``: how fast it is, on this machine; the benchmarks are in the source tree."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from shudao.errors import ShudaoError
from shudao.settings import get_settings

app = typer.Typer(
    no_args_is_help=True,
    help="Benchmarks, with services and data of their own; they need the source tree.",
)
_LOG_WIDTH = 165
_CHECKOUT = Path(__file__).resolve().parents[2]


class BenchSource(StrEnum):
    """How the ingester receives; all: mqtt5, then aiomqtt."""

    AUTO = "auto"
    MQTT5 = "mqtt5"
    AIOMQTT = "aiomqtt"
    ALL = "all"


class BenchKind(StrEnum):
    """What is published."""

    SINGLE = "single"
    ARRAYS = "arrays"
    PACED = "paced"


@app.callback()
def _group() -> None:
    """Keep `ingest` a subcommand, although it is the only one."""


@app.command()
def ingest(
    source: Annotated[
        list[BenchSource] | None,
        typer.Option(help="How the ingester receives; may be repeated. Default: auto."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=16, help="Processes of the ingester.")] = 1,
    seconds: Annotated[
        float, typer.Option(min=1, help="How long to publish in each phase at full speed.")
    ] = 20.0,
    messages: Annotated[
        int,
        typer.Option(min=0, help="Publish so many instead; of arrays as many samples, rounded up."),
    ] = 0,
    kind: Annotated[
        list[BenchKind] | None,
        typer.Option(
            help="single: one sample a message; arrays: --per-array samples a message; paced:"
            " single ones at --paced-rate. May be repeated. Default: all three."
        ),
    ] = None,
    baseline: Annotated[
        bool,
        typer.Option(
            "--baseline",
            help="Also measure the plain way on the same broker and database: aiomqtt, json.loads,"
            " executemany into the raw table every 200 ms.",
        ),
    ] = False,
    limits: Annotated[
        bool,
        typer.Option(help="Also measure what COPY alone, and receiving alone, could reach."),
    ] = True,
    window: Annotated[
        int,
        typer.Option(
            min=1_000,
            help="Samples published and not yet committed, at most: keeps the broker's queue short."
            " The publish-to-queryable time at full speed is about this over the rate.",
        ),
    ] = 150_000,
    array_window: Annotated[
        int, typer.Option(min=1_000, help="The same for arrays, of which fewer fill a batch.")
    ] = 300_000,
    paced_rate: Annotated[
        float, typer.Option(min=1, help="Messages a second of the paced phase.")
    ] = 10_000.0,
    paced_seconds: Annotated[
        float, typer.Option(min=0, help="Length of the paced phase; 0: none.")
    ] = 15.0,
    devices: Annotated[
        int, typer.Option(min=8, help="Registered devices, evenly over places and carriers.")
    ] = 200_000,
    places: Annotated[int, typer.Option(min=1, help="Registered villages.")] = 53_578,
    per_array: Annotated[
        int, typer.Option(min=1, max=50_000, help="Samples in a message of the arrays phase.")
    ] = 500,
    connections: Annotated[
        int, typer.Option(min=4, help="Of the publisher; a multiple of the four carriers.")
    ] = 4,
    home: Annotated[
        Path | None,
        typer.Option(help="Where its broker and database live meanwhile. Default: .shudao/bench."),
    ] = None,
) -> None:
    """Measure the ingester end to end: broker → `shudao ingest` → database, every sample counted.

    Starts a broker and a database of its own, feeds the real process at full speed, and tells
    samples per second committed, CPU per million samples of each part, how long until a sample can
    be selected, and memory. Prints one JSON document on standard output, a table and progress on
    standard error. Exit code 1 when what is stored is not exactly what was published. Everything is
    stopped and deleted at the end, and on Ctrl-C. SHUDAO_BATCH_… and the like reach the ingester.

    Examples: shudao bench ingest · shudao bench ingest --source all --baseline >bench.json ·
    shudao bench ingest --kind single --seconds 600 (does memory stay flat?)
    """
    _find_source_tree()
    from rich.console import Console

    from tests.bench.ingest.options import Options
    from tests.bench.ingest.report import table
    from tests.bench.ingest.run import run

    if connections % 4:
        raise typer.BadParameter("a multiple of 4", param_hint="--connections")
    kinds = kind or list(BenchKind)
    console = Console(stderr=True, width=None if sys.stderr.isatty() else _LOG_WIDTH)
    document = run(
        Options(
            home=home or get_settings().home / "bench",
            sources=_sources(source or [BenchSource.AUTO]),
            workers=workers,
            kinds=tuple(k.value for k in kinds if k is not BenchKind.PACED or paced_seconds),
            seconds=seconds,
            messages=messages,
            devices=devices,
            places=places,
            per_array=per_array,
            window=window,
            array_window=array_window,
            connections=connections,
            paced_rate=paced_rate,
            paced_seconds=paced_seconds,
            baseline=baseline,
            limits=limits,
        ),
        console,
    )
    console.print(table(document))
    print(json.dumps(document, indent=2, ensure_ascii=False))
    if not document["ok"]:
        raise typer.Exit(1)


def _sources(asked: list[BenchSource]) -> tuple[str, ...]:
    both = [BenchSource.MQTT5, BenchSource.AIOMQTT]
    wanted = [s for a in asked for s in (both if a is BenchSource.ALL else [a])]
    return tuple(dict.fromkeys(s.value for s in wanted))


def _find_source_tree() -> None:
    """Make `tests` importable from any folder. Raises `ShudaoError` where there is none."""
    if not (_CHECKOUT / "tests" / "bench" / "ingest" / "run.py").exists():
        raise ShudaoError(
            "the benchmarks are not part of the installed package",
            "run this from a checkout: git clone, make setup, .venv/bin/shudao bench ingest",
        )
    if str(_CHECKOUT) not in sys.path:
        sys.path.insert(0, str(_CHECKOUT))
