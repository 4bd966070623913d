"""Whose the devices of a recording are, and where they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ingest.recorded.importer import Imported, Importer
from ingest.recorded.load import load_profile
from shudao.errors import ShudaoError

VINTAGE = "2018-10-31"
VILLAGE = "510104020007"
TELECOM, MOBILE = 1, 2
HEADER = "datetimestart,datetimestop,provider,server,distance,ping,download,upload\n"


def write(path: Path, days: range) -> Path:
    """A speed test a day at noon."""
    path.write_text(HEADER + "".join(f"2026-05-0{day} 12:00:00,,,,1,20,50,5\n" for day in days))
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two speed tests."""
    return write(tmp_path / "own.csv", range(1, 3))


async def run(url: str, path: Path, **options: Any) -> Imported:
    return await Importer(str(path), load_profile("broadband_brisbane"), **options).run(
        url, VINTAGE
    )


async def test_a_recording_of_ones_own_counts_for_its_village(
    database_url: str, connection: asyncpg.Connection[Any], recording: Path
) -> None:
    """With a carrier and a place, the roll-ups of that village grow."""
    imported = await run(database_url, recording, carrier_id=TELECOM, place=VILLAGE)
    assert (imported.receipt.stored, imported.new_devices) == (2, 1)
    hours = await connection.fetch(
        "SELECT code, carrier_id, down_n FROM coverage_hour JOIN place USING (place_id)"
    )
    assert [tuple(h) for h in hours] == [(VILLAGE, TELECOM, 1)] * 2


async def test_a_foreign_recording_belongs_to_no_place(
    database_url: str, connection: asyncpg.Connection[Any], recording: Path
) -> None:
    """Without a carrier it is kept apart under 255."""
    await run(database_url, recording)
    hours = await connection.fetch("SELECT DISTINCT place_id, carrier_id FROM coverage_hour")
    assert [tuple(h) for h in hours] == [(0, 255)]


async def test_a_second_import_registers_nothing_again(
    database_url: str, connection: asyncpg.Connection[Any], recording: Path
) -> None:
    """The device stays the row that it was."""
    await run(database_url, recording)
    before = await connection.fetch("SELECT * FROM device")
    again = await run(database_url, recording)
    assert again.new_devices == 0
    assert await connection.fetch("SELECT * FROM device") == before


@pytest.mark.parametrize(
    ("options", "owner"),
    [
        ({}, "with telecom at place "),
        ({"carrier_id": MOBILE, "place": VILLAGE}, "with telecom at place "),
        ({"carrier_id": TELECOM}, "with telecom at place "),
    ],
)
async def test_an_import_moves_no_device(
    database_url: str,
    connection: asyncpg.Connection[Any],
    recording: Path,
    options: dict[str, Any],
    owner: str,
) -> None:
    """A second import for another carrier or place is refused, and nothing changes."""
    await run(database_url, recording, carrier_id=TELECOM, place=VILLAGE)
    before = await connection.fetch("SELECT * FROM device")
    write(recording, range(1, 4))
    with pytest.raises(ShudaoError, match=f"device brisbane is registered already, {owner}"):
        await run(database_url, recording, **options)
    assert await connection.fetch("SELECT * FROM device") == before
    assert await connection.fetchval("SELECT count(*) FROM broadband_sample") == 2


async def test_an_unknown_village_is_refused(
    database_url: str, connection: asyncpg.Connection[Any], recording: Path
) -> None:
    """Before anything is registered."""
    with pytest.raises(ShudaoError, match="the registry of 2018-10-31 has no village 519999999999"):
        await run(database_url, recording, carrier_id=TELECOM, place="519999999999")
    assert await connection.fetchval("SELECT count(*) FROM device") == 0


def test_a_place_needs_a_carrier(recording: Path) -> None:
    """A foreign network stands at no place of ours."""
    with pytest.raises(ShudaoError, match="add --carrier"):
        Importer(str(recording), load_profile("broadband_brisbane"), place=VILLAGE)


@pytest.fixture
def long_recording(tmp_path: Path) -> Path:
    """A speed test every second, 12,000 of them."""
    path = tmp_path / "long.csv"
    clock = (f"2026-05-01 {s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in range(12_000))
    path.write_text(HEADER + "".join(f"{t},,,,1,20,50,5\n" for t in clock))
    return path


async def test_a_stopped_import_is_simply_run_again(
    empty_database_url: str, long_recording: Path
) -> None:
    """Whole chunks are stored; the second run stores the rest and counts nothing twice."""
    importer = Importer(
        str(long_recording),
        load_profile("broadband_brisbane"),
        progress=lambda _file, receipt: importer.stop() if receipt.received >= 10_000 else None,
    )
    first = await importer.run(empty_database_url, VINTAGE)
    assert (first.complete, first.receipt.stored) == (False, 10_000)
    second = await run(empty_database_url, long_recording)
    assert second.complete
    assert (second.receipt.stored, second.receipt.duplicates) == (2_000, 10_000)
    connection = await asyncpg.connect(empty_database_url)
    assert await connection.fetchval("SELECT sum(down_n) FROM coverage_hour") == 12_000
    await connection.close()
