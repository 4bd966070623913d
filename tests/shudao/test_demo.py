"""The demo as a user starts it: it settles its account, and leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shudao.demo.process import Part
from shudao.local import down, status

HOME = Path(__file__).parents[2] / ".shudao" / "test-demo"


def environment() -> dict[str, str]:
    """Ours, without services that run elsewhere: the demo brings up its own."""
    given = {k: v for k, v in os.environ.items() if not k.startswith(("SHUDAO_", "GRAFANA_"))}
    return given | {"SHUDAO_HOME": str(HOME)}


@pytest.fixture(scope="module", autouse=True)
def own_services() -> Iterator[None]:
    """A home of its own, gone afterwards."""
    down(HOME, delete_data=True)
    yield
    down(HOME, delete_data=True)


def demo(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "shudao", "demo", "--rate", "60", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(),
    )  # fmt: skip


def parts_left() -> list[str]:
    """Command lines of the demo's processes that still run."""
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            surroundings = (process / "environ").read_bytes().decode(errors="replace")
        except OSError:  # it ended while we looked
            continue
        if f"SHUDAO_HOME={HOME}\0" in surroundings and "-m shudao" in command:
            left.append(command)
    return left


def test_a_timed_demo_commits_what_it_published() -> None:
    """`--for` stops by itself, exits with 0, prints the table, and stops the services."""
    run = demo("--for", "8s")
    output, _ = run.communicate(timeout=180)
    assert run.returncode == 0, output
    assert "everything that was published is committed" in output
    assert "窄带物联网全省普遍覆盖" in output
    assert "21 of 21 prefectures and 4 of 4 carriers" in output
    assert not any(s.running for s in status(HOME))
    assert not parts_left()


def test_an_unreachable_broker_is_told_at_once() -> None:
    """One line, before anything is started that would try for long."""
    elsewhere = environment() | {"SHUDAO_MQTT_URL": "mqtt://127.0.0.1:1"}
    run = subprocess.run(
        [sys.executable, "-m", "shudao", "demo"],
        capture_output=True, text=True, env=elsewhere, timeout=60,
    )  # fmt: skip
    assert run.returncode == 1
    assert run.stderr.startswith("shudao: the MQTT broker at 127.0.0.1:1 cannot be reached")
    assert "Traceback" not in run.stderr
    assert not any(s.running for s in status(HOME))


def test_ctrl_c_stops_everything_once() -> None:
    """One SIGINT is enough; the account is settled all the same."""
    log = HOME / "demo" / "ingest.log"
    log.unlink(missing_ok=True)
    run = demo()
    began = time.monotonic()
    while not log.exists() or "stored=" not in log.read_text():
        assert time.monotonic() - began < 60, "nothing was ingested"
        assert run.poll() is None, run.communicate()[0]
        time.sleep(0.2)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 0, output
    assert "everything that was published is committed" in output
    assert not any(s.running for s in status(HOME))
    assert not parts_left()


async def test_a_part_that_dies_is_started_again(tmp_path: Path) -> None:
    """Supervised: it is tried again, and its last words are kept for the user."""
    import asyncio

    part = Part("wrong", ["no-such-command"], tmp_path / "log")
    part.start()
    async with asyncio.timeout(60):
        while not part.restarts:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert "No such command" in part.last_words()
    await part.stop()
