"""``shudao registry``: the divisions of Sichuan, and the coordinates of its villages."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from shudao.errors import ShudaoError

if TYPE_CHECKING:
    from shudao.registry.load import Connection
    from shudao.registry.replace import Receipt

app = typer.Typer(
    no_args_is_help=True,
    help="Sichuan's divisions down to the village (NBS codes), as of 2018-10-31 and 2023-06-30.",
)

T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Vintage = Annotated[
    str, typer.Option(help="Registry vintage; SHUDAO_VINTAGE or 2018-10-31 if left out.")
]
SHOWN_REFUSALS = 10


class LevelName(StrEnum):
    """Levels of the tree, as an option's choices."""

    PROVINCE = "province"
    PREFECTURE = "prefecture"
    COUNTY = "county"
    TOWN = "town"
    VILLAGE = "village"


class CrsName(StrEnum):
    """Coordinate systems of Chinese maps, as an option's choices."""

    WGS84 = "wgs84"
    GCJ02 = "gcj02"
    BD09 = "bd09"


@app.command()
def load(
    again: Annotated[bool, typer.Option("--again", help="Rewrite what is loaded already.")] = False,
    as_json: Json = False,
) -> None:
    """Load both vintages into the database: divisions, villages, corridor segments.

    Running it again changes nothing, and surveyed coordinates always stay. The schema is created
    first where it is missing.
    """
    from rich.console import Console

    from shudao.database.migrate import migrate
    from shudao.registry.load import load_registry

    migrate()
    console = Console(stderr=True)
    with console.status("looking what is loaded") as status:
        done = _run(lambda c: load_registry(c, progress=status.update, again=again))
    if as_json:
        _print_json(done._asdict())
    elif done.vintages:
        print(
            f"loaded {', '.join(done.vintages)}:"
            f" {done.divisions:,} divisions, {done.places:,} places"
        )
    else:
        print("registry: nothing to do, both vintages are loaded")


@app.command()
def show(
    code: Annotated[str, typer.Argument(help="NBS code of 2, 4, 6, 9 or 12 digits.")],
    vintage: Vintage = "",
    as_json: Json = False,
) -> None:
    """Show a division: where it belongs, what is below it, where it lies, where that is from.

    Example: shudao registry show 510104020007
    """
    from shudao.cli.registry_view import print_division
    from shudao.registry.lookup import describe

    chosen = _vintage(vintage)
    division = _run(lambda c: describe(c, code, chosen))
    if as_json:
        _print_json(division)
    else:
        print_division(division)


@app.command()
def find(
    name: Annotated[
        list[str], typer.Argument(help="Part of a name, after names above it, if any.")
    ],
    vintage: Annotated[str, typer.Option(help="Registry vintage, or all.")] = "",
    level: Annotated[LevelName | None, typer.Option(help="Only this level.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """Find divisions by name, best match first.

    Example: shudao registry find 青石桥; shudao registry find 乐山 市中区
    """
    from shudao.cli.registry_view import print_found
    from shudao.registry.lookup import find as look
    from shudao.registry.tree import VINTAGES

    text = " ".join(name)
    vintages = VINTAGES if vintage == "all" else (_vintage(vintage),)
    chosen: Any = level.value if level else None
    rows = _run(lambda c: look(c, text, vintages, chosen, limit + 1))
    more, rows = len(rows) > limit, rows[:limit]
    if as_json:
        _print_json(rows)
    elif rows:
        print_found(rows)
    if more:
        print("… more: --limit", file=sys.stderr if as_json else sys.stdout)
    if not rows:
        raise ShudaoError(
            f"no division of {', '.join(vintages)} is called anything like {text}",
            "try fewer characters, another --level, or `--vintage all`",
        )


@app.command("import-coordinates")
def import_coordinates(
    file: Annotated[Path, typer.Argument(help="CSV with code (or county, name), lon, lat.")],
    crs: Annotated[CrsName, typer.Option(help="gcj02: Amap, Tencent; bd09: Baidu.")],
    vintage: Vintage = "",
    precision_m: Annotated[float, typer.Option(min=0.1, help="Stated accuracy, metres.")] = 10.0,
    border_m: Annotated[
        float, typer.Option(min=0, help="Accept so far outside: the boundaries are coarse.")
    ] = 0.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check only, write nothing.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="All lines or none.")] = False,
    as_json: Json = False,
) -> None:
    """Replace synthetic coordinates of villages by surveyed ones.

    Points are converted to WGS-84 and must lie in their own county. Lines that do not fit are
    refused one by one with a reason, and the exit code is 1 when there was any.

    Example: shudao registry import-coordinates villages.csv --crs gcj02 --dry-run
    """
    from shudao.registry.replace import replace_coordinates
    from shudao.registry.surveyed import check_file
    from shudao.registry.tree import check_vintage

    chosen = check_vintage(_vintage(vintage))
    checked = check_file(file, crs.value, chosen, border_m)
    receipt = _run(
        lambda c: replace_coordinates(
            c, checked, chosen, precision_m=precision_m, dry_run=dry_run, strict=strict
        )
    )
    if as_json:
        _print_json(_receipt_dict(receipt, chosen))
    else:
        _print_receipt(receipt, chosen, dry_run)
    raise typer.Exit(1 if receipt.refused else 0)


def _vintage(given: str) -> str:
    from shudao.registry.tree import check_vintage
    from shudao.settings import get_settings

    return check_vintage(given or get_settings().vintage)


def _run(work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run ``work`` on a connection of its own."""
    from shudao.database.connect import connect

    async def go() -> T:
        connection = await connect()
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(go())


def _receipt_dict(receipt: Receipt, vintage: str) -> dict[str, Any]:
    return {
        "vintage": vintage,
        "applied": receipt.applied,
        "read": receipt.read,
        "replaced": receipt.replaced,
        "unchanged": receipt.unchanged,
        "refused": receipt.refused,
        "refusals": [refusal._asdict() for refusal in receipt.refusals],
    }


def _print_receipt(receipt: Receipt, vintage: str, dry_run: bool) -> None:
    refused = sum(receipt.refused.values())
    print(
        f"{vintage}: read {receipt.read:,}, replaced {receipt.replaced:,},"
        f" unchanged {receipt.unchanged:,}, refused {refused:,}"
    )
    if not receipt.applied:
        print("nothing was written: " + ("a dry run" if dry_run else "--strict, and lines refused"))
    for reason, count in receipt.refused.items():
        print(f"  {reason}: {count:,}")
    for refusal in receipt.refusals[:SHOWN_REFUSALS]:
        print(f"  line {refusal.line}: {refusal.detail}")
    if refused > SHOWN_REFUSALS:
        print(f"  … and {refused - SHOWN_REFUSALS:,} more: --json lists them all")


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))
