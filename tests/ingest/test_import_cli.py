"""``shudao import`` as a user meets it: receipts, exit codes, one clear line for each error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import psycopg
import pytest

from shudao.cli import main
from shudao.settings import get_settings
from tests.ingest.import_twice import DATA

RUN = DATA / "w2s_n78_v50_run05.txt.gz"
NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"
HEADER = "datetimestart,datetimestop,provider,server,distance,ping,download,upload\n"


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    error: str


class Shudao(Protocol):
    """Runs ``shudao import`` with arguments; no database unless ``url`` names one."""

    def __call__(self, *arguments: str | Path, url: str = NOWHERE) -> Done: ...


@pytest.fixture
def shudao(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shudao]:
    """The command in this process, which is seconds quicker than in one of its own."""

    def run(*arguments: str | Path, url: str = NOWHERE) -> Done:
        monkeypatch.setenv("SHUDAO_DATABASE_URL", url)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["shudao", "import", *map(str, arguments)])
        get_settings.cache_clear()
        with pytest.raises(SystemExit) as ended:
            main()
        code = ended.value.code or 0
        assert isinstance(code, int)
        return Done(code, *capsys.readouterr())

    yield run
    get_settings.cache_clear()


def test_the_receipt_adds_up(shudao: Shudao, empty_database_url: str) -> None:
    """read = stored + duplicates + quarantined, for machines."""
    done = shudao(RUN, "--profile", "drive_shanghai", "--json", url=empty_database_url)
    assert done.code == 0, done.error
    told = json.loads(done.out)
    assert told["samples_per_second"] > 0
    del told["seconds"], told["samples_per_second"]
    assert told == {
        "file": "w2s_n78_v50_run05.txt",
        "dry_run": False,
        "complete": True,
        "read": 841,
        "stored": 841,
        "duplicates": 0,
        "quarantined": {},
        "new_devices": 1,
    }


def test_quarantined_rows_are_counted_by_reason_and_can_be_found(
    shudao: Shudao, empty_database_url: str
) -> None:
    """The exit code stays 0; the receipt ends with the query that shows them."""
    path = DATA / "nbiot_invented.csv"
    done = shudao(path, "-p", "nbiot_oslo", url=empty_database_url)
    assert done.code == 0, done.error
    lines = done.out.splitlines()
    found = {
        line.split("│")[1].strip(): line.split("│")[2].strip() for line in lines if "│" in line
    }
    assert found["stored"] == "7"
    assert found["quarantined: out_of_range"] == "2"
    query = lines[-1].removeprefix("See ")
    with psycopg.connect(empty_database_url) as connection:
        assert len(connection.execute(query).fetchall()) == 8


def test_a_dry_run_needs_no_database(shudao: Shudao) -> None:
    """It reads and checks, and says what would be refused."""
    done = shudao(DATA / "nbiot_invented.csv", "-p", "nbiot_oslo", "--dry-run", "--json")
    assert done.code == 0, done.error
    told = json.loads(done.out)
    assert (told["read"], told["stored"], told["duplicates"]) == (16, 8, 0)
    assert told["quarantined"] == {
        "empty": 2,
        "out_of_range": 2,
        "invalid_field": 2,
        "contradiction": 1,
        "malformed": 1,
    }


def test_standard_input_is_read(
    shudao: Shudao, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """- stands for it."""
    piped = tmp_path / "piped"
    piped.write_text(HEADER + "2026-05-01 10:00:00,,,,1,20,50,5\n")
    with piped.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        done = shudao("-", "-p", "broadband_brisbane", "--dry-run", "--json")
    assert done.code == 0, done.error
    told = json.loads(done.out)
    assert (told["file"], told["read"], told["stored"]) == ("stdin", 1, 1)


def test_profiles_are_listed(shudao: Shudao) -> None:
    """With what they are for, and the licence of their data."""
    done = shudao("--list")
    assert done.code == 0, done.error
    for name in ("broadband_brisbane", "broadband_chicago", "drive_shanghai", "nbiot_oslo"):
        assert name in done.out
    listed = json.loads(shudao("--list", "--json").out)
    assert listed[0]["licence"] == "CC BY 4.0, WizardTim"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "an import needs a file and its profile"),
        (["/no/such.csv", "-p", "nbiot_oslo"], "/no/such.csv cannot be opened (No such file"),
        ([RUN, "-p", "drive_shanghia"], "did you mean 'drive_shanghai'?"),
        ([RUN, "-p", "broadband_brisbane"], "lacks 4 of the columns that profile broadband_br"),
        ([RUN, "-p", "drive_shanghai", "--carrier", "at&t"], "use one of telecom, mobile, unicom"),
        ([RUN, "-p", "drive_shanghai"], "the database at 127.0.0.1:9/nothing cannot be reached"),
    ],
)
def test_an_error_is_one_clear_line(
    shudao: Shudao, arguments: list[str | Path], message: str
) -> None:
    """It says what is wrong and what to do, and exits with 1."""
    done = shudao(*arguments)
    assert done.code == 1
    error = done.error.splitlines()
    assert len(error) == 1
    assert error[0].startswith("shudao: ")
    assert message in error[0]
    assert " → " in error[0]


def test_a_database_without_schema_is_told(shudao: Shudao, bare_database_url: str) -> None:
    """And how to make one."""
    done = shudao(RUN, "-p", "drive_shanghai", url=bare_database_url)
    assert done.code == 1
    assert "has no schema → run `shudao db migrate`" in done.error


def test_ctrl_c_finishes_the_chunk_in_hand(empty_database_url: str, tmp_path: Path) -> None:
    """The exit code is 130, whole chunks are stored, and the user learns how to go on."""
    path = tmp_path / "long.csv"
    clock = (
        f"2026-05-{1 + s // 86_400:02} {s // 3600 % 24:02}:{s // 60 % 60:02}:{s % 60:02}"
        for s in range(500_000)
    )
    path.write_text(HEADER + "".join(f"{t},,,,1,20,50,5\n" for t in clock))
    with subprocess.Popen(
        [sys.executable, "-m", "shudao", "import", str(path), "-p", "broadband_brisbane"],
        env={**os.environ, "SHUDAO_DATABASE_URL": empty_database_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        _wait_for_samples(empty_database_url)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert "Run it again to continue" in out.decode()
    with psycopg.connect(empty_database_url) as connection:
        stored = connection.execute("SELECT count(*) FROM broadband_sample").fetchone()
    assert stored is not None
    assert 0 < stored[0] < 500_000
    assert stored[0] % 5_000 == 0


def _wait_for_samples(url: str) -> None:
    deadline = time.monotonic() + 60
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute("SELECT 1 FROM broadband_sample LIMIT 1").fetchone() is None:
            assert time.monotonic() < deadline, "nothing was stored"
            time.sleep(0.05)
