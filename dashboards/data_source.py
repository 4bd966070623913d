"""The data source in Grafana: what it should be, and how it is created or mended."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from grafana_client.api import GrafanaApi
from grafana_client.client import GrafanaException

from dashboards.grafana import existing
from dashboards.login import Login, login_name, new_login, server_version
from dashboards.source import TYPE, UID

NAME = "蜀道 · Shudao TimescaleDB"
TLS_MODES = ("disable", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to show: see `dashboards.push.push`."""

    grafana_url: str
    database_url: str
    database_host: str
    login: Login | None
    dry_run: bool

    @property
    def user(self) -> str:
        """The database user that Grafana reads with."""
        if self.login:
            return self.login.user
        return login_name(self.database_url, self.grafana_url)


def describe(wanted: Wanted, plugin: str) -> dict[str, Any]:
    """The data source as Grafana's API takes it, without the password."""
    parts = urlsplit(wanted.database_url)
    tls = parse_qs(parts.query).get("sslmode", ["disable"])[0]
    return {
        "uid": UID,
        "name": NAME,
        "type": plugin,
        "access": "proxy",
        "url": wanted.database_host or f"{parts.hostname}:{parts.port or 5432}",
        "user": wanted.user,
        "jsonData": {
            "database": parts.path.lstrip("/"),
            "sslmode": tls if tls in TLS_MODES else "disable",
            # The newest that Grafana's list knows is 15.
            "postgresVersion": min(server_version(wanted.database_url) // 10_000, 15) * 100,
            "timescaledb": True,
            "maxOpenConns": 10,
            "maxIdleConns": 5,
            "connMaxLifetime": 14_400,
        },
    }


def push(api: GrafanaApi, wanted: Wanted) -> tuple[Literal["created", "updated", "unchanged"], str]:
    """Create or mend the data source; what was done, and what is still wrong with it.

    The login gets a new password only together with the data source, so that a refusal of either
    leaves what works working. Raises `GrafanaException` and `ShudaoError` when something is not
    permitted.
    """
    ours = describe(wanted, plugin_of(api))
    found = existing(api.datasource.get_datasource_by_uid, UID)
    if found is not None and _same(found, ours) and not wanted.login and not problem_of(api):
        return "unchanged", ""
    change: Literal["created", "updated"] = "created" if found is None else "updated"
    if wanted.dry_run:
        return change, ""
    with _login(wanted) as login:
        document = {**ours, "secureJsonData": {"password": login.password}}
        if found is None:
            api.datasource.create_datasource(document)
        else:
            api.datasource.update_datasource_by_uid(UID, document)
    return change, problem_of(api)


def _login(wanted: Wanted) -> AbstractContextManager[Login]:
    if wanted.login:
        return nullcontext(wanted.login)
    return new_login(wanted.database_url, wanted.user)


def plugin_of(api: GrafanaApi) -> str:
    """The name of the PostgreSQL plugin in this Grafana."""
    numbers = api.version.split("+")[0].split(".") if api.version else []
    version = tuple(int(n) for n in numbers if n.isdigit())
    return "postgres" if version and version < (10, 2, 3) else TYPE


def problem_of(api: GrafanaApi) -> str:
    """What Grafana says when it tries the data source; empty when it works."""
    try:
        said = api.datasource.health(UID)
    except GrafanaException as error:
        if error.status_code not in (400, 500):
            raise
        said = error.response if isinstance(error.response, dict) else {"message": error.message}
    if said.get("status") == "OK":
        return ""
    return (
        f"Grafana cannot read the database: {said.get('message', 'no reason given')}"
        " → if Grafana sees it at another address, give --database-host HOST:PORT"
    )


def _same(found: dict[str, Any], ours: dict[str, Any]) -> bool:
    """Whether everything that we would set is set so already."""
    settings = found.get("jsonData") or {}
    return all(found.get(key) == ours[key] for key in ("name", "type", "url", "user")) and all(
        settings.get(key) == value for key, value in ours["jsonData"].items()
    )
