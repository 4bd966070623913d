"""Every panel's query, as Grafana sends it, on a real TimescaleDB, as the read-only login."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.dashboards.conftest import Rows
from tests.dashboards.macros import expand
from tests.dashboards.test_build import DASHBOARDS

QUERIES = [
    pytest.param(panel, target["rawSql"], id=panel["title"])
    for dashboard in DASHBOARDS.values()
    for panel in dashboard["panels"]
    for target in panel.get("targets", [])
]
VARIABLES = [
    pytest.param(variable["query"], id=variable["name"])
    for dashboard in DASHBOARDS.values()
    for variable in dashboard["templating"]["list"]
]
NUMBERS = {"int2", "int4", "int8", "float8", "numeric"}


def run(connection: Rows, sql: str) -> tuple[dict[str, str], list[tuple[object, ...]]]:
    """Columns with their types, and rows."""
    cursor = connection.execute(sql)
    columns = cursor.description or []
    types = {c.name: connection.adapters.types[c.type_code].name for c in columns}
    return types, cursor.fetchall()


def choices(connection: Rows) -> dict[str, list[str]]:
    """What each variable offers, the default first."""
    found = {}
    for variable in DASHBOARDS["shudao-province"]["templating"]["list"]:
        types, rows = run(connection, variable["query"])
        place = list(types).index("__value")
        found[variable["name"]] = [str(row[place]) for row in rows]
    return found


@pytest.mark.parametrize(("panel", "sql"), QUERIES)
@pytest.mark.parametrize("period", [timedelta(minutes=15), timedelta(days=90)])
def test_query_returns_the_columns_that_the_panel_shows(
    reader: Rows, now: datetime, panel: dict[str, Any], sql: str, period: timedelta
) -> None:
    """With the default of every variable: rows, and every column that the panel dresses."""
    chosen = {name: values[0] for name, values in choices(reader).items()}
    types, rows = run(reader, expand(sql, chosen, now - period, now))
    dressed = {o["matcher"]["options"] for o in panel["fieldConfig"]["overrides"]}
    assert dressed <= set(types)
    assert rows
    assert len(rows) < 2_000, "more than a screen can show"


@pytest.mark.parametrize(("panel", "sql"), QUERIES)
def test_query_has_the_shape_that_its_panel_needs(
    reader: Rows, now: datetime, panel: dict[str, Any], sql: str
) -> None:
    """Time series: times in order, then numbers; bars: their names, then numbers."""
    chosen = {name: values[0] for name, values in choices(reader).items()}
    types, rows = run(reader, expand(sql, chosen, now - timedelta(hours=1), now))
    first, *others = types.items()
    if panel["type"] == "timeseries":
        assert first == ("time", "timestamptz")
        assert {kind for _, kind in others} <= NUMBERS
        assert rows == sorted(rows, key=lambda row: str(row[0]))
    if panel["type"] == "barchart":
        assert first == (panel["options"]["xField"], "text")
        assert {kind for _, kind in others} <= NUMBERS


@pytest.mark.parametrize(("panel", "sql"), QUERIES)
def test_query_bears_every_choice(
    reader: Rows, now: datetime, panel: dict[str, Any], sql: str
) -> None:
    """Each value of each variable, one at a time."""
    offered = choices(reader)
    default = {name: values[0] for name, values in offered.items()}
    for name, values in offered.items():
        for value in values:
            run(reader, expand(sql, {**default, name: value}, now - timedelta(hours=1), now))


def test_queries_bear_a_database_without_any_data(empty_database_url: str) -> None:
    """A fresh installation shows empty panels, not errors; a variable may offer nothing."""
    until = datetime.now(UTC)
    with psycopg.connect(empty_database_url) as empty:
        chosen = {name: (values or [""])[0] for name, values in choices(empty).items()}
        assert chosen == {"vintage": "", "carrier": "0", "goal": ""}
        for query in QUERIES:
            sql = query.values[1]
            run(empty, expand(str(sql), chosen, until - timedelta(hours=1), until))


@pytest.mark.parametrize("sql", VARIABLES)
def test_variable_offers_values_and_texts(reader: Rows, sql: str) -> None:
    """Two text columns that Grafana knows by name, and no value twice."""
    types, rows = run(reader, sql)
    assert types == {"__value": "text", "__text": "text"}
    assert rows
    assert len({row[0] for row in rows}) == len(rows)


def test_default_choice_is_the_vintage_that_was_evaluated_last(reader: Rows) -> None:
    """The plan's vintage, all carriers together, the first clause with a target."""
    assert {name: values[0] for name, values in choices(reader).items()} == {
        "vintage": "2018-10-31",
        "carrier": "0",
        "goal": "nbiot",
    }
