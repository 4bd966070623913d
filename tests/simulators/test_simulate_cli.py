import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

CODE = "from shudao.cli import main; main()"
Connection: TypeAlias = "asyncpg.Connection[Any]"


def start(database_url: str, mqtt_url: str, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {
        "SHUDAO_DATABASE_URL": database_url, "SHUDAO_MQTT_URL": mqtt_url,
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", CODE, "simulate", *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_with_final_counts(
    connection: Connection, database_url: str, mqtt_url: str, number: signal.Signals
) -> None:
    """One JSON object a second; after the signal the last one is final, and the exit code 0."""
    process = start(database_url, mqtt_url, "--progress-json", "--rate", "200", "--share", "0.05")
    assert process.stdout is not None
    lines = [await asyncio.to_thread(process.stdout.readline) for _ in range(3)]
    process.send_signal(number)
    out, err = await asyncio.to_thread(process.communicate, timeout=30)
    assert process.returncode == 0, err
    *before, last = [json.loads(line) for line in [*lines, *out.splitlines()]]
    assert not any(report.get("final") for report in before)
    assert last["final"]
    assert last["samples"] == last["acknowledged_samples"] > 0
    assert last["unacknowledged"] == 0
    assert (last["prefectures"], last["carriers"]) == (21, 4)
    registered = await connection.fetchval("SELECT count(*) FROM device")
    assert registered > 0


async def test_it_stops_by_itself_and_logs_its_faults(
    connection: Connection, database_url: str, mqtt_url: str, tmp_path: Path
) -> None:
    """--for 2s at 100 a second, one prefecture and carrier; an outage, and a malformed message
    beside every tenth: as many in the log as were sent."""
    log = tmp_path / "faults.jsonl"
    process = start(
        database_url, mqtt_url, "--for", "2s", "--rate", "100", "--progress-json",
        "--prefecture", "5133", "--carrier", "telecom", "--malformed", "0.1", "--shuffled", "0",
        "--duplicates", "0", "--outage", "telecom:51:+0s:1m", "--fault-log", str(log),
    )  # fmt: skip
    out, err = await asyncio.to_thread(process.communicate, timeout=120)
    assert process.returncode == 0, err
    last = json.loads(out.splitlines()[-1])
    assert (last["prefectures"], last["carriers"]) == (1, 1)
    assert 150 <= last["messages"] - last["malformed"] <= 210
    logged = Counter(json.loads(line)["what"] for line in log.read_text().splitlines())
    assert logged == {"malformed": last["malformed"], "outage": 1}


async def test_truth_is_printed_by_goal_and_carrier(database_url: str, mqtt_url: str) -> None:
    """As JSON, for a county; an unknown goal is refused in one line."""
    process = start(
        database_url, mqtt_url, "truth", "--json", "--division", "513301", "--goal", "nbiot-general"
    )
    out, err = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 0, err
    found = json.loads(out)["goals"]
    assert [goal["goal"] for goal in found] == ["nbiot-general"]
    assert 0 <= found[0]["covered_any"] <= found[0]["places"]
    assert set(found[0]["covered_by"]) == {"telecom", "mobile", "unicom", "broadnet"}
    process = start(database_url, mqtt_url, "truth", "--goal", "teleport")
    _, err = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 1
    assert "village-fibre" in err
    assert "Traceback" not in err


def test_a_narrow_terminal_does_not_cut_goals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An id that is cut names no goal; the numbers give way instead."""
    from shudao.cli.simulate_truth import _print_table
    from simulators.truth import Truth

    monkeypatch.setenv("COLUMNS", "50")
    by = dict.fromkeys(("telecom", "mobile", "unicom", "broadnet"), 1000)
    _print_table([Truth("corridor-signal", 2000, 1000, by), Truth("ipv6", 9, 9, by)], "title")
    assert "corridor-signal" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--carrier", "vodafone"], "broadnet"),
        (["--history", "5s"], "two minutes or more"),
        (["--outage", "telecom:510104"], "CARRIER:CODE:+START:LENGTH"),
        (["--regression", "vodafone:51:+0s:5m"], "broadnet"),
        (["--fault-log", "/no/such/folder/log"], "name another file"),
    ],
)
async def test_wrong_options_are_one_clear_line(
    database_url: str, mqtt_url: str, arguments: list[str], hint: str
) -> None:
    """No traceback, exit code 1."""
    process = start(database_url, mqtt_url, *arguments)
    _, err = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 1
    assert hint in err
    assert "Traceback" not in err
