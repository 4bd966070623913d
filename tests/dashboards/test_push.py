"""Pushing to a Grafana: a stand-in, whose answers have the shapes of a real Grafana 12.2.0."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from dashboards import data_source
from dashboards.grafana import answers
from dashboards.login import Login, login_name
from dashboards.push import Credential, Pushed, push
from shudao.cli.dashboards import app
from shudao.errors import ShudaoError
from tests.dashboards.conftest import drop
from tests.dashboards.standin import Standin

ADMIN = Credential(token="admin")


@pytest.fixture
def grafana(shown_url: str) -> Iterator[Standin]:
    """A Grafana without anything of ours; the login that a push makes is dropped."""
    with Standin() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    drop(shown_url, login_name(shown_url, server.url))


@pytest.fixture
def closed_url() -> str:
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def changes(pushed: Pushed) -> list[str]:
    """What became of folder, data source, dashboards."""
    return [step.change for step in pushed.steps]


def test_first_push_creates_everything(grafana: Standin, shown_url: str) -> None:
    """The data source works: the stand-in signed in to the database with it."""
    pushed = push(grafana.url, ADMIN, database_url=shown_url)
    assert changes(pushed) == ["created", "created", "created"]
    assert pushed.problems == []
    assert pushed.url == f"{grafana.url}/d/shudao-province"
    assert grafana.dashboards["shudao-province"]["meta"]["folderUid"] == "shudao"
    source = grafana.sources["shudao-timescaledb"]
    assert source["type"] == "grafana-postgresql-datasource"
    assert source["jsonData"]["timescaledb"] is True


def test_second_push_changes_nothing(grafana: Standin, shown_url: str) -> None:
    """Nothing is written, and the password stays."""
    push(grafana.url, ADMIN, database_url=shown_url)
    saves = grafana.saves
    again = push(grafana.url, ADMIN, database_url=shown_url)
    assert changes(again) == ["unchanged"] * 3
    assert grafana.saves == saves


def test_push_mends_what_someone_changed(grafana: Standin, shown_url: str) -> None:
    """A renamed folder, a changed data source, an edited dashboard."""
    push(grafana.url, ADMIN, database_url=shown_url)
    grafana.folders["shudao"]["title"] = "other"
    grafana.sources["shudao-timescaledb"]["jsonData"]["timescaledb"] = False
    grafana.dashboards["shudao-province"]["dashboard"]["panels"].pop()
    assert changes(push(grafana.url, ADMIN, database_url=shown_url)) == ["updated"] * 3
    assert changes(push(grafana.url, ADMIN, database_url=shown_url)) == ["unchanged"] * 3


def test_push_mends_a_data_source_whose_login_is_gone(grafana: Standin, shown_url: str) -> None:
    """Its settings are right, but Grafana cannot read with it: it gets a new password."""
    push(grafana.url, ADMIN, database_url=shown_url)
    drop(shown_url, login_name(shown_url, grafana.url))
    again = push(grafana.url, ADMIN, database_url=shown_url)
    assert changes(again) == ["unchanged", "updated", "unchanged"]
    assert again.problems == []


def test_dry_run_changes_nothing(grafana: Standin, shown_url: str) -> None:
    """It says what would be created, and neither Grafana nor the database is touched."""
    pushed = push(grafana.url, ADMIN, database_url=shown_url, dry_run=True)
    assert changes(pushed) == ["created"] * 3
    assert grafana.saves == 0
    assert changes(push(grafana.url, ADMIN, database_url=shown_url)) == ["created"] * 3


def test_given_login_is_used(grafana: Standin, shown_url: str, login: Login) -> None:
    """No user is made."""
    pushed = push(grafana.url, ADMIN, database_url=shown_url, login=login)
    assert pushed.problems == []
    assert grafana.sources["shudao-timescaledb"]["user"] == login.user


def test_editor_is_told_what_it_may_not_do_and_pushes_the_rest(
    grafana: Standin, shown_url: str
) -> None:
    """Grafana's reason, and the role that is needed."""
    pushed = push(grafana.url, Credential(token="editor"), database_url=shown_url)
    assert changes(pushed) == ["created", "failed", "created"]
    (problem,) = pushed.problems
    assert problem.startswith(f"data source {data_source.NAME}: not permitted")
    assert problem.endswith("use a service account with the role Admin")


