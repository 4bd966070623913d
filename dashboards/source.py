"""The data source that every panel reads, and a query of it in the SDK's terms."""

from __future__ import annotations

from typing import Literal

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.dashboard import DataSourceRef

UID = "shudao-timescaledb"
TYPE = "grafana-postgresql-datasource"
"""Plugin of the data source; before Grafana 10.2.3 it was called ``postgres``."""

REFERENCE = DataSourceRef(type_val=TYPE, uid=UID)

Format = Literal["table", "time_series"]


class Sql(Dataquery, Builder[Dataquery]):
    """One SQL query of the PostgreSQL data source; the SDK has no model of it.

    ``sql`` may use Grafana's macros and the dashboard's variables. Its result is a table, or
    time series: a column ``time`` and one number per series.
    """

    def __init__(self, sql: str, format: Format = "table") -> None:
        self.sql = sql
        self.format = format

    def build(self) -> Dataquery:
        """The query itself: it is its own builder."""
        return self

    def to_json(self) -> dict[str, object]:
        """As the data source's query editor saves it."""
        return {
            "refId": "A",
            "datasource": REFERENCE,
            "editorMode": "code",
            "format": self.format,
            "rawQuery": True,
            "rawSql": self.sql,
        }
