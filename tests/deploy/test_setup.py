"""The set-up scripts: whole, quick when there is nothing to do, and without traces."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted([*(ROOT / "deploy").glob("*.sh"), ROOT / ".ci" / "run"])


def bash(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ | environment
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_parses_and_can_be_run(script: Path) -> None:
    """bash reads it without complaint, and it is executable."""
    assert bash("-n", script).stderr == ""
    assert script.stat().st_mode & 0o111


def test_a_run_with_nothing_to_do_does_nothing(tmp_path: Path) -> None:
    """`make test` has set up all that is needed: nothing is printed, no package manager called."""
    called = tmp_path / "called"
    for name in ("apt-get", "apt-cache", "dpkg", "sudo"):
        trap = tmp_path / name
        trap.write_text(f"#!/bin/sh\necho {name} >>{called}\nexit 1\n")
        trap.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    again = bash("deploy/setup.sh", "services", PATH=path)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert not called.exists()


def test_unknown_part_is_refused() -> None:
    """One line with the usage, and exit code 1."""
    result = bash("deploy/setup.sh", "grafana")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "error: unknown part 'grafana' → usage: deploy/setup.sh [services|python]"
    ]


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="only where there is apt")
def test_no_foreign_suite_is_enabled() -> None:
    """Building from Debian 13's source leaves apt with this release's suites only."""
    release = Path("/etc/os-release").read_text()
    if "VERSION_CODENAME=bookworm" not in release:
        pytest.skip("only Debian 12 builds from a foreign suite")
    command = ["apt-get", "indextargets", "--format", "$(CODENAME)"]
    known = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert known
    assert "trixie" not in known
