"""``shudao dashboards``: Grafana's dashboards, built and pushed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shudao.errors import ShudaoError

if TYPE_CHECKING:
    from dashboards.push import Pushed

app = typer.Typer(no_args_is_help=True, help="Build Grafana's dashboards, and push them.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def build(
    out: Annotated[Path | None, typer.Option(help="Folder; default: dashboards/built.")] = None,
) -> None:
    """Write every dashboard as JSON, for Grafana's file provisioning.

    Example: shudao dashboards build --out /etc/grafana/dashboards
    """
    from dashboards.build import BUILT, write

    folder = out or BUILT
    try:
        changed = write(folder)
    except OSError as error:
        raise ShudaoError(
            f"the dashboards cannot be written to {folder} ({error.strerror})",
            "give another folder with --out",
        ) from error
    for path in changed:
        print(f"wrote {path}")
    if not changed:
        print(f"{folder}: nothing to do")


@app.command()
def push(
    url: Annotated[str, typer.Option(envvar="GRAFANA_URL", help="Where Grafana answers.")] = "",
    token: Annotated[
        str, typer.Option(envvar="GRAFANA_TOKEN", help="Of a service account with the role Admin.")
    ] = "",
    user: Annotated[str, typer.Option(envvar="GRAFANA_USER", help="Instead of a token.")] = "",
    password: Annotated[str, typer.Option(envvar="GRAFANA_PASSWORD", help="Of that user.")] = "",
    database_user: Annotated[
        str, typer.Option(help="Read the database as this user; by default one is made.")
    ] = "",
    database_password: Annotated[
        str, typer.Option(envvar="SHUDAO_GRAFANA_DATABASE_PASSWORD", help="Of that user.")
    ] = "",
    database_host: Annotated[
        str, typer.Option(help="HOST:PORT of the database as Grafana sees it, if that differs.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create or update folder, data source and dashboards; pushing again changes nothing.

    Example: GRAFANA_TOKEN=glsa_… shudao dashboards push --url http://localhost:3000
    """
    if not url:
        raise ShudaoError("no Grafana is named", "give --url, or set GRAFANA_URL")
    from dashboards.login import Login
    from dashboards.push import Credential
    from dashboards.push import push as run

    pushed = run(
        url,
        Credential(token, user, password),
        database_host=database_host,
        login=Login(database_user, database_password) if database_user else None,
        dry_run=dry_run,
    )
    if as_json:
        print(json.dumps(dataclasses.asdict(pushed), ensure_ascii=False))
    else:
        _print(pushed)
    raise typer.Exit(1 if pushed.problems else 0)


def _print(pushed: Pushed) -> None:
    for step in pushed.steps:
        would = "would be " if pushed.dry_run and step.change in ("created", "updated") else ""
        print(f"{step.kind:<12} {step.name:<28} {would}{step.change}")
        if step.problem:
            print(f"{'':<12} {step.problem}")
    if not pushed.dry_run and not pushed.problems:
        print(pushed.url)
