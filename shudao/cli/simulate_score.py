"""``shudao simulate score``: how near estimates from samples come to the truth."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shudao.errors import ShudaoError

if TYPE_CHECKING:
    from simulators.score import Score

ENOUGH = 0.95
"""Of counties: that many must be within a percentage point, or have the truth in their interval."""


def score(
    goal: Annotated[str, typer.Option(help="Only this goal; `shudao goals` lists them.")] = "",
    at: Annotated[
        list[datetime] | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="At the end of that day; may be repeated. Default: each month's end that has"
            " been evaluated, else today.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the world that was simulated.")] = 2018,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, with each county.")
    ] = False,
) -> None:
    """Compare what the samples say with the truth of the simulated world, county by county.

    Estimates a goal's covered share from the roll-ups, with a 95 % interval, as the evaluation
    would have seen it at that moment. Exit code 1 when, for a goal, in fewer than 95 % of the
    counties the estimate is within a percentage point of the truth or the interval holds it.

    Example: shudao simulate --from 2018-08-25 --to 2020-12-31, then shudao simulate score
    """
    scores = asyncio.run(_scores(goal, at or [], seed))
    if not scores:
        raise ShudaoError(
            "no county was measured enough at that time",
            "simulate first: shudao simulate --from 2018-08-25 --to 2020-12-31",
        )
    if as_json:
        import msgspec

        print(msgspec.json.encode(scores).decode())
    else:
        _print_table(scores, seed)
    if any(s.either < ENOUGH for s in scores):
        raise typer.Exit(1)


async def _scores(only: str, days: list[datetime], seed: int) -> list[Score]:
    from datetime import date

    from shudao.cli.simulate_truth import chosen_goals
    from shudao.database.connect import connect
    from shudao.evaluation.evaluate import PLANNER
    from shudao.evaluation.sql import state_sql
    from shudao.settings import get_settings
    from simulators.prepare import read_world
    from simulators.score import score as score_of

    vintage, goals = get_settings().vintage, chosen_goals(only)
    connection = await connect()
    try:
        world = await read_world(connection, vintage, seed)
        found = []
        for moment in _moments(days) or await _evaluated(connection):
            for goal in goals:
                async with connection.transaction():
                    await connection.execute(PLANNER)
                    states = await connection.fetch(
                        state_sql(goal, date.fromisoformat(vintage), moment)
                    )
                found.append(score_of(world, goal, moment, states))
        return [s for s in found if s]
    finally:
        await connection.close()


def _moments(days: list[datetime]) -> list[datetime]:
    return [day.replace(tzinfo=UTC) + timedelta(days=1) for day in days]


async def _evaluated(connection: Any) -> list[datetime]:
    """The moments at which a time lapse evaluated; now where there was none."""
    moments = await connection.fetch(
        "SELECT DISTINCT evaluated_at FROM goal_progress"
        " WHERE evaluated_at = date_trunc('day', evaluated_at) ORDER BY 1"
    )
    return [row[0] for row in moments] or [datetime.now(UTC)]


def _print_table(scores: list[Score], seed: int) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"Estimates beside the truth of the world of seed {seed}, by county, any carrier",
        title_justify="left",
        caption="within: counties at most 1 percentage point off; interval: counties whose 95 %"
        " interval holds the truth; either: the one or the other",
        caption_justify="left",
        box=box.SIMPLE,
    )
    for name in ("month", "goal"):
        table.add_column(name, no_wrap=True)
    for name in ("counties", "truth", "estimate", "within", "interval", "either"):
        table.add_column(name, justify="right", no_wrap=True)
    for s in scores:
        colour = "green" if s.either >= ENOUGH else "red"
        table.add_row(
            s.day[:7], s.goal, str(s.counties), f"{s.truth:.1%}", f"{s.estimate:.1%}",
            f"{s.within:.0%}", f"{s.inside:.0%}", f"[{colour}]{s.either:.0%}[/]",
        )  # fmt: skip
    Console().print(table)
