"""``shudao import``: recorded measurements of others, through a mapping profile."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from shudao.cli.options import carrier_id
from shudao.errors import ShudaoError
from shudao.vocabulary import FOREIGN_CARRIER

if TYPE_CHECKING:
    from ingest.recorded.importer import Imported, Importer
    from ingest.recorded.load import NamedProfile

INTERRUPTED = 128 + signal.SIGINT


def import_file(
    file: Annotated[
        str, typer.Argument(help="CSV or the like, .gz too; - is standard input.")
    ] = "",
    profile: Annotated[
        str,
        typer.Option("--profile", "-p", help="A name of --list, or the path of your own .toml."),
    ] = "",
    list_profiles: Annotated[bool, typer.Option("--list", help="List the profiles.")] = False,
    carrier: Annotated[
        str, typer.Option(help="The recording is of telecom, mobile, unicom or broadnet.")
    ] = "",
    place: Annotated[
        str, typer.Option(help="Code of the village where the devices stand; needs --carrier.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and check only; needs no database.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Import recorded measurements: each line once, however often it is imported.

    A profile tells which column is what, its unit, time zone and sentinels. Recordings are
    foreign and count for no goal unless --carrier says whose they are.

    Lines that cannot be used are kept in quarantine with the reason; the exit code stays 0.

    Example: shudao import speedtests_2017-2019.csv --profile broadband_brisbane
    """
    if list_profiles:
        _list(as_json=as_json)
        return
    if not file or not profile:
        raise ShudaoError(
            "an import needs a file and its profile",
            "shudao import FILE --profile NAME; `shudao import --list` shows the profiles",
        )
    imported = _import(file, profile, carrier, place, dry_run=dry_run, quiet=as_json)
    _print_json(imported, dry_run) if as_json else _print_receipt(imported, profile, dry_run)
    if not imported.complete:
        raise typer.Exit(INTERRUPTED)


def _import(
    file: str, profile: str, carrier: str, place: str, *, dry_run: bool, quiet: bool
) -> Imported:
    import asyncio

    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from ingest.receipt import Receipt
    from ingest.recorded.importer import Importer
    from ingest.recorded.load import load_profile
    from ingest.recorded.read import RecordedFile

    named = load_profile(profile)
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(file, total=None, rows=0)

        def show(opened: RecordedFile, receipt: Receipt) -> None:
            done = opened.position()
            bar.update(task, total=opened.size, completed=done, rows=receipt.received)

        whose = carrier_id(carrier) if carrier else FOREIGN_CARRIER
        importer = Importer(file, named, carrier_id=whose, place=place or None, progress=show)
        return importer.check() if dry_run else asyncio.run(_run(importer))


async def _run(importer: Importer) -> Imported:
    import asyncio

    from shudao.settings import database_url, get_settings
    from shudao.stopping import on_stop_signal

    task = asyncio.ensure_future(importer.run(database_url(), get_settings().vintage))
    with on_stop_signal(importer.stop, task.cancel, after_s=10):
        try:
            return await task
        except asyncio.CancelledError:
            typer.echo(f"stopped; the chunk in hand was not stored. {AGAIN}", err=True)
            raise typer.Exit(INTERRUPTED) from None


AGAIN = "Run it again to continue: what is stored already will not count twice."


def _list(*, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    from ingest.recorded.load import bundled_profiles

    profiles = bundled_profiles()
    if as_json:
        print(json.dumps([_described(p) for p in profiles], ensure_ascii=False, indent=2))
        return
    table = Table(Column("profile", no_wrap=True), "what", "stream", "technology", "licence")
    for named in profiles:
        p = named.profile
        table.add_row(named.name, p.title, p.stream, p.technology, p.licence)
    Console().print(table)


def _described(named: NamedProfile) -> dict[str, object]:
    keys = {"title", "origin", "licence", "stream", "technology"}
    return {"name": named.name, **named.profile.model_dump(include=keys)}


def _print_json(imported: Imported, dry_run: bool) -> None:
    receipt = imported.receipt
    told = {
        "file": imported.file, "dry_run": dry_run, "complete": imported.complete,
        "read": receipt.received, "stored": receipt.stored, "duplicates": receipt.duplicates,
        "quarantined": dict(receipt.quarantined), "new_devices": imported.new_devices,
        "seconds": round(imported.seconds, 3), "samples_per_second": _rate(imported),
    }  # fmt: skip
    print(json.dumps(told, ensure_ascii=False))


def _rate(imported: Imported) -> int:
    return round(imported.receipt.received / max(imported.seconds, 1e-9))


def _print_receipt(imported: Imported, profile: str, dry_run: bool) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    receipt = imported.receipt
    print(f"{imported.file} · {profile}")
    table = Table("rows read", Column(f"{receipt.received:,}", justify="right"))
    table.add_row("valid, nothing written" if dry_run else "stored", f"{receipt.stored:,}")
    if not dry_run:
        table.add_row("duplicates", f"{receipt.duplicates:,}")
    for reason, count in receipt.quarantined.most_common():
        table.add_row(f"{'refused' if dry_run else 'quarantined'}: {reason}", f"{count:,}")
    if not dry_run:
        table.add_row("new devices", f"{imported.new_devices:,}")
    table.add_row("samples per second", f"{_rate(imported):,}")
    Console().print(table)
    if receipt.quarantined and not dry_run:
        print(
            "See SELECT reason, detail, convert_from(payload, 'UTF8') FROM quarantine"
            f" WHERE topic = '{imported.topic}';"
        )
    if not imported.complete:
        print(f"Stopped before the end. {AGAIN}")
