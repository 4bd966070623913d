"""``shudao local``: the private database and broker of this checkout."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from shudao.settings import get_settings

app = typer.Typer(
    no_args_is_help=True,
    help="The private database and broker of this checkout: start, look, stop.",
)


@app.command()
def up(
    strict: Annotated[
        bool | None,
        typer.Option(
            "--strict/--no-strict",
            help="broker writes every message to disk before it acknowledges (slow);"
            " otherwise once a second. Default: as last time",
        ),
    ] = None,
) -> None:
    """Start TimescaleDB and mosquitto on free loopback ports; what runs already stays.

    Their data, logs and addresses are kept in .shudao/ (or SHUDAO_HOME).

    Example: shudao local up && psql "$(shudao local status --json | jq -r .database_url)"
    """
    from shudao.local import up as start

    home = get_settings().home
    services = start(home, strict=strict)
    if not services.data.is_relative_to(home.resolve()):
        typer.echo(f"data is in {services.data}: the service user cannot reach {home.resolve()}")
    _show_status(as_json=False)


@app.command()
def down(
    delete_data: Annotated[
        bool, typer.Option("--delete-data", help="also delete the database and what is queued")
    ] = False,
) -> None:
    """Stop both cleanly; their data stays for the next `up`.

    Example: shudao local down
    """
    from shudao.local import down as stop

    stopped = stop(get_settings().home, delete_data=delete_data)
    typer.echo(f"stopped {' and '.join(stopped)}" if stopped else "nothing was running")
    if delete_data:
        typer.echo("data deleted")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="for machines; has the password")] = False,
) -> None:
    """Tell what runs, on which port, and how much it keeps on disk.

    Example: shudao local status --json
    """
    _show_status(as_json=as_json)


def _show_status(*, as_json: bool) -> None:
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    from shudao.local.stack import addresses
    from shudao.local.stack import status as look

    home = get_settings().home
    services = look(home)
    if as_json:
        known = {**addresses(home), "services": [asdict(s) for s in services]}
        typer.echo(json.dumps(known, indent=2, default=str))
        return
    table = Table("service", "state", "port", "pid", "on disk")
    for service in services:
        state = "[green]running[/]" if service.running else "[yellow]stopped[/]"
        port, pid = str(service.port or "–"), str(service.pid or "–")
        table.add_row(service.name, state, port, pid, decimal(service.size))
    Console().print(table)
    typer.echo(f"addresses and logs are in {home.resolve()}")
