"""Mapping profiles: the bundled ones, one's own, and what is wrong with a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.recorded.load import bundled_profiles, load_profile, parse_profile
from shudao.errors import ShudaoError

GOOD = """\
title = "Meter readings of a pilot"
origin = "a field trial"
licence = "ours"
stream = "radio"
technology = "nbiot"
device = "meter-{id}"

[time]
column = "when"
format = "%Y-%m-%d %H:%M:%S"
zone = "Asia/Shanghai"

[fields]
rsrp_dbm = { column = "rsrp", scale = 0.1 }
"""


def test_the_bundled_profiles_are_valid() -> None:
    """Four profiles, each of which says where its data comes from and under which licence."""
    found = {p.name: p.profile for p in bundled_profiles()}
    assert list(found) == [
        "broadband_brisbane",
        "broadband_chicago",
        "drive_shanghai",
        "nbiot_oslo",
    ]
    assert all(p.origin and p.licence for p in found.values())


def test_an_unknown_profile_names_those_that_there_are() -> None:
    """A slip of the pen gets the right name back."""
    with pytest.raises(ShudaoError) as caught:
        load_profile("nbiot_olso")
    assert "did you mean 'nbiot_oslo'?" in str(caught.value)
    assert "broadband_brisbane, broadband_chicago, drive_shanghai" in caught.value.hint


def test_a_profile_of_ones_own_is_read_by_its_path(tmp_path: Path) -> None:
    """Its name is the file's."""
    path = tmp_path / "meters.toml"
    path.write_text(GOOD)
    named = load_profile(str(path))
    assert named.name == "meters"
    assert named.profile.columns == ["when", "id", "rsrp"]


def test_a_missing_profile_file_is_told(tmp_path: Path) -> None:
    """The path is part of the message."""
    with pytest.raises(ShudaoError, match=r"nowhere\.toml cannot be read"):
        load_profile(str(tmp_path / "nowhere.toml"))


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ('stream = "radio"', "stream = radio", "p.toml, line 4, column 10: not TOML"),
        ('stream = "radio"', 'stream = "sound"', "p.toml, line 4: stream = 'sound'"),
        ('licence = "ours"', 'license = "ours"', "p.toml, line 3: unknown key license"),
        ('licence = "ours"\n', "", "p.toml, line 1: licence is missing"),
        ('"nbiot"', '"6g"', "p.toml, line 5: technology: unknown technology '6g'"),
        ('"meter-{id}"', '"meter-{id"', "p.toml, line 6: device: the template cannot be read"),
        ('"meter-{id}"', '"meter-{}"', "p.toml, line 6: device: a placeholder names no column"),
        ('"%Y-%m-%d %H:%M:%S"', '"sometimes"', "p.toml, line 10: time.format: no such time"),
        ('"%Y-%m-%d %H:%M:%S"', '"epoch_ms"', "p.toml, line 11: time.zone: times since"),
        ("Asia/Shanghai", "Asia/Chengdu", "p.toml, line 11: time.zone: unknown time zone"),
        ('zone = "Asia/Shanghai"\n', "", "p.toml, line 10: time.format: these times tell no"),
        ("rsrp_dbm =", "rsrp =", "p.toml, line 14: fields.rsrp: the radio stream has no field"),
        ("scale = 0.1", "scale = 0", "p.toml, line 14: fields.rsrp_dbm.scale = 0"),
        ("scale = 0.1", 'scale = "0.1"', "p.toml, line 14: fields.rsrp_dbm.scale = '0.1'"),
    ],
)  # fmt: skip
def test_a_wrong_profile_is_refused_with_its_line(right: str, wrong: str, message: str) -> None:
    """File, line, key, and what is wrong with it."""
    parse_profile(GOOD, "p.toml")
    with pytest.raises(ShudaoError) as caught:
        parse_profile(GOOD.replace(right, wrong), "p.toml")
    assert caught.value.message.startswith(message)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("stream", "extra", "message"),
    [
        ("radio", '[position]\neast="x"\nnorth="y"\ncrs="EPSG:0"', "unknown coordinate reference"),
        ("broadband", '[position]\neast="x"\nnorth="y"\ncrs="gcj02"', "have no position"),
        ("radio", '[format]\ncolumns=["when", "id"]', "format.columns: columns does not name rsrp"),
    ],
)
def test_parts_that_do_not_fit_are_refused(stream: str, extra: str, message: str) -> None:
    """Rules that span tables."""
    text = GOOD.replace('"radio"', f'"{stream}"')
    if stream == "broadband":
        text = text.replace("rsrp_dbm", "down_mbps")
    with pytest.raises(ShudaoError, match=message):
        parse_profile(text + extra, "p.toml")
