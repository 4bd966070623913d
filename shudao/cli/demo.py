"""``shudao demo``: the whole platform, live."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer

from shudao.cli.durations import parse_duration


def demo(
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for",
            metavar="DURATION",
            parser=parse_duration,
            help="Stop by itself so long after the first sample (60s, 5m), and settle the account.",
        ),
    ] = None,
    rate: Annotated[
        int, typer.Option(min=1, help="Messages a second that the devices publish.")
    ] = 400,
    seed: Annotated[int, typer.Option(help="Of the simulated world.")] = 2018,
    grafana_url: Annotated[
        str, typer.Option(envvar="GRAFANA_URL", help="A Grafana to push the dashboards to.")
    ] = "",
) -> None:
    """Run everything and watch it live: devices → broker → ingester → TimescaleDB → goals.

    Starts a private TimescaleDB and mosquitto, the ingester, the evaluation, the API and a
    simulated Sichuan whose devices publish over MQTT. Ctrl-C stops all of it cleanly; the data
    stays in .shudao/ for the next start (delete it with `shudao local down --delete-data`).

    With --for the exit code is 0 only if everything that was published was committed.

    Examples:  shudao demo          shudao demo --for 60s          shudao demo --rate 1000
    """  # fmt: skip
    from rich.console import Console

    from shudao.demo.run import Options
    from shudao.demo.run import demo as run
    from shudao.settings import get_settings

    # Where there is no terminal, as in a pipeline, the table still needs room.
    width = None if os.isatty(1) else 140
    options = Options(rate, seconds, seed, grafana_url.rstrip("/"))
    even = asyncio.run(run(get_settings(), options, Console(width=width)))
    raise typer.Exit(0 if even else 1)
