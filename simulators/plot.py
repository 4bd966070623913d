"""Draw the simulated world beside real recordings, as one picture.

Each quantity has a panel: simulated histograms are filled, recorded ones are lines, and above them
each distribution is a bar from its 5th to its 95th percentile with a mark at the median.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import LogLocator, NullFormatter

from shudao.errors import ShudaoError
from shudao.vocabulary import Names
from simulators.compare import FIELDS, Group, Panel, Row
from simulators.draws import Floats
from simulators.references import Reference

SIMULATED, RECORDED = ("#2f7fc1", "#e0962d", "#c0413b"), ("#222222", "#8a3ea8", "#2c8a4b")
LOG_FIELDS = ("rtt_ms", "down_mbps", "jitter_ms")
CJK_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Microsoft YaHei", "SimHei", "PingFang SC",
)  # fmt: skip
"""Of a collection such as Debian's fonts-noto-cjk, matplotlib sees the first face, the JP one,
which has the Chinese characters too."""
TITLE = Names("模拟世界与实测记录", "The simulated world beside real recordings")
LEGEND = Names(
    "横线:第 5 至 95 百分位,标记:中位数。Δ:距离,即第 1 … 99 百分位之差的平均绝对值(Wasserstein-1);"
    "只知道所标百分位的,取这些百分位之差",
    "Bars: 5th to 95th percentile, mark: median. Δ: distance, the mean absolute difference of the"
    " percentiles 1 … 99 (Wasserstein-1), or of those marked where no others are known",
)
_BINS = 40
_TOP = 0.7
"""Histograms end at this part of a panel's height; the bars are above."""


def draw(rows: list[Row], out: Path, seed: int) -> None:
    """Write the picture as PNG. Raises `ShudaoError` when the file cannot be written."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    chinese = [name for name in CJK_FONTS if name in installed][:1]
    with matplotlib.rc_context({"font.family": [*chinese, "DejaVu Sans"], "font.size": 9}):
        figure = Figure(figsize=(15, 4.6 * len(rows)), dpi=120, layout="constrained")
        title = _text(TITLE, bool(chinese))
        legend = _text(LEGEND, bool(chinese), "\n")
        figure.suptitle(f"{title} (seed {seed})\n{legend}", fontsize=11)
        parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
        for part, row in zip(parts, rows, strict=True):
            _draw_row(part, row, bool(chinese))
        try:
            figure.savefig(out, format="png")
        except OSError as error:
            raise ShudaoError(
                f"{out} cannot be written ({error.strerror})", "name another file with --out"
            ) from error


def _text(names: Names, chinese: bool, between: str = " ") -> str:
    return names.zh + between + names.en if chinese and names.zh != names.en else names.en


def _draw_row(part: SubFigure, row: Row, chinese: bool) -> None:
    note = _text(row.note, chinese, "\n")
    part.suptitle(f"{_text(row.title, chinese)}\n{note}", fontsize=10)
    for axes, panel in zip(part.subplots(1, len(row.panels)), row.panels, strict=True):
        _Painter(axes, panel, chinese).paint()


class _Painter:
    """Draws one panel; what is drawn later has its bar below."""

    def __init__(self, axes: Axes, panel: Panel, chinese: bool) -> None:
        self._axes, self._panel, self._chinese = axes, panel, chinese
        self._edges = _edges(panel)
        self._heights = iter(np.linspace(0.97, _TOP + 0.03, 6))
        self._colours = iter(RECORDED)

    def paint(self) -> None:
        """Histograms, bars, and a legend that states the distances."""
        axes = self._axes
        for group, colour in zip(self._panel.groups, SIMULATED, strict=False):
            self._simulated(group, colour)
            for reference in group.references:
                several = len(self._panel.groups) > 1
                self._recorded(reference, group, colour if several else next(self._colours))
        name, unit = FIELDS[self._panel.field]
        axes.set(
            xlabel=f"{_text(name, self._chinese)}, {unit}", ylabel="%",
            xlim=(self._edges[0], self._edges[-1]), ylim=(0, axes.get_ylim()[1] / _TOP),
        )  # fmt: skip
        if self._panel.field in LOG_FIELDS:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter("{x:g}")
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.17), frameon=False, labelspacing=0.3
        )

    def _simulated(self, group: Group, colour: str) -> None:
        shares = np.histogram(group.simulated, self._edges)[0] / len(group.simulated)
        name = _text(group.name, self._chinese)
        self._axes.stairs(100 * shares, self._edges, fill=True, color=colour, alpha=0.4)
        self._bar(colour, "-", name, *np.percentile(group.simulated, (5, 50, 95)))

    def _recorded(self, reference: Reference, group: Group, colour: str) -> None:
        if reference.is_whole:
            share_below = np.interp(self._edges, reference.values, reference.at, 0, 100)
            self._axes.stairs(np.diff(share_below), self._edges, color=colour, linewidth=1.3)
        known: dict[float, float] = dict(zip(reference.at, reference.values, strict=True))
        distance = f"Δ {reference.distance(group.simulated):.3g} {self._panel.distance_unit}"
        label = f"{_text(reference.name, self._chinese)}: {distance}"
        self._bar(colour, "--", label, known.get(5, known[50]), known[50], known.get(95, known[50]))

    def _bar(
        self, colour: str, style: str, label: str, low: float, middle: float, high: float
    ) -> None:
        across = self._axes.get_xaxis_transform()
        height = next(self._heights)
        self._axes.plot([low, high], [height] * 2, style, color=colour, transform=across)
        marker = "o" if style == "-" else "D"
        self._axes.plot(
            [middle], [height], marker, color=colour, transform=across, label=label, markersize=5
        )


def _edges(panel: Panel) -> Floats:
    """Edges of the bins, over all that is shown; of 3 dB, since modules report whole ones."""
    ends = [np.percentile(g.simulated, (0.5, 99.5)) for g in panel.groups]
    ends += [r.values[[0, -1]] for g in panel.groups for r in g.references]
    low, high = float(np.min(ends)), float(np.max(ends))
    if panel.field in LOG_FIELDS:
        return np.geomspace(low / 1.05, high * 1.05, _BINS)
    return np.arange(np.floor(low) - 1.5, high + 3, 3.0)
