"""The province at a glance: where every goal stands, which prefecture is behind, what arrives."""

from __future__ import annotations

from grafana_foundation_sdk.builders import barchart, common, gauge, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataTransformerConfig,
    GridPos,
)

from dashboards.panels import (
    BLUE,
    COUNTS,
    GREEN,
    GREY,
    ORANGE,
    PERCENT,
    RED,
    SHARES,
    colored_text,
    column,
    fixed,
    gauge_cell,
    lines,
    panel,
    rows,
    share_series,
    stacked_bars,
    variable,
)

UID = "shudao-province"
CHOSEN = "vintage = ${vintage:sqlstring} AND carrier_id = ${carrier:sqlstring}"
PERIOD = "$__timeFrom(), $__timeTo()"
MINUTE = "time:YYYY-MM-DD HH:mm"

VARIABLES = (
    variable(
        "vintage",
        "区划版本 · Vintage",
        "SELECT vintage AS __value, vintage AS __text FROM grafana.vintage"
        " ORDER BY evaluated_at DESC NULLS LAST, vintage",
    ),
    variable(
        "carrier",
        "运营商 · Carrier",
        "SELECT carrier_id::text AS __value, label AS __text FROM grafana.carrier"
        " WHERE carrier_id < 255 ORDER BY carrier_id",
    ),
    variable(
        "goal",
        "目标 · Goal",
        "SELECT goal AS __value, label AS __text FROM grafana.goal ORDER BY position",
    ),
)


def province() -> Dashboard:
    """The dashboard *Province*."""
    dashboard = (
        Dashboard("全省 · Province")
        .uid(UID)
        .description("目标进展、地市排名与数据接入 · Goals, prefectures and what arrives")
        .tags(["shudao"])
        .editable()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .refresh("10s")
    )
    for each in VARIABLES:
        dashboard.with_variable(each)
    dashboard.with_panel(goal_gauges()).with_panel(goal_table())
    dashboard.with_panel(goal_states()).with_panel(carriers()).with_panel(prefectures())
    dashboard.with_row(Row("数据接入 · Ingest").grid_pos(GridPos(x=0, y=38, w=24, h=1)))
    return dashboard.with_panel(ingest_rate()).with_panel(ingest_lag()).with_panel(quarantine())


def goal_gauges() -> gauge.Panel:
    """One gauge for each goal: its covered share, the target as a mark on the ring."""
    builder = (
        gauge.Panel()
        .min(0)
        .max(1)
        .unit("percentunit")
        .decimals(1)
        .show_threshold_markers(True)
        .text(common.VizTextDisplayOptions().title_size(13))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .with_transformation(DataTransformerConfig("rowsToFields", options=GAUGE_OF_EACH_ROW))
    )
    return panel(
        builder,
        "目标进展 · Goal progress",
        "已覆盖对象占全部对象的比例;外环绿色段起于目标值。绿:已达标;橙:取决于未知对象;红:未达标;"
        "蓝:规划未定指标。 · Covered places of all places; the green part of the outer ring begins"
        " at the target. Green: reached; orange: unknown places decide; red: missed;"
        " blue: no target.",
        "SELECT label, covered_share, missed_floor, open_floor, other_floor, target"
        f" FROM grafana.goal_gauge WHERE {CHOSEN} ORDER BY position",
        GridPos(x=0, y=0, w=24, h=6),
    )


def _threshold(field: str, color: str) -> dict[str, object]:
    arguments = {"threshold": {"color": color}}
    return {"fieldName": field, "handlerKey": "threshold1", "handlerArguments": arguments}


GAUGE_OF_EACH_ROW = {
    "mappings": [
        {"fieldName": "label", "handlerKey": "field.name"},
        {"fieldName": "covered_share", "handlerKey": "field.value"},
        _threshold("missed_floor", RED),
        _threshold("open_floor", ORANGE),
        _threshold("other_floor", BLUE),
        _threshold("target", GREEN),
    ]
}
"""Grafana's «rows to fields»: every row becomes a gauge with thresholds of its own."""


def goal_table() -> table.Panel:
    """The same in numbers: target, status, numerators, denominator."""
    builder = column(rows(), "label", "目标 goal", custom__minWidth=320)
    column(builder, "status", "状态 status", custom__width=140, **STATUS)
    column(builder, "target", "目标值 target", custom__width=105, unit="percentunit", decimals=0)
    look = {"color": fixed(GREEN), "custom__cellOptions": gauge_cell(), "custom__width": 160}
    column(builder, "covered_share", "覆盖率 covered %", min=0, max=1, **look, **PERCENT)
    for (name, title), width in zip(COUNTS, (122, 138, 112, 80), strict=True):
        column(builder, name, title, custom__width=width, unit="locale")
    column(builder, "deadline", "期限 deadline", custom__width=110, unit="time:YYYY-MM-DD")
    column(builder, "evaluated_at", "评估于 evaluated", custom__width=140, unit=MINUTE)
    return panel(
        builder,
        "目标一览 · Goals in numbers",
        "分母为所选区划版本的全部对象。 · The denominator is all places of the chosen vintage.",
        f"SELECT label, status, target, covered_share, {', '.join(name for name, _ in COUNTS)},"
        f" deadline, evaluated_at FROM grafana.goal_now WHERE {CHOSEN} ORDER BY position",
        GridPos(x=0, y=6, w=24, h=10),
    )


