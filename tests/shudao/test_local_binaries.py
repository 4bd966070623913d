"""Finding the programs: what is missing is said in one line that tells how to get it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shudao.errors import ShudaoError
from shudao.local import binaries
from shudao.local.postgres import MIB, configuration


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of which only an empty folder is searched."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "SYSTEM_PATH", ())
    monkeypatch.setattr(binaries, "DEBIAN_POSTGRES", tmp_path / "postgresql")
    return tmp_path


def install_postgres(root: Path, major: int, *, timescaledb: bool) -> Path:
    """A PostgreSQL as Debian lays it out, as far as the search looks at it."""
    folder = root / "postgresql" / str(major) / "bin"
    library = folder.parent / "lib"
    folder.mkdir(parents=True)
    library.mkdir()
    (folder / "postgres").touch()
    (folder / "initdb").touch()
    answers = f'--version) echo "PostgreSQL {major}.4" ;; --pkglibdir) echo "{library}" ;;'
    (folder / "pg_config").write_text(f"#!/bin/sh\ncase $1 in {answers} esac\n")
    (folder / "pg_config").chmod(0o755)
    if timescaledb:
        (library / "timescaledb.so").touch()
    return folder


def test_missing_broker(nothing_installed: Path) -> None:
    """No mosquitto: the line names it and deploy/setup.sh."""
    with pytest.raises(ShudaoError, match=r"mosquitto is not installed → run deploy/setup\.sh"):
        binaries.find_mosquitto()


def test_missing_postgres(nothing_installed: Path) -> None:
    """No PostgreSQL: the line names it and deploy/setup.sh."""
    with pytest.raises(ShudaoError, match=r"no PostgreSQL server .* → run deploy/setup\.sh"):
        binaries.find_postgres()


def test_missing_timescaledb(nothing_installed: Path) -> None:
    """A PostgreSQL without TimescaleDB is named, and refused."""
    folder = install_postgres(nothing_installed, 16, timescaledb=False)
    with pytest.raises(ShudaoError, match=rf"{folder}.* without TimescaleDB → run deploy/setup"):
        binaries.find_postgres()


def test_newest_with_timescaledb_is_chosen(nothing_installed: Path) -> None:
    """A newer server without the extension does not count."""
    for major, timescaledb in ((15, True), (16, True), (17, False)):
        install_postgres(nothing_installed, major, timescaledb=timescaledb)
    assert binaries.find_postgres().major == 16


def test_version_of_the_data_is_kept(nothing_installed: Path) -> None:
    """Data of PostgreSQL 15 wants PostgreSQL 15, and nothing else."""
    for major in (15, 16):
        install_postgres(nothing_installed, major, timescaledb=True)
    assert binaries.find_postgres(15).major == 15
    with pytest.raises(ShudaoError, match="no PostgreSQL 14 server"):
        binaries.find_postgres(14)


def test_telemetry_is_switched_off_where_there_is_any(nothing_installed: Path) -> None:
    """A TimescaleDB that knows the setting gets it; one that does not is left in peace."""
    library = install_postgres(nothing_installed, 16, timescaledb=True).parent / "lib"
    server = binaries.find_postgres()
    (library / "timescaledb-2.19.3.so").write_bytes(b"\0timescaledb.license\0")
    assert not binaries.reports_home(server)
    (library / "timescaledb-2.20.0.so").write_bytes(b"\0timescaledb.telemetry_level\0")
    assert binaries.reports_home(server)
    assert "telemetry_level = off" in configuration(5432, 2**30, telemetry=True)
    assert "telemetry" not in configuration(5432, 2**30)


@given(st.integers(256 * MIB, 2**45))
def test_memory_is_shared_with_the_rest(memory: int) -> None:
    """PostgreSQL's own buffers stay between 128 MiB and 4 GiB, at most half of a small machine."""
    lines = dict(
        line.split(" = ") for line in configuration(5432, memory).splitlines() if " = " in line
    )
    shared = int(lines["shared_buffers"].removesuffix("MB")) * MIB
    assert 128 * MIB <= shared <= 4096 * MIB
    assert shared <= memory / 2
