"""Settings that are wrong: one clear line each, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shudao.broker_address import broker_address
from shudao.errors import ShudaoError
from shudao.settings import get_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [("BATCH_MS", "0"), ("BATCH_MS", "abc"), ("RECEIVE_MAXIMUM", "65536"), ("API_PORT", "-1")],
)
def test_a_wrong_number_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable, what it holds, and what would be right."""
    monkeypatch.setenv(f"SHUDAO_{name}", value)
    get_settings.cache_clear()
    with pytest.raises(ShudaoError, match=rf"SHUDAO_{name} = '{value}': Input should be"):
        get_settings()
    get_settings.cache_clear()


@pytest.mark.parametrize("url", ["tcp://h:1883", "h:1883", "mqtt://", "mqtt://u:secret@h:x", ""])
def test_what_is_no_broker_address_is_refused(url: str) -> None:
    """Nothing is guessed, and no password is shown."""
    with pytest.raises(ShudaoError, match=r"is no MQTT address.*SHUDAO_MQTT_URL") as refused:
        broker_address(url)
    assert "secret" not in str(refused.value)


def test_a_broker_address_has_the_port_of_its_scheme() -> None:
    """1883, or 8883 with TLS; user and password are decoded."""
    assert (str(broker_address("mqtt://h")), str(broker_address("mqtts://h"))) == (
        "h:1883",
        "h:8883",
    )
    address = broker_address("mqtts://me:a%40b@h:99")
    assert (address.user, address.password, address.port) == ("me", "a@b", 99)
    assert address.tls is not None


def test_ingest_needs_the_schema(bare_database_url: str, mqtt_url: str) -> None:
    """It says so at the start, not at the first message."""
    run = subprocess.run(
        [sys.executable, "-m", "shudao", "ingest"],
        capture_output=True, text=True, timeout=60,
        env=os.environ | {"SHUDAO_DATABASE_URL": bare_database_url, "SHUDAO_MQTT_URL": mqtt_url},
    )  # fmt: skip
    assert run.returncode == 1
    assert "schema is not there" in run.stderr
    assert "run `shudao db migrate`" in run.stderr
    assert "Traceback" not in run.stderr