def test_editor_leaves_a_working_data_source_working(grafana: Standin, shown_url: str) -> None:
    """Grafana refuses the change, so the password in the database stays."""
    push(grafana.url, ADMIN, database_url=shown_url)
    editor = Credential(token="editor")
    refused = push(grafana.url, editor, database_url=shown_url, database_host="localhost:1")
    assert changes(refused) == ["unchanged", "failed", "unchanged"]
    assert changes(push(grafana.url, ADMIN, database_url=shown_url)) == ["unchanged"] * 3


def test_database_that_grafana_cannot_reach_is_a_problem(grafana: Standin, shown_url: str) -> None:
    """The data source is there, but it does not work: say so, and how to mend it."""
    pushed = push(grafana.url, ADMIN, database_url=shown_url, database_host="127.0.0.1:1")
    assert changes(pushed)[1] == "created"
    (problem,) = pushed.problems
    assert "Grafana cannot read the database" in problem
    assert "--database-host" in problem


@pytest.mark.parametrize("credential", [Credential(), Credential(token="wrong")])
def test_who_is_not_let_in_is_told_how(
    grafana: Standin, shown_url: str, credential: Credential
) -> None:
    """Nothing is pushed."""
    with pytest.raises(ShudaoError, match="does not let us in → give --token or GRAFANA_TOKEN"):
        push(grafana.url, credential, database_url=shown_url)
    assert grafana.saves == 0


def test_answers_knows_a_grafana(grafana: Standin) -> None:
    """With and without a slash at the end."""
    assert answers(grafana.url)
    assert answers(grafana.url + "/")


@pytest.mark.parametrize("url", ["", "nonsense", "http://[", "http://127.0.0.1:99999"])
def test_answers_bears_any_text(url: str) -> None:
    """GRAFANA_URL is what a user typed."""
    assert not answers(url)


def test_unreachable_grafana_is_one_clear_line(closed_url: str, shown_url: str) -> None:
    """Where, and what to correct."""
    assert not answers(closed_url)
    with pytest.raises(ShudaoError) as caught:
        push(closed_url, ADMIN, database_url=shown_url)
    assert str(caught.value) == (
        f"no Grafana answers at {closed_url} → start one there, or correct --url or GRAFANA_URL"
    )


def test_command_prints_what_it_did(
    grafana: Standin, shown_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the environment alone, as JSON; exit code 0."""
    monkeypatch.setattr("dashboards.push.default_database_url", lambda: shown_url)
    environment = {"GRAFANA_URL": grafana.url, "GRAFANA_TOKEN": "admin"}
    result = CliRunner().invoke(app, ["push", "--json"], env=environment)
    assert result.exit_code == 0
    assert [step["change"] for step in json.loads(result.stdout)["steps"]] == ["created"] * 3


def test_command_exits_with_1_when_something_failed(
    grafana: Standin, shown_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script must notice."""
    monkeypatch.setattr("dashboards.push.default_database_url", lambda: shown_url)
    result = CliRunner().invoke(app, ["push", "--url", grafana.url, "--token", "editor"])
    assert result.exit_code == 1
    assert "not permitted" in result.stdout


def test_command_without_any_grafana_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`shudao dashboards push` alone."""
    monkeypatch.delenv("GRAFANA_URL", raising=False)
    result = CliRunner().invoke(app, ["push"])
    assert str(result.exception) == "no Grafana is named → give --url, or set GRAFANA_URL"
