"""What the panels of all dashboards share: colours, columns, variables, series."""

from __future__ import annotations

from typing import Any, TypeVar

from grafana_foundation_sdk.builders import barchart, common, gauge, table, timeseries
from grafana_foundation_sdk.builders.dashboard import FieldColor, QueryVariable
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BarGaugeValueMode,
    GraphGradientMode,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TableBarGaugeCellOptions,
    TableCellDisplayMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DynamicConfigValue,
    FieldColorModeId,
    GridPos,
    ValueMap,
    ValueMappingResult,
    VariableRefresh,
    VariableSort,
)

from dashboards.source import REFERENCE, Format, Sql

GREEN, RED, ORANGE, BLUE, GREY = "green", "red", "orange", "blue", "#8e8e8e"
SHARES = (
    ("covered_share", "覆盖率 covered %", GREEN),
    ("uncovered_share", "未覆盖率 uncovered %", RED),
    ("unknown_share", "未知率 unknown %", GREY),
)
"""Columns of the three states of places, their titles and colours, the same on every panel."""

COUNTS = (
    ("covered", "已覆盖 covered"),
    ("uncovered", "未覆盖 uncovered"),
    ("unknown", "未知 unknown"),
    ("denominator", "总数 all"),
)
"""Columns of the numbers behind the shares. Titles differ: a table finds its columns by title."""

PERCENT = {"unit": "percentunit", "decimals": 1}
NO_DATA = "尚无数据 · no data yet"


P = TypeVar("P", barchart.Panel, gauge.Panel, table.Panel, timeseries.Panel)


def panel(builder: P, title: str, description: str, sql: str, at: GridPos) -> P:
    """Give a builder its title, its one query and its place on Grafana's grid of 24 columns."""
    shape: Format = "time_series" if isinstance(builder, timeseries.Panel) else "table"
    return (
        builder.title(title)
        .description(description)
        .datasource(REFERENCE)
        .with_target(Sql(sql, shape))
        .grid_pos(at)
        .no_value(NO_DATA)
    )


def column(builder: P, name: str, title: str, **properties: object) -> P:
    """Name a column in both languages and set its properties (``__`` stands for a dot)."""
    settings: dict[str, object] = {"displayName": title, "noValue": "–"}
    settings |= {k.replace("__", "."): v for k, v in properties.items()}
    return builder.override_by_name(name, [DynamicConfigValue(k, v) for k, v in settings.items()])


def fixed(color: str) -> dict[str, str]:
    """A field's colour, whatever its value."""
    return {"mode": "fixed", "fixedColor": color}


def share_series(builder: P) -> P:
    """The three shares as series, in their colours; decimals as the axis needs them."""
    for name, title, color in SHARES:
        column(builder, name, title, color=fixed(color), unit="percentunit")
    return builder


def gauge_cell() -> TableBarGaugeCellOptions:
    """A table cell that draws its value as a bar."""
    return TableBarGaugeCellOptions(BarGaugeDisplayMode.BASIC, BarGaugeValueMode.TEXT)


def colored_text(**texts: tuple[str, str]) -> dict[str, Any]:
    """Properties of a column of codes: each code's text and colour (``_`` for a blank)."""
    options = {
        code.replace("_", " "): ValueMappingResult(text=text, color=color, index=index)
        for index, (code, (text, color)) in enumerate(texts.items())
    }
    return {
        "mappings": [ValueMap(options)],
        "custom__cellOptions": {"type": TableCellDisplayMode.COLOR_TEXT},
    }


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
    )


def _tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI)


def stacked_bars(x: str) -> barchart.Panel:
    """Horizontal bars of stacked columns, one bar for each value of the column ``x``."""
    return (
        barchart.Panel()
        .x_field(x)
        .orientation(VizOrientation.HORIZONTAL)
        .stacking(StackingMode.NORMAL)
        .show_value(VisibilityMode.NEVER)
        .bar_width(0.8)
        .group_width(0.7)
        .fill_opacity(75)
        .line_width(0)
        .x_tick_label_spacing(0)
        .full_highlight(False)
        .legend(_legend())
        .tooltip(_tooltip())
    )


def lines() -> timeseries.Panel:
    """Lines over time, nothing finer than a minute: the grain of what is stored."""
    return (
        timeseries.Panel()
        .interval("1m")
        .line_width(2)
        .fill_opacity(15)
        .gradient_mode(GraphGradientMode.OPACITY)
        .show_points(VisibilityMode.AUTO)
        .min(0)
        .legend(_legend())
        .tooltip(_tooltip())
    )


def rows() -> table.Panel:
    """A table whose columns keep the colours that they are given."""
    return (
        table.Panel()
        .show_header(True)
        .color_scheme(FieldColor().mode(FieldColorModeId.FIXED).fixed_color("text"))
    )


def variable(name: str, label: str, sql: str) -> QueryVariable:
    """A choice from the rows of ``sql`` (``__value`` and ``__text``); the first is chosen.

    Asked again at every refresh: a dashboard opened before the first evaluation fills by itself.
    """
    return (
        QueryVariable(name)
        .label(label)
        .datasource(REFERENCE)
        .query(sql)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.DISABLED)
        .multi(False)
        .include_all(False)
    )
