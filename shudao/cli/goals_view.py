"""How ``shudao goals`` shows a report: as a table, as JSON, as SQL."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from shudao.evaluation.explain import explain
from shudao.evaluation.progress import Division, Progress
from shudao.goals import Goal
from shudao.vocabulary import ANY_CARRIER, CARRIER_NAMES, Carrier

NONE = "–"
WIDTH = 120
CHANGED = "criteria changed, run `shudao evaluate`"


@dataclass(frozen=True, slots=True)
class Report:
    """The newest progress of each goal, in one division and for one carrier, by the goal's id."""

    goals: tuple[Goal, ...]
    vintage: date
    division: Division
    carrier: int
    progress: dict[str, Progress]

    @property
    def outdated(self) -> list[str]:
        """Goals whose criteria changed since their progress was evaluated."""
        return [
            goal.id
            for goal in self.goals
            if goal.id in self.progress and self.progress[goal.id].criteria != goal.criteria.version
        ]

    @property
    def carrier_name(self) -> str:
        """In both languages."""
        if self.carrier == ANY_CARRIER:
            return "任一运营商 any carrier"
        return " ".join(CARRIER_NAMES[Carrier(self.carrier)])


def show(report: Report, language: str) -> None:
    """Print the table of goals: counts, and below them their shares of all places."""
    table = Table(
        title=_title(report), caption=_caption(report), box=SIMPLE, padding=(0, 1, 0, 0),
        title_justify="left", caption_justify="left",
    )  # fmt: skip
    table.add_column("目标 goal", overflow="fold")
    for heading in (
        "应达\ntarget", "已覆盖\ncovered", "未覆盖\nnot", "未知\nunknown", "共\nof",
        "占已知\nof known", "标准\nv",
    ):  # fmt: skip
        table.add_column(heading, justify="right", no_wrap=True)
    for goal in report.goals:
        table.add_row(*_row(goal, report.progress.get(goal.id), language))
    console = Console()
    # A pipe has no width: take what the table needs.
    (console if console.is_terminal else Console(width=WIDTH)).print(table)


def _title(report: Report) -> str:
    return f"{report.division.name} {report.division.code} · {report.carrier_name}"


def _caption(report: Report) -> str:
    counted = f"places counted as of {report.vintage} 行政区划口径"
    if not report.progress:
        return f"{counted}; nothing is evaluated here yet: run `shudao evaluate`"
    newest = max(progress.evaluated_at for progress in report.progress.values())
    none = "" if len(report.progress) == len(report.goals) else f"; {NONE}: no such place here"
    changed = f"; {CHANGED}: {', '.join(report.outdated)}" if report.outdated else ""
    return f"{counted}, evaluated {newest:%Y-%m-%d %H:%M:%S} UTC{none}{changed}"


def _row(goal: Goal, progress: Progress | None, language: str) -> list[str]:
    both = f"{goal.title_zh}\n[dim]{goal.title_en}[/]"
    title = {"zh": goal.title_zh, "en": goal.title_en, "both": both}[language]
    target = NONE if goal.target is None else f"{goal.target:.0%}\n[dim]{goal.deadline or ''}[/]"
    if progress is None:
        return [title, target, *[NONE] * 5, goal.criteria.version]
    of = progress.denominator
    counts = [
        f"{count:,}\n[dim]{count / of:.1%}[/]"
        for count in (progress.covered, progress.uncovered, progress.unknown)
    ]
    measured = progress.share_of_measured
    return [
        title, target, *counts, f"{of:,}", NONE if measured is None else f"{measured:.1%}",
        progress.criteria,
    ]  # fmt: skip


def as_json(report: Report, *, explain: bool) -> str:
    """The report for machines; shares are fractions, null where nothing is known."""
    return json.dumps(
        {
            "vintage": str(report.vintage),
            "division": asdict(report.division),
            "carrier_id": report.carrier,
            "goals": [_object(report, goal, with_sql=explain) for goal in report.goals],
        },
        ensure_ascii=False,
        indent=2,
    )


def _object(report: Report, goal: Goal, *, with_sql: bool) -> dict[str, Any]:
    progress = report.progress.get(goal.id)
    return {
        "id": goal.id,
        "clause": goal.clause,
        "title_zh": goal.title_zh,
        "title_en": goal.title_en,
        "target": goal.target,
        "deadline": goal.deadline and str(goal.deadline),
        "progress": progress and _numbers(progress),
        "criteria_changed": goal.id in report.outdated,
        **({"sql": _sql(report, goal)} if with_sql else {}),
    }


def _sql(report: Report, goal: Goal) -> dict[str, str] | None:
    """The SELECTs of a goal; None where they would not yield the stored numbers."""
    progress = report.progress.get(goal.id)
    if progress is None or goal.id in report.outdated:
        return None
    return explain(goal, report.vintage, progress)


def _numbers(progress: Progress) -> dict[str, Any]:
    return {
        "covered": progress.covered,
        "uncovered": progress.uncovered,
        "unknown": progress.unknown,
        "denominator": progress.denominator,
        "share": progress.share,
        "unknown_share": progress.unknown_share,
        "share_of_measured": progress.share_of_measured,
        "criteria": progress.criteria,
        "day": str(progress.day),
        "evaluated_at": progress.evaluated_at.isoformat(),
    }


def as_sql(report: Report) -> str:
    """Each goal's numbers as a comment, and the two SELECTs that yield them."""
    parts = [f"-- {_title(report)}; {_caption(report)}"]
    for goal in report.goals:
        if (progress := report.progress.get(goal.id)) is None:
            parts.append(f"-- {goal.id}: no such place here, or not evaluated yet")
            continue
        numbers = f"covered {progress.covered}, uncovered {progress.uncovered}, unknown"
        numbers += f" {progress.unknown} of {progress.denominator}, criteria {progress.criteria}"
        parts.append(f"-- {goal.id} ({goal.title_zh} {goal.title_en}): {numbers}")
        if (sql := _sql(report, goal)) is None:
            parts.append(f"-- {goal.id}: {CHANGED}; the goals file has {goal.criteria.version} now")
            continue
        parts += [
            f"-- {goal.id}, from the roll-ups, as of the evaluation:\n{sql['from_rollups']}",
            f"-- {goal.id}, from the stored states:\n{sql['from_states']}",
        ]
    return "\n\n".join(parts)
