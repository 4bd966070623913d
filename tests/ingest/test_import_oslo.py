"""NB-IoT transactions: tenths of dBm, medians, missing RSRP, times counted from a start.

The real file has no licence, so an invented one of the same shape stands in for it; name your
copy in SHUDAO_NBIOT_OSLO to test with that too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.ingest.import_twice import DATA, Twice, counts, imported_twice, rows_of

FILE = "nbiot_invented.csv"
REAL = os.environ.get("SHUDAO_NBIOT_OSLO", "")


@pytest.fixture(scope="module")
def twice(services: tuple[str, str]) -> Iterator[Twice]:
    with imported_twice(services[0], "nbiot_oslo", DATA / FILE) as result:
        yield result


def test_every_row_is_accounted_for(twice: Twice) -> None:
    """Seven good rows, one of them twice, and eight with something wrong."""
    assert counts(twice.first[FILE]) == {
        "read": 16,
        "stored": 7,
        "duplicates": 1,
        "empty": 2,
        "out_of_range": 2,
        "invalid_field": 2,
        "contradiction": 1,
        "malformed": 1,
    }


def test_a_second_import_changes_no_number(twice: Twice) -> None:
    """Every row is a duplicate the second time, the quarantined ones too."""
    assert counts(twice.second[FILE]) == {"read": 16, "stored": 0, "duplicates": 16}
    assert twice.after_second == twice.after_first


def _sample(twice: Twice, device: str, time: datetime) -> dict[str, object]:
    (row,) = rows_of(
        twice.url,
        "SELECT rsrp_dbm, ecl, tx_power_dbm, rtt_ms FROM radio_sample"
        " JOIN device USING (device_id) WHERE name = %s AND time = %s",
        device,
        time,
    )
    return row


def test_tenths_become_dbm_and_seconds_milliseconds(twice: Twice) -> None:
    """The first row: noon in Oslo in winter is 11:00 UTC."""
    assert _sample(twice, "oslo-1", datetime(2019, 2, 10, 11, 0, tzinfo=UTC)) == {
        "rsrp_dbm": -83.5,
        "ecl": 0,
        "tx_power_dbm": 4.5,
        "rtt_ms": 1250,
    }


def test_times_count_from_the_start(twice: Twice) -> None:
    """Transaction 3 at an interval of a minute comes two minutes after the start."""
    row = _sample(twice, "oslo-1", datetime(2019, 2, 10, 11, 2, tzinfo=UTC))
    assert (row["rsrp_dbm"], row["rtt_ms"]) == (-120.25, 60_500)


def test_a_series_runs_on_while_summer_time_ends(twice: Twice) -> None:
    """480 steps of 150 s after 18:00 summer time are 20 hours, whatever the wall clock did."""
    assert _sample(twice, "oslo-2", datetime(2018, 10, 27, 16, 0, tzinfo=UTC))["rsrp_dbm"] == -90
    assert _sample(twice, "oslo-2", datetime(2018, 10, 28, 12, 0, tzinfo=UTC))["rsrp_dbm"] == -90.5


def test_what_was_not_measured_stays_absent(twice: Twice) -> None:
    """A row without RSRP keeps its ECL, one with only a round trip keeps that."""
    without_rsrp = _sample(twice, "oslo-1", datetime(2019, 2, 10, 11, 3, tzinfo=UTC))
    assert without_rsrp == {"rsrp_dbm": None, "ecl": 1, "tx_power_dbm": 23, "rtt_ms": None}
    only_rtt = _sample(twice, "oslo-1", datetime(2019, 2, 10, 11, 4, tzinfo=UTC))
    assert only_rtt == {"rsrp_dbm": None, "ecl": None, "tx_power_dbm": None, "rtt_ms": 2750}


def test_sentinels_are_absent_values(twice: Twice) -> None:
    """-32768 tenths and ECL 255 leave the rest of their row usable."""
    row = _sample(twice, "oslo-1", datetime(2019, 2, 10, 11, 10, tzinfo=UTC))
    assert row == {"rsrp_dbm": None, "ecl": None, "tx_power_dbm": None, "rtt_ms": 3500}


def test_refusals_say_what_is_wrong_and_keep_the_line(twice: Twice) -> None:
    """Each refused line is in quarantine, whole, with a reason that can be acted on."""
    lines = (DATA / FILE).read_text().splitlines()
    refused = rows_of(
        twice.url, "SELECT reason, detail, payload FROM quarantine WHERE reason <> 'empty'"
    )
    found = {bytes(r["payload"]).decode(): f"{r['reason']}: {r['detail']}" for r in refused}
    wanted = {
        7: "out_of_range: ecl = 0.5 is not a whole number in 0 … 2",
        8: "out_of_range: tx_power_dbm = -1650 is not in -60 … 33",
        10: "contradiction: ECL 0 at RSRP ≤ -130 dBm",
        13: "invalid_field: line 14: rsrp_median = 'n/a' is not a number",
        14: "invalid_field: line 15: date = '12.10.2018' is not a time",
        16: "malformed: line 17: 5 columns instead of 31",
    }
    assert found.keys() == {lines[number] for number in wanted}
    for number, why in wanted.items():
        assert found[lines[number]].startswith(why)


@pytest.mark.skipif(not REAL, reason="SHUDAO_NBIOT_OSLO names no copy of connected_share.csv")
def test_the_real_file(services: tuple[str, str]) -> None:
    """All 6,013 transactions: six medians that nothing ever measured, 999 of energy only."""
    path = Path(REAL)
    with imported_twice(services[0], "nbiot_oslo", path) as twice:
        assert counts(twice.first[path.name]) == {
            "read": 6_013,
            "stored": 5_008,
            "duplicates": 0,
            "empty": 999,
            "out_of_range": 6,
        }
        assert counts(twice.second[path.name]) == {"read": 6_013, "stored": 0, "duplicates": 6_013}
        assert twice.after_second == twice.after_first
        assert twice.first[path.name].new_devices == 113
        assert rows_of(
            twice.url,
            "SELECT count(*) n, count(rsrp_dbm) rsrp, count(ecl) ecl, count(rtt_ms) rtt,"
            " count(tx_power_dbm) tx FROM radio_sample",
        ) == [{"n": 5_008, "rsrp": 2_441, "ecl": 4_399, "rtt": 3_991, "tx": 4_399}]
