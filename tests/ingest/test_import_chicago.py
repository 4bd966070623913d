"""The whole recording of two home probes in Chicago: sparse columns, microseconds, offsets."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.ingest.import_twice import DATA, Twice, counts, imported_twice, rows_of

FILE = "tale_of_two_gigs_netrics.csv.gz"
COLUMNS = {
    "down_mbps": "speedtest_ookla_download",
    "up_mbps": "speedtest_ookla_upload",
    "rtt_ms": "speedtest_ookla_latency",
    "rtt_max_ms": "google_rtt_max_ms",
    "jitter_ms": "speedtest_ookla_jitter",
    "loss_pct": "speedtest_ookla_pktloss2",
    "dns_ms": "dns_query_avg_ms",
}


@pytest.fixture(scope="module")
def twice(services: tuple[str, str]) -> Iterator[Twice]:
    with imported_twice(services[0], "broadband_chicago", DATA / FILE) as result:
        yield result


def test_every_row_is_accounted_for(twice: Twice) -> None:
    """All rows are stored but those that hold only other tools' results."""
    assert counts(twice.first[FILE]) == {
        "read": 36_633,
        "stored": 36_370,
        "duplicates": 0,
        "empty": 263,
    }


def test_a_second_import_changes_no_number(twice: Twice) -> None:
    """Every row is a duplicate the second time, the quarantined ones too."""
    assert counts(twice.second[FILE]) == {"read": 36_633, "stored": 0, "duplicates": 36_633}
    assert twice.after_second == twice.after_first


def test_a_row_keeps_units_and_milliseconds(twice: Twice) -> None:
    """A row with nearly all columns, field by field."""
    (row,) = rows_of(
        twice.url,
        "SELECT * FROM broadband_sample JOIN device USING (device_id)"
        " WHERE time BETWEEN '2021-08-01 00:14:16Z' AND '2021-08-01 00:14:17Z'",
    )
    assert row["name"] == "chicago-hyde-park"
    assert row["time"] == datetime(2021, 8, 1, 0, 14, 16, 177_000, tzinfo=UTC)
    found = {name: row[name] for name in COLUMNS}
    assert found == {
        "down_mbps": pytest.approx(941.403216, rel=1e-6),
        "up_mbps": pytest.approx(41.31668, rel=1e-6),
        "rtt_ms": pytest.approx(7.51),
        "rtt_max_ms": pytest.approx(10.598),
        "jitter_ms": pytest.approx(1.767),
        "loss_pct": 0,
        "dns_ms": None,
    }


def test_sparse_columns_stay_absent(twice: Twice) -> None:
    """Each field has as many values as its column, no more and no fewer."""
    with gzip.open(DATA / FILE, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = {name: sum(row[column] != "" for row in rows) for name, column in COLUMNS.items()}
    assert wanted["loss_pct"] == 956
    counted = ", ".join(f"count({name}) AS {name}" for name in COLUMNS)
    assert rows_of(twice.url, f"SELECT {counted} FROM broadband_sample") == [wanted]


def test_each_probe_is_a_device(twice: Twice) -> None:
    """The two installs become two recorded devices on no carrier of ours, at no place."""
    devices = rows_of(twice.url, "SELECT * FROM device ORDER BY name")
    assert [d["name"] for d in devices] == ["chicago-hyde-park", "chicago-south-shore"]
    for device in devices:
        assert (device["kind"], device["source"]) == ("recorded", "import")
        assert (device["carrier_id"], device["place_id"]) == (255, 0)