def goal_states() -> barchart.Panel:
    """Covered, uncovered and unknown shares of each goal."""
    builder = share_series(stacked_bars("label_zh").min(0).max(1).unit("percentunit"))
    return panel(
        builder.x_tick_label_max_length(14),
        "覆盖、未覆盖与未知 · Covered, uncovered and unknown",
        "未知:从未测量,或证据不够新。 · Unknown: never measured, or not freshly enough.",
        f"SELECT label_zh, {', '.join(name for name, _, _ in SHARES)} FROM grafana.goal_now"
        f" WHERE {CHOSEN} ORDER BY position",
        GridPos(x=0, y=16, w=9, h=11),
    )


STATUS = colored_text(
    reached=("已达标 reached", GREEN),
    open=("未定 open", ORANGE),
    missed=("未达标 missed", RED),
    no_target=("无指标 no target", BLUE),
    no_data=("无数据 no data", GREY),
)


def prefectures() -> table.Panel:
    """The 21 prefectures, ranked for the chosen goal and carrier."""
    builder = column(rows(), "rank", "名次 rank", custom__width=85)
    column(builder, "prefecture", "市州 prefecture", custom__width=150)
    for name, title, color in SHARES:
        look = {"color": fixed(color), "custom__cellOptions": gauge_cell()}
        column(builder, name, title, min=0, max=1, **look, **PERCENT)
    column(builder, "covered", "已覆盖 covered", custom__width=120, unit="locale")
    column(builder, "denominator", "总数 all", custom__width=80, unit="locale")
    return panel(
        builder,
        "地市排名 · Prefectures ranked: ${goal:text} · ${carrier:text}",
        "按覆盖率排名,相同时未知少者在前。 · By covered share; fewer unknown first among equals.",
        "SELECT rank, prefecture, covered_share, uncovered_share, unknown_share, covered,"
        f" denominator FROM grafana.prefecture_now WHERE goal = ${{goal:sqlstring}} AND {CHOSEN}"
        " ORDER BY rank, division",
        GridPos(x=9, y=16, w=15, h=22),
    )


def ingest_rate() -> timeseries.Panel:
    """Samples a second, by what became of them."""
    builder = lines().unit("short").axis_label("条/秒 · samples/s")
    column(builder, "stored_rate", "入库 stored", color=fixed(GREEN))
    column(builder, "duplicate_rate", "重复 duplicates", color=fixed(BLUE))
    column(builder, "quarantined_rate", "隔离 quarantined", color=fixed(RED))
    return panel(
        builder,
        "接入速率 · Ingest rate",
        "按到达时间统计。 · By time of arrival.",
        "SELECT time, stored_rate, duplicate_rate, quarantined_rate"
        f" FROM grafana.ingest_series({PERIOD}, '$__interval')",
        GridPos(x=0, y=39, w=12, h=9),
    )


def ingest_lag() -> timeseries.Panel:
    """How long samples wait between arrival and commit."""
    builder = lines().unit("ms")
    column(builder, "lag_mean_ms", "平均 mean", color=fixed(GREEN))
    column(builder, "lag_max_ms", "最大 maximum", color=fixed(ORANGE))
    return panel(
        builder,
        "接入时延 · Ingest lag",
        "从到达到提交。 · From arrival to commit.",
        f"SELECT time, lag_mean_ms, lag_max_ms FROM grafana.ingest_series({PERIOD}, '$__interval')",
        GridPos(x=12, y=39, w=12, h=9),
    )


def carriers() -> barchart.Panel:
    """What each carrier's devices sent, by stream."""
    builder = stacked_bars("carrier").unit("short")
    column(builder, "radio", "无线 radio", color=fixed(BLUE))
    column(builder, "broadband", "宽带 broadband", color=fixed("purple"))
    column(builder, "reading", "读数 reading", color=fixed(GREEN))
    return panel(
        builder,
        "各运营商样本 · Samples by carrier",
        "所选时间内入库的样本。 · Samples stored in the chosen time.",
        f"SELECT carrier, radio, broadband, reading FROM grafana.carrier_samples({PERIOD})",
        GridPos(x=0, y=27, w=9, h=11),
    )


def quarantine() -> table.Panel:
    """What was refused: each reason with its newest case."""
    builder = column(rows(), "reason", "原因 reason", custom__width=200)
    column(builder, "payloads", "条数 payloads", custom__width=110, unit="locale")
    column(builder, "newest", "最近 newest", custom__width=170, unit=f"{MINUTE}:ss")
    column(builder, "topic", "主题 topic", custom__width=420)
    column(builder, "detail", "说明 detail", custom__minWidth=200)
    return panel(
        builder,
        "隔离原因 · Quarantine by reason",
        "每种原因最近的一例。 · The newest case of each reason.",
        f"SELECT reason, payloads, newest, topic, detail FROM grafana.quarantine_reasons({PERIOD})",
        GridPos(x=0, y=48, w=24, h=8),
    )
