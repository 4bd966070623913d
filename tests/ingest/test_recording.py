"""A recorded file as the messages that its devices would have sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingest.recorded.load import load_profile, recognise
from ingest.recorded.recording import Recording, read_recording
from shudao.errors import ShudaoError
from shudao.vocabulary import Carrier
from tests.ingest.import_twice import DATA


def recording(path: Path, profile: str) -> Recording:
    return read_recording(str(path), load_profile(profile), Carrier.UNICOM)


@pytest.mark.parametrize(
    ("file", "profile"),
    [
        ("speedtests_2017-2019.csv.gz", "broadband_brisbane"),
        ("tale_of_two_gigs_netrics.csv.gz", "broadband_chicago"),
        ("south_n8_v0_01.txt.gz", "drive_shanghai"),
        ("nbiot_invented.csv", "nbiot_oslo"),
    ],
)
def test_the_profile_of_a_file_is_known_by_its_columns(file: str, profile: str) -> None:
    """Nobody has to name it."""
    assert recognise(str(DATA / file)).name == profile


@pytest.mark.parametrize("path", [DATA / "README.md", Path("-")])
def test_a_file_that_no_profile_fits_is_told(path: Path) -> None:
    """With what to do; standard input cannot be looked at twice."""
    with pytest.raises(ShudaoError, match=r"0 of the profiles fit .* → name one: --profile"):
        recognise(str(path))


def test_messages_come_by_time_and_hold_what_was_measured(tmp_path: Path) -> None:
    """Lines of one instant stay in their order; a line that holds no sample is counted."""
    path = tmp_path / "tests.csv"
    path.write_text(
        "datetimestart,ping,download,upload\n"
        "2018-06-01 10:30:00,12.5,80,\n"
        "2018-06-01 10:00:00,20,50,5\n"
        "yesterday,20,50,5\n"
        "2018-06-01 10:30:00,13,81,8\n"
    )
    found = recording(path, "broadband_brisbane")
    sent = list(found.messages(Carrier.UNICOM, shift_ms=7))
    assert {where for _, where, _ in sent} == {"shudao/v1/unicom/broadband/brisbane"}
    first = 1_527_811_200_007
    assert [time_ms for time_ms, _, _ in sent] == [first, first + 1_800_000, first + 1_800_000]
    assert [json.loads(payload) for _, _, payload in sent] == [
        {"time": first, "rtt_ms": 20, "down_mbps": 50, "up_mbps": 5},
        {"time": first + 1_800_000, "rtt_ms": 12.5, "down_mbps": 80},
        {"time": first + 1_800_000, "rtt_ms": 13, "down_mbps": 81, "up_mbps": 8},
    ]
    assert found.unreadable == 1


def test_a_file_without_any_sample_is_told(tmp_path: Path) -> None:
    """One line, as every error."""
    path = tmp_path / "tests.csv"
    path.write_text("datetimestart,ping,download,upload\n")
    with pytest.raises(ShudaoError, match="holds no sample"):
        recording(path, "broadband_brisbane")
