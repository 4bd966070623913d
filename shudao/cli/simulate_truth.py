"""``shudao simulate truth``: what is really covered in the simulated world."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from shudao.errors import ShudaoError
from shudao.vocabulary import CARRIER_IDS, Carrier

if TYPE_CHECKING:
    from shudao.goals import Goal
    from simulators.truth import Truth


def truth(
    goal: Annotated[str, typer.Option(help="Only this goal; `shudao goals` lists them.")] = "",
    division: Annotated[
        str, typer.Option(help="Code of the division that counts, down to a village.")
    ] = "51",
    at: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m"], help="That day, as 2019-06; default: today."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the world.")] = 2018,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the truth: which share of a goal's places is really covered in the simulated world.

    Computed from the model, not from samples, so that an estimate can be compared with it. The
    world changes from August 2018 to December 2020, and is as at its end later.

    Examples:  shudao simulate truth --goal nbiot-general --division 5133 --at 2019-06
               shudao simulate truth --division 510104020001
    """
    day = (at or datetime.now(UTC)).date()
    asyncio.run(_truth(goal, division, day.isoformat(), seed, as_json=as_json))


def chosen_goals(only: str) -> list[Goal]:
    """All goals of the goals file, or the one that is named. Raises `ShudaoError`."""
    from shudao.goals import load_goals

    goals = [g for g in load_goals() if only in ("", g.id)]
    if not goals:
        known = ", ".join(g.id for g in load_goals())
        raise ShudaoError(f"there is no goal '{only}'", f"use one of {known}")
    return goals


async def _truth(goal: str, division: str, day: str, seed: int, *, as_json: bool) -> None:
    from datetime import date

    import msgspec

    from shudao.database.connect import connect
    from shudao.settings import get_settings
    from simulators.prepare import read_world
    from simulators.rollout import month_of
    from simulators.truth import true_coverage

    goals = chosen_goals(goal)
    connection = await connect()
    try:
        world = await read_world(connection, get_settings().vintage, seed)
    finally:
        await connection.close()
    world = world.at(month_of(date.fromisoformat(day)))
    found = [true_coverage(world, g, division) for g in goals]
    if not any(t.places for t in found):
        raise ShudaoError(
            f"the division {division} has no places that these goals count",
            "give the first digits of an NBS code, such as 51, 5133 or 513301",
        )
    if as_json:
        document = {"division": division, "seed": seed, "day": day, "goals": found}
        print(msgspec.json.encode(document).decode())
    else:
        _print_table(found, f"True coverage of {division} on {day} in the world of seed {seed}")


def _print_table(found: list[Truth], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("goal", no_wrap=True, min_width=max(len(truth.goal) for truth in found))
    for name in ("places", "any carrier", *CARRIER_IDS):
        table.add_column(name, justify="right", no_wrap=True)
    for truth in found:
        shares = [truth.share_any, *(truth.share_by(k) for k in Carrier)]
        table.add_row(truth.goal, f"{truth.places:,}", *(f"{share:.1%}" for share in shares))
    Console().print(table)
