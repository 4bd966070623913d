"""``shudao evaluate``: states of places and progress of goals, from the roll-ups."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shudao.cli.durations import parse_duration

if TYPE_CHECKING:
    from shudao.evaluation import Evaluated


def evaluate(
    every: Annotated[
        str | None, typer.Option(help="Go on for ever, with this pause between: 5s, 1m, 1h.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each evaluation.")
    ] = False,
) -> None:
    """Evaluate all goals once, or again and again until Ctrl-C or SIGTERM.

    Reads the hourly roll-ups, writes the state of each place and today's progress of each division.
    Several may run at once. Settings: SHUDAO_DATABASE_URL, SHUDAO_GOALS_FILE, SHUDAO_VINTAGE.

    Example: shudao evaluate --every 10s
    """
    pause_s = None if every is None else parse_duration(every)
    finished = asyncio.run(_until_stopped(_evaluate(pause_s, _print_json if as_json else _print)))
    if not finished and pause_s is None:
        raise typer.Exit(1)


async def _until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Whether ``work`` finished; a signal cancels it, which rolls the goal in hand back."""
    from shudao.stopping import on_stop_signal

    task = asyncio.ensure_future(work)
    with on_stop_signal(task.cancel, task.cancel, after_s=10):
        try:
            await task
        except asyncio.CancelledError:
            return False
    return True


async def _evaluate(pause_s: float | None, report: Callable[[list[Evaluated]], None]) -> None:
    from datetime import date

    from shudao.evaluation import evaluate_for_ever, evaluate_once
    from shudao.goals import load_goals
    from shudao.registry.tree import check_vintage
    from shudao.settings import get_settings

    vintage = date.fromisoformat(check_vintage(get_settings().vintage))
    goals = load_goals()
    if pause_s is None:
        report(await evaluate_once(goals, vintage))
    else:
        await evaluate_for_ever(goals, vintage, pause_s, report)


def _print(results: list[Evaluated]) -> None:
    for r in results:
        share = f"{r.covered / r.denominator:6.1%}" if r.denominator else "     –"
        print(
            f"{r.goal:16} {share}: {r.covered:,} covered, {r.uncovered:,} uncovered,"
            f" {r.unknown:,} unknown of {r.denominator:,}; {r.changed:,} changed, {r.seconds:.1f} s"
        )
    sys.stdout.flush()


def _print_json(results: list[Evaluated]) -> None:
    print(json.dumps({"goals": [asdict(result) for result in results]}), flush=True)
