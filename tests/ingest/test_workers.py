"""Several workers: supervised, stopped together, and nothing of another number of them is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from ingest.retire import leftovers, worker_options
from ingest.sources import SourceOptions
from ingest.workers import Supervisor
from shudao.errors import ShudaoError

OPTIONS = SourceOptions(url="mqtt://127.0.0.1:1", client_id="here")


def script(folder: Path, body: str) -> list[str]:
    """A worker that appends its number to ``started`` and then does ``body``."""
    text = f"""
import asyncio, os, sys, time
from pathlib import Path
folder = Path({str(folder)!r})
with (folder / "started").open("a") as file: print("{{worker}}", os.getpid(), file=file, flush=True)
{body}
"""
    return [sys.executable, "-c", text]


def started(folder: Path) -> list[tuple[str, int]]:
    path = folder / "started"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(line.split()[0], int(line.split()[1])) for line in lines]


async def until_started(folder: Path, count: int) -> None:
    async with asyncio.timeout(20):
        while len(started(folder)) < count:  # noqa: ASYNC110 - other processes write it
            await asyncio.sleep(0.02)


async def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    """The others go on; a stop ends them all."""
    supervisor = Supervisor(script(tmp_path, "time.sleep(60)"), 2)
    running = asyncio.create_task(supervisor.run())
    await until_started(tmp_path, 2)
    first = started(tmp_path)
    os.kill(first[0][1], signal.SIGKILL)
    await until_started(tmp_path, 3)
    again = started(tmp_path)
    assert sorted(w for w, _ in first) == ["1", "2"]
    assert again[2][0] == first[0][0]
    supervisor.stop()
    await asyncio.wait_for(running, 10)
    for _, pid in again:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_worker_that_cannot_start_ends_them_all(tmp_path: Path) -> None:
    """Three times in a row; the exit code is told."""
    running = Supervisor(script(tmp_path, "sys.exit(3)"), 1).run()
    with pytest.raises(ShudaoError, match="worker 1 ended 3 times in a row, the last time with 3"):
        await asyncio.wait_for(running, 30)
    assert len(started(tmp_path)) == 3


async def test_a_worker_whose_supervisor_was_killed_stops(tmp_path: Path) -> None:
    """No orphan goes on reading beside the workers of the next supervisor."""
    worker = script(
        tmp_path,
        "from ingest.workers import stop_with_supervisor\n"
        "async def main():\n"
        "    stop = asyncio.Event()\n"
        "    stop_with_supervisor(stop.set)\n"
        "    await stop.wait()\n"
        "    (folder / 'stopped').touch()\n"
        "asyncio.run(main())\n",
    )
    supervising = (
        "import asyncio\nfrom ingest.workers import Supervisor\n"
        f"asyncio.run(Supervisor({worker!r}, 1).run())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", supervising)
    await until_started(tmp_path, 1)
    await asyncio.sleep(0.3)
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(10):
        while not (tmp_path / "stopped").exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.02)


def test_one_worker_subscribes_alone_and_several_share() -> None:
    """Each has a session of its own, all of them one group."""
    assert worker_options(OPTIONS, 1, 0) == OPTIONS
    two = worker_options(OPTIONS, 2, 2)
    assert (two.client_id, two.topic_filter) == ("here-2", "$share/here/shudao/v1/#")


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_every_session_that_another_number_of_workers_may_have_left_is_retired(
    workers: int,
) -> None:
    """All that are possible, but those that are in use."""
    possible = {"here": "shudao/v1/#"} | {
        f"here-{i}": "$share/here/shudao/v1/#" for i in range(1, 17)
    }
    used = {worker_options(OPTIONS, workers, i).client_id for i in range(1, workers + 1)}
    left = {o.client_id: o.topic_filter for o in leftovers(OPTIONS, workers)}
    assert left == {k: v for k, v in possible.items() if k not in used}
    assert all(o.retire for o in leftovers(OPTIONS, workers))
