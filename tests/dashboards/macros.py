"""Expand a panel's SQL as Grafana does: the dashboard's variables, then the data source's macros.

After ``macros.go`` of Grafana's PostgreSQL data source and its ``sqlstring`` variable format.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta


def expand(sql: str, variables: dict[str, str], since: datetime, until: datetime) -> str:
    """The statement that reaches the database for one choice of variables and time range."""
    sql = re.sub(r"\$\{(\w+)(?::(\w+))?\}", lambda m: _variable(variables, m[1], m[2]), sql)
    sql = sql.replace("$__interval", _interval(until - since))
    sql = re.sub(r"\$__(\w+)\(([^)]*)\)", lambda m: _macro(m[1], m[2].strip(), since, until), sql)
    assert "$" not in sql, f"Grafana would refuse this: {sql}"
    return sql


def _variable(variables: dict[str, str], name: str, shape: str | None) -> str:
    value = variables[name]
    if shape == "sqlstring":
        return "'" + value.replace("'", "''") + "'"
    assert shape is None, f"unknown format {shape}"
    return value


def _interval(period: timedelta) -> str:
    """What ``$__interval`` is on a panel 1,000 pixels wide whose least interval is 1 minute."""
    rounded = ((1, "1m"), (5, "5m"), (15, "15m"), (60, "1h"), (720, "12h"), (10_080, "7d"))
    minutes = period / timedelta(minutes=1) / 1_000
    return next((text for size, text in rounded if minutes <= size), "30d")


def _macro(name: str, column: str, since: datetime, until: datetime) -> str:
    first, last = (
        f"'{t.astimezone(UTC).isoformat().replace('+00:00', 'Z')}'" for t in (since, until)
    )
    known = {
        "timeFrom": first,
        "timeTo": last,
        "timeFilter": f"{column} BETWEEN {first} AND {last}",
    }
    return known[name]
