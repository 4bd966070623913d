"""``shudao goals``: how far each goal is, and where the numbers come from."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shudao.cli.options import carrier_id
from shudao.vocabulary import ANY_CARRIER

if TYPE_CHECKING:
    from shudao.cli.goals_view import Report


class Language(StrEnum):
    """Languages of the titles, as an option's choices."""

    ZH = "zh"
    EN = "en"
    BOTH = "both"


def goals(
    division: Annotated[
        str, typer.Option(help="Province, prefecture or county: its code, or its name in Chinese.")
    ] = "51",
    carrier: Annotated[str, typer.Option(help="any, telecom, mobile, unicom or broadnet.")] = "any",
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the SELECTs that yield the numbers.")
    ] = False,
    lang: Annotated[Language, typer.Option(help="Language of the titles.")] = Language.BOTH,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    check: Annotated[
        Path | None, typer.Option(help="Only check a goals file, and say what is wrong in it.")
    ] = None,
) -> None:
    """Show how far each goal is: places covered, uncovered and unknown, of how many.

    Of all places some were never measured, or not freshly: they are unknown, and count neither as
    covered nor as uncovered. "Of known" leaves them out. The last evaluation is shown.

    Examples: shudao goals --division 成都市 --carrier telecom

    shudao goals --division 5101 --explain
    """
    from shudao.cli import goals_view
    from shudao.goals import load_goals

    if check is not None:
        print(f"{check}: {len(load_goals(check))} goals, all right")
        return
    report = asyncio.run(_read(division, carrier_id(carrier, any=ANY_CARRIER)))
    if as_json:
        print(goals_view.as_json(report, explain=explain))
    elif explain:
        print(goals_view.as_sql(report))
    else:
        goals_view.show(report, lang.value)


async def _read(asked: str, carrier: int) -> Report:
    from datetime import date

    from shudao.cli.goals_view import Report
    from shudao.database.connect import connect
    from shudao.evaluation.progress import find_division, latest_progress
    from shudao.goals import load_goals
    from shudao.registry.tree import check_vintage
    from shudao.settings import get_settings

    vintage = date.fromisoformat(check_vintage(get_settings().vintage))
    goals = load_goals()
    connection = await connect()
    try:
        division = await find_division(connection, vintage, asked)
        found = await latest_progress(
            connection, vintage, [goal.id for goal in goals], [division.code], carrier
        )
    finally:
        await connection.close()
    return Report(goals, vintage, division, carrier, {goal: p for (goal, _), p in found.items()})
