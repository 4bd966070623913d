"""Bring folder, data source and dashboards to a Grafana, so that pushing again changes nothing.

Everything has a fixed uid. What is equal already is left alone; what Grafana or the database does
not permit is reported with its reason, and the rest is done all the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from grafana_client.api import GrafanaApi
from grafana_client.client import GrafanaException, GrafanaUnauthorizedError
from niquests.exceptions import RequestException

from dashboards import data_source
from dashboards.build import build_all
from dashboards.grafana import Credential, answers, client, existing, reason
from dashboards.login import Login
from dashboards.province import UID as PROVINCE_UID
from shudao.errors import ShudaoError
from shudao.settings import database_url as default_database_url

__all__ = ["Credential", "Login", "Pushed", "Step", "answers", "push"]

FOLDER_UID = "shudao"
FOLDER_TITLE = "蜀道 · Shudao"

Kind = Literal["folder", "data source", "dashboard"]
Change = Literal["created", "updated", "unchanged", "failed"]


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one thing: ``problem`` says why it failed, or what is wrong with it."""

    kind: Kind
    name: str
    change: Change
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did, or would do (``dry_run``), and where to look."""

    url: str
    dry_run: bool
    steps: tuple[Step, ...]

    @property
    def problems(self) -> list[str]:
        """One line for everything that is not as it should be."""
        return [f"{step.kind} {step.name}: {step.problem}" for step in self.steps if step.problem]


def push(
    url: str,
    credential: Credential,
    *,
    database_url: str = "",
    database_host: str = "",
    login: Login | None = None,
    dry_run: bool = False,
) -> Pushed:
    """Push everything to the Grafana at ``url``.

    ``database_url`` is the database to show (default: the one of the settings), ``database_host``
    its host and port as Grafana sees them, when that differs, ``login`` a user to read it with
    (default: one is made). Raises `ShudaoError` when no Grafana answers or it does not let us in.
    """
    url = url.rstrip("/")
    if not answers(url):
        raise ShudaoError(
            f"no Grafana answers at {url}", "start one there, or correct --url or GRAFANA_URL"
        )
    database_url = database_url or default_database_url()
    wanted = data_source.Wanted(url, database_url, database_host, login, dry_run)
    try:
        steps = _push_all(client(url, credential), wanted)
    except GrafanaUnauthorizedError as error:
        raise ShudaoError(
            f"the Grafana at {url} does not let us in",
            "give --token or GRAFANA_TOKEN: in Grafana, Administration → Users and access →"
            " Service accounts, role Admin",
        ) from error
    except RequestException as error:
        raise ShudaoError(
            f"the Grafana at {url} stopped answering ({type(error).__name__})", "try again"
        ) from error
    return Pushed(f"{url}/d/{PROVINCE_UID}", dry_run, steps)


def _push_all(api: GrafanaApi, wanted: data_source.Wanted) -> tuple[Step, ...]:
    dry_run = wanted.dry_run
    steps = [
        _step("folder", FOLDER_TITLE, partial(_folder, api, dry_run)),
        _step("data source", data_source.NAME, partial(data_source.push, api, wanted)),
    ]
    for text in build_all().values():
        ours: dict[str, Any] = json.loads(text)
        steps.append(_step("dashboard", ours["title"], partial(_dashboard, api, dry_run, ours)))
    return tuple(steps)


def _step(kind: Kind, name: str, work: Callable[[], tuple[Change, str]]) -> Step:
    """Do one thing; a refusal becomes its problem, so that the others are still done."""
    try:
        return Step(kind, name, *work())
    except GrafanaUnauthorizedError:
        raise
    except GrafanaException as error:
        return Step(kind, name, "failed", reason(error))
    except ShudaoError as error:
        return Step(kind, name, "failed", str(error))


def _folder(api: GrafanaApi, dry_run: bool) -> tuple[Change, str]:
    found = existing(api.folder.get_folder, FOLDER_UID)
    if found is None:
        if not dry_run:
            api.folder.create_folder(FOLDER_TITLE, uid=FOLDER_UID)
        return "created", ""
    if found["title"] == FOLDER_TITLE:
        return "unchanged", ""
    if not dry_run:
        api.folder.update_folder(FOLDER_UID, title=FOLDER_TITLE, overwrite=True)
    return "updated", ""


def _dashboard(api: GrafanaApi, dry_run: bool, ours: dict[str, Any]) -> tuple[Change, str]:
    found = existing(api.dashboard.get_dashboard, ours["uid"])
    if found is not None and _same(found, ours):
        return "unchanged", ""
    if not dry_run:
        document = {"dashboard": ours, "folderUid": FOLDER_UID, "overwrite": True}
        api.dashboard.update_dashboard(document)
    return "created" if found is None else "updated", ""


def _same(found: dict[str, Any], ours: dict[str, Any]) -> bool:
    """Whether Grafana holds what we would send; it adds an id and counts versions."""
    theirs = {k: v for k, v in found["dashboard"].items() if k not in ("id", "version")}
    return bool(theirs == ours and found["meta"].get("folderUid") == FOLDER_UID)
