"""What the demo shows: counters, parts, goals; drawn anew every second."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from shudao.demo.numbers import Numbers
from shudao.demo.process import Part
from shudao.goals import Goal

_STATE_STYLE = {"running": "green", "failed": "bold red", "stopped": "dim"}


@dataclass(slots=True)
class Scene:
    """Everything that is drawn."""

    parts: list[Part]
    goals: tuple[Goal, ...]
    vintage: str
    addresses: list[tuple[str, str]]
    numbers: Numbers = field(default_factory=Numbers)
    published: dict[str, Any] = field(default_factory=dict)
    """The simulator's last report."""
    began: float = field(default_factory=time.monotonic)
    note: str = ""
    wide: bool = True
    """Whether there is room for titles in both languages."""

    def draw(self) -> RenderableType:
        """The whole view."""
        head = Table.grid(expand=True)
        head.add_column(ratio=3)
        head.add_column(ratio=2)
        head.add_row(self._counters(), self._parts())
        return Group(head, self._goals(), self._footer())

    def _counters(self) -> Panel:
        counts, sent = self.numbers.counts, self.published
        elapsed = max(time.monotonic() - self.began, 1e-9)
        table = Table.grid(padding=(0, 2))
        table.add_column()
        table.add_column(justify="right")
        table.add_column(style="dim")
        published = int(sent.get("samples", 0))
        table.add_row("发布 published", f"{published:,}", f"{sent.get('messages', 0):,} messages")
        table.add_row("入库 committed", f"[green]{counts.stored:,}[/]",
                      f"{counts.stored / elapsed:,.0f}/s")  # fmt: skip
        table.add_row("重复 duplicates", f"{counts.duplicates:,}", "counted once")
        table.add_row("隔离 quarantined", f"[yellow]{counts.quarantined:,}[/]",
                      f"{sent.get('malformed', 0):,} sent malformed on purpose")  # fmt: skip
        table.add_row("时延 lag", _milliseconds(self.numbers.lag_mean_ms),
                      f"to commit; worst {_milliseconds(self.numbers.lag_max_ms)}")  # fmt: skip
        table.add_row("市州 prefectures", f"{self.numbers.prefectures}/21",
                      f"carriers {self.numbers.carriers}/4")  # fmt: skip
        return Panel(table, title=f"样本 Samples · {elapsed:,.0f} s", border_style="cyan")

    def _parts(self) -> Panel:
        table = Table.grid(padding=(0, 2))
        for part in self.parts:
            style = _STATE_STYLE.get(part.state, "yellow")
            table.add_row(part.name, f"[{style}]{part.state}[/]")
        for name, address in self.addresses:
            table.add_row(name, Text(address, style="blue"))
        return Panel(table, title="组件 Parts", border_style="cyan")

    def _goals(self) -> Panel:
        return Panel(
            goals_table(self.goals, self.numbers.progress, wide=self.wide),
            title=f"目标 Goals · 四川省 Sichuan · villages of {self.vintage}",
            border_style="cyan",
        )

    def _footer(self) -> Text:
        return Text(
            self.note or "Ctrl-C stops everything cleanly · 按 Ctrl-C 全部停止", style="dim"
        )


def goals_table(
    goals: tuple[Goal, ...], progress: dict[str, tuple[int, int, int, int]], *, wide: bool
) -> Table:
    """Each goal with its covered share, its unknown share and the denominator of both."""
    chinese = os.environ.get("LANG", "").startswith("zh")
    table = Table(expand=True, box=None, pad_edge=False)
    table.add_column("", ratio=3, no_wrap=not wide)
    table.add_column("", ratio=1, min_width=10)
    for heading in (
        "已覆盖\ncovered",
        "未覆盖\nuncovered",
        "未知\nunknown",
        "共\nof",
        "目标\ntarget",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for goal in goals:
        title = f"{goal.title_zh} [dim]{goal.title_en}[/]"
        if not wide:
            title = goal.title_zh if chinese else goal.title_en
        target = "–" if goal.target is None else f"{goal.target:.0%}"
        covered, uncovered, unknown, n = progress.get(goal.id, (0, 0, 0, 0))
        if not n:
            table.add_row(title, "", "–", "–", "–", "0", target)
            continue
        bar = ProgressBar(total=n, completed=covered, complete_style="green")
        table.add_row(
            title, bar, f"[green]{covered / n:.1%}[/]", f"[red]{uncovered / n:.1%}[/]",
            f"[yellow]{unknown / n:.1%}[/]", f"{n:,}", target,
        )  # fmt: skip
    return table


def _milliseconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms"
