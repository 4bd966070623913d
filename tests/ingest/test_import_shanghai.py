"""Five 5G drive runs in Shanghai: UTM 51N, hexadecimal cells, lines longer than the header."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.ingest.import_twice import DATA, Twice, counts, imported_twice, rows_of

RUNS = {
    "arterial_n78_v60_run02.txt.gz": 1_095,
    "south_n8_v0_01.txt.gz": 1_026,
    "urban_n8_v30_run02.txt.gz": 4_296,
    "w2s_n78_v30_run03.txt.gz": 1_721,
    "w2s_n78_v50_run05.txt.gz": 841,
}


@pytest.fixture(scope="module")
def twice(services: tuple[str, str]) -> Iterator[Twice]:
    paths = [DATA / name for name in RUNS]
    with imported_twice(services[0], "drive_shanghai", *paths) as result:
        yield result


@pytest.mark.parametrize("run", RUNS)
def test_every_row_is_stored(twice: Twice, run: str) -> None:
    """No two rows of a run share a millisecond, and none is out of range."""
    assert counts(twice.first[run]) == {"read": RUNS[run], "stored": RUNS[run], "duplicates": 0}


def test_a_second_import_changes_no_number(twice: Twice) -> None:
    """Every row of every run is a duplicate the second time."""
    assert sum(i.receipt.duplicates for i in twice.second.values()) == 8_979
    assert sum(i.receipt.stored for i in twice.second.values()) == 0
    assert twice.after_second == twice.after_first


def test_a_row_keeps_its_units(twice: Twice) -> None:
    """The first row of a run whose lines are two columns longer than its header."""
    (row,) = rows_of(
        twice.url,
        "SELECT * FROM radio_sample JOIN device USING (device_id) WHERE name = %s"
        " ORDER BY time LIMIT 1",
        "shanghai-w2s_n78_v30_run03",
    )
    assert row["time"] == datetime(2024, 7, 31, 9, 29, 53, 426_000, tzinfo=UTC)
    assert (row["rsrp_dbm"], row["sinr_db"], row["rtt_ms"]) == (-89, 11, 26)
    assert row["cell_id"] == 0x5C422503D
    assert row["technology_id"] == 4
    assert (row["ecl"], row["pci"], row["attached"], row["rsrq_db"]) == (None,) * 4


def test_utm_becomes_degrees(twice: Twice) -> None:
    """328,961.18 E 3,463,475.0 N in zone 51: by Snyder's series, computed apart from PROJ."""
    (row,) = rows_of(
        twice.url,
        "SELECT lon, lat FROM radio_sample JOIN device USING (device_id) WHERE name = %s"
        " ORDER BY time LIMIT 1",
        "shanghai-w2s_n78_v30_run03",
    )
    assert row["lon"] == pytest.approx(121.202998027279, abs=1e-8)
    assert row["lat"] == pytest.approx(31.293064148710, abs=1e-8)


def test_foreign_runs_belong_to_no_place(twice: Twice) -> None:
    """Roll-ups keep them under carrier 255, place 0."""
    hours = rows_of(
        twice.url, "SELECT DISTINCT place_id, carrier_id, technology_id FROM coverage_hour"
    )
    assert hours == [{"place_id": 0, "carrier_id": 255, "technology_id": 4}]
    assert rows_of(twice.url, "SELECT * FROM coverage_minute") == []  # too old for them
