"""`shudao local` as typed: what it prints for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shudao.cli.local import app
from shudao.local import down
from shudao.settings import database_url, get_settings, mqtt_url


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own, chosen as a user would; afterwards nothing of it is left."""
    for name in ("SHUDAO_DATABASE_URL", "SHUDAO_MQTT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SHUDAO_HOME", str(tmp_path))
    get_settings.cache_clear()
    yield tmp_path
    down(tmp_path, delete_data=True)
    get_settings.cache_clear()


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_life_of_the_services(home: Path) -> None:
    """Up, looked at, found by every other command through the settings, down, deleted."""
    assert run("up").count("running") == 2
    told = json.loads(run("status", "--json"))
    assert [(s["name"], s["running"]) for s in told["services"]] == [
        ("postgres", True),
        ("mosquitto", True),
    ]
    assert (told["database_url"], told["mqtt_url"]) == (database_url(), mqtt_url())
    assert all(s["size"] > 0 and Path(s["log"]).exists() for s in told["services"])
    assert "stopped mosquitto and postgres" in run("down")
    assert run("status").count("stopped") == 2
    assert "data deleted" in run("down", "--delete-data")
    assert not (home / "local.json").exists()


def test_status_before_the_first_start(home: Path) -> None:
    """Looking starts nothing and makes nothing."""
    assert run("status").count("stopped") == 2
    assert list(home.iterdir()) == []
