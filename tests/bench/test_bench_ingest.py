"""The end-to-end benchmark, tiny: its counts, not its numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.bench.ingest.processes import CHECKOUT


def test_a_tiny_run_counts_every_sample_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """From another folder: single samples and arrays, all in raw table, ledger and roll-ups."""
    home = CHECKOUT / ".shudao" / f"test-bench-{os.getpid()}"
    done = subprocess.run(
        [
            sys.executable, "-m", "shudao", "bench", "ingest", "--home", str(home), "--no-limits",
            "--messages", "2000", "--paced-seconds", "0", "--devices", "400", "--places", "100",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [p["kind"] for p in document["phases"]] == ["single", "arrays"]
    for phase, messages in zip(document["phases"], (2_000, 4), strict=True):
        published, stored = phase["published"], phase["stored"]
        assert published["samples"] - published["of_the_probe"] == 2_000
        assert published["messages"] - published["of_the_probe"] == messages
        for where in ("raw", "ledger_stored", "by_minute", "by_hour"):
            assert stored[where] == published["samples"], where
        assert stored["by_hour_rsrp_sum_x100"] == stored["raw_rsrp_sum_x100"] < 0
        assert stored["quarantined"] == stored["duplicates"] == stored["journal"] == 0
    assert not home.exists()
