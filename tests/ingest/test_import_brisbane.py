"""The whole recording of a cable line in Brisbane: local time, and a sentinel in the ping."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.ingest.import_twice import DATA, Twice, counts, imported_twice, rows_of

FILE = "speedtests_2017-2019.csv.gz"


@pytest.fixture(scope="module")
def twice(services: tuple[str, str]) -> Iterator[Twice]:
    with imported_twice(services[0], "broadband_brisbane", DATA / FILE) as result:
        yield result


def test_every_row_is_accounted_for(twice: Twice) -> None:
    """All rows are stored but the one whose test failed."""
    assert counts(twice.first[FILE]) == {
        "read": 23_654,
        "stored": 23_653,
        "duplicates": 0,
        "empty": 1,
    }


def test_a_second_import_changes_no_number(twice: Twice) -> None:
    """Every row is a duplicate the second time, the quarantined one too."""
    assert counts(twice.second[FILE]) == {"read": 23_654, "stored": 0, "duplicates": 23_654}
    assert twice.second[FILE].new_devices == 0
    assert twice.after_second == twice.after_first


def test_naive_times_are_local(twice: Twice) -> None:
    """The first row, field by field: 23:30 in Brisbane (UTC+10, no summer time) is 13:30 UTC."""
    (row,) = rows_of(twice.url, "SELECT * FROM broadband_sample ORDER BY time LIMIT 1")
    assert row["time"] == datetime(2017, 10, 13, 13, 30, 1, tzinfo=UTC)
    assert row["down_mbps"] == pytest.approx(32.37)
    assert row["up_mbps"] == pytest.approx(1.11)
    assert row["rtt_ms"] == pytest.approx(19.176)
    assert (row["place_id"], row["carrier_id"], row["technology_id"]) == (0, 255, 12)
    for absent in ("rtt_max_ms", "jitter_ms", "loss_pct", "dns_ms", "ipv6"):
        assert row[absent] is None


def test_a_failed_test_is_no_measurement_of_zero(twice: Twice) -> None:
    """Ping 1,800,000 marks a failed test: its rates of 0 are fill, and go to quarantine."""
    (refused,) = rows_of(twice.url, "SELECT * FROM quarantine")
    assert (refused["reason"], refused["device"]) == ("empty", "brisbane")
    assert bytes(refused["payload"]).endswith(b",3.77,1800000,0,0")
    assert refused["topic"] == "import/broadband_brisbane/speedtests_2017-2019.csv"
    zero = rows_of(twice.url, "SELECT * FROM broadband_sample WHERE down_mbps = 0")
    assert zero == []


def test_rollups_equal_the_file(twice: Twice) -> None:
    """Sums over hours are those of the file's columns, to the hundredth."""
    with gzip.open(DATA / FILE, "rt", newline="") as file:
        tests = [r for r in csv.DictReader(file) if r["ping"] != "1800000"]
    down = sum(int(Decimal(r["download"]) * 100) for r in tests)
    up = sum(int(Decimal(r["upload"]) * 100) for r in tests)
    (total,) = rows_of(
        twice.url,
        "SELECT sum(down_n) n, sum(down_sum_x100) down, sum(up_sum_x100) up FROM coverage_hour"
        " WHERE carrier_id = 255 AND technology_id = 12",
    )
    assert (total["n"], total["down"], total["up"]) == (23_653, down, up)
