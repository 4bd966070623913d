"""Surveyed coordinates: what is accepted, what is refused and why, what the database then holds."""

import csv
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from shudao.cli.registry import app
from shudao.errors import ShudaoError
from shudao.registry import read_vintage
from shudao.registry.coordinates import place_villages
from shudao.registry.crs import CRSS, Crs
from shudao.registry.replace import replace_coordinates
from shudao.registry.surveyed import Accepted, Checked, Row, check_file, check_rows
from shudao.settings import get_settings
from tests.shudao.shifting import from_wgs84

Connection: TypeAlias = "asyncpg.Connection[Any]"
VINTAGE = "2018-10-31"
TREE = read_vintage(VINTAGE)
CODE, OTHER = "510104020007", "510104020008"
INSIDE = ("104.09", "30.62")


def write(path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def reasons(*rows: dict[str, str]) -> list[str]:
    numbered = [Row(line, row) for line, row in enumerate(rows, start=2)]
    return [r.reason for r in check_rows(numbered, "wgs84", VINTAGE).refused]


def at(code: str, lon: str = INSIDE[0], lat: str = INSIDE[1]) -> dict[str, str]:
    return {"code": code, "lon": lon, "lat": lat}


@pytest.fixture
async def undone(connection: Connection) -> AsyncIterator[Connection]:
    """The shared database, in a transaction that is rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()


@pytest.mark.parametrize("crs", CRSS)
def test_every_village_is_accepted_in_each_crs(crs: Crs, tmp_path: Path) -> None:
    """A file of all 53,578, converted; the points come back to a centimetre."""
    placed = place_villages(TREE)
    lon, lat = from_wgs84(placed.lon, placed.lat, crs)
    path = tmp_path / "all.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["code", "lon", "lat"])
        codes = [village.code for village in TREE.villages]
        writer.writerows(zip(codes, lon.tolist(), lat.tolist(), strict=True))
    checked = check_file(path, crs, VINTAGE)
    assert checked.refused == []
    assert [a.code for a in checked.accepted] == codes
    points = np.array([(a.lon, a.lat) for a in checked.accepted])
    assert np.abs(points - np.column_stack([placed.lon, placed.lat])).max() <= 1.01e-7


def test_gcj02_points_taken_for_wgs84_are_found_out_at_borders() -> None:
    """The check of the county also catches a wrong --crs: some villages leave their county."""
    placed = place_villages(TREE)
    lon, lat = from_wgs84(placed.lon[:3000], placed.lat[:3000], "gcj02")
    rows = [
        Row(i, {"code": village.code, "lon": str(x), "lat": str(y)})
        for i, (village, x, y) in enumerate(zip(TREE.villages, lon, lat, strict=False))
    ]
    assert set(check_rows(rows, "wgs84", VINTAGE).reasons) == {"outside its county"}


def test_swapped_lon_and_lat_are_refused() -> None:
    """Never exchanged silently."""
    assert reasons(at(CODE, INSIDE[1], INSIDE[0])) == ["swapped lon/lat"]


def test_point_in_another_county_is_refused_with_where_it_is() -> None:
    """The detail names both counties and the distance."""
    checked = check_rows([Row(2, at(CODE, "103.0", "30.0"))], "wgs84", VINTAGE)
    (refusal,) = checked.refused
    assert refusal.reason == "outside its county"
    assert "km outside 510104 锦江区; it lies in county 511802" in refusal.detail


def test_border_tolerance_accepts_what_is_only_just_outside() -> None:
    """Coarse boundaries need it; far points are refused all the same."""
    placed = place_villages(TREE)
    east = np.flatnonzero([v.county == "510104" for v in TREE.villages])
    lon, lat = from_wgs84(placed.lon[east], placed.lat[east], "gcj02")
    rows = [
        Row(i, at(TREE.villages[k].code, str(x), str(y)))
        for i, (k, x, y) in enumerate(zip(east, lon, lat, strict=True))
    ]
    assert len(check_rows(rows, "wgs84", VINTAGE).refused) > 0
    assert check_rows(rows, "wgs84", VINTAGE, border_m=1_000).refused == []
    assert (
        len(check_rows([Row(2, at(CODE, "103.0", "30.0"))], "wgs84", VINTAGE, 1_000).refused) == 1
    )


@pytest.mark.parametrize(
    ("lon", "lat"), [("abc", "30"), ("", "30"), ("104", "nan"), ("inf", "30"), ("1_04", "30")]
)
def test_what_is_no_number_is_refused(lon: str, lat: str) -> None:
    """With the text that stands there."""
    assert reasons(at(CODE, lon, lat)) == ["not a number"]


def test_point_outside_sichuan_is_refused() -> None:
    """Null Island and Beijing, say."""
    assert reasons(at(CODE, "0", "0"), at(OTHER, "116.4", "39.9")) == ["outside Sichuan"] * 2


@pytest.mark.parametrize("code", ["510104999999", "510104020", "5.10104E+11", "x"])
def test_unknown_code_is_refused(code: str) -> None:
    """Codes of towns, codes that a spreadsheet rounded, codes of nothing."""
    assert reasons(at(code)) == ["unknown code"]


def test_second_line_of_a_village_is_refused() -> None:
    """The first stays."""
    assert reasons(at(CODE), at(CODE)) == ["duplicate"]


def test_village_is_found_by_county_and_name() -> None:
    """By its exact name or without its ending; a county by name or code."""
    named = {"lon": INSIDE[0], "lat": INSIDE[1]}
    for county in ("锦江区", "510104"):
        for name in ("青石桥社区居委会", "青石桥社区", "青石桥"):
            row = Row(2, {**named, "county": county, "name": name})
            (accepted,) = check_rows([row], "wgs84", VINTAGE).accepted
            assert accepted.code == CODE


def test_name_of_no_village_or_of_several_is_refused() -> None:
    """Which ones it may be is said."""
    named = {"lon": INSIDE[0], "lat": INSIDE[1]}
    assert reasons({**named, "county": "锦江区", "name": "没有"}) == ["unknown name"]
    twice = next(
        (v.county, v.name)
        for v in TREE.villages
        if sum(w.county == v.county and w.name == v.name for w in TREE.villages[:3000]) > 1
    )
    assert reasons({**named, "county": twice[0], "name": twice[1]}) == ["ambiguous name"]


@settings(deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {}, optional={k: st.text(max_size=12) for k in ("code", "county", "name", "lon", "lat")}
        ),
        max_size=5,
    )
)
def test_any_text_is_refused_never_a_crash(rows: list[dict[str, str]]) -> None:
    """Every row ends in exactly one of the two lists."""
    checked = check_rows([Row(i, row) for i, row in enumerate(rows)], "bd09", VINTAGE)
    assert len(checked.accepted) + len(checked.refused) == len(rows)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_chinese_headings_and_encodings_are_understood(encoding: str, tmp_path: Path) -> None:
    """As spreadsheets in China save them; lines are those of the file."""
    path = write(
        tmp_path / "a.csv", "区县,村名,经度,纬度", "锦江区,青石桥,104.09,30.62", "", "锦江区,x,1,1",
        encoding=encoding,
    )  # fmt: skip
    checked = check_file(path, "wgs84", VINTAGE)
    assert [a.code for a in checked.accepted] == [CODE]
    assert [r.line for r in checked.refused] == [4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b,c\n1,2,3\n", "must name the columns"),
        (b"", "must name the columns"),
        (b"code,lon\n", "must name the columns"),
        (b"\xff\xfe\x00\xff", "UTF-8 or GB 18030"),
    ],
)
def test_file_that_is_no_such_table_is_refused(
    content: bytes, message: str, tmp_path: Path
) -> None:
    """One line that says what is wanted."""
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(ShudaoError, match=message):
        check_file(path, "wgs84", VINTAGE)


def test_a_stray_quote_spoils_its_own_line_only(tmp_path: Path) -> None:
    """The lines after it are read, and the line that is named is the one that is wrong."""
    path = write(
        tmp_path / "a.csv", "code,lon,lat,note", f'{CODE},104.09,30.62,"open',
        f'{OTHER},104.09,30.62,"all right, with a comma"', "x,1,1,",
    )  # fmt: skip
    checked = check_file(path, "wgs84", VINTAGE)
    assert [a.code for a in checked.accepted] == [OTHER]
    assert [(r.line, r.reason) for r in checked.refused] == [(2, "no CSV"), (4, "unknown code")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_counts_lines_alike(end: str, tmp_path: Path) -> None:
    """Unix, Windows, old Mac; blank lines count, and are no rows."""
    path = tmp_path / "a.csv"
    path.write_bytes(
        end.join(["code,lon,lat", f"{CODE},104.09,30.62", '"",,', "", "x,1,1"]).encode()
    )
    checked = check_file(path, "wgs84", VINTAGE)
    assert [a.code for a in checked.accepted] == [CODE]
    assert [r.line for r in checked.refused] == [5]


def test_a_heading_that_is_no_csv_is_told(tmp_path: Path) -> None:
    """Nothing can be read without it."""
    with pytest.raises(ShudaoError, match=r"line 1 of .* is no CSV"):
        check_file(write(tmp_path / "a.csv", '"code,lon,lat'), "wgs84", VINTAGE)


def test_missing_file_is_told(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(ShudaoError, match=r"nowhere\.csv cannot be read"):
        check_file(tmp_path / "nowhere.csv", "wgs84", VINTAGE)


async def stored(connection: Connection, code: str) -> tuple[Any, ...]:
    row = await connection.fetchrow(
        "SELECT lon, lat, coord_source, coord_precision_m FROM place"
        " WHERE vintage = '2018-10-31' AND kind = 'village' AND code = $1",
        code,
    )
    assert row is not None
    return tuple(row)


async def test_accepted_points_replace_synthetic_ones_once(undone: Connection) -> None:
    """The second import of the same file finds everything unchanged."""
    checked = Checked(accepted=[Accepted(CODE, 104.09, 30.62)])
    first = await replace_coordinates(undone, checked, VINTAGE, precision_m=7)
    again = await replace_coordinates(undone, checked, VINTAGE, precision_m=7)
    assert (first.replaced, first.unchanged) == (1, 0)
    assert (again.replaced, again.unchanged) == (0, 1)
    assert await stored(undone, CODE) == (104.09, 30.62, "surveyed", 7)
    assert (await stored(undone, OTHER))[2] == "synthetic"


async def test_other_vintage_keeps_its_coordinates(undone: Connection) -> None:
    """A code of 2018 says nothing of the village that has it in 2023."""
    code = next(c for c in read_vintage("2023-06-30").by_code if len(c) == 12 and c in TREE.by_code)
    checked = Checked(accepted=[Accepted(code, 104.09, 30.62)])
    await replace_coordinates(undone, checked, VINTAGE, precision_m=7)
    sources = await undone.fetch(
        "SELECT coord_source FROM place WHERE kind = 'village' AND code = $1 ORDER BY vintage", code
    )
    assert [r["coord_source"] for r in sources] == ["surveyed", "synthetic"]


async def test_dry_run_and_strict_write_nothing(undone: Connection) -> None:
    """A dry run never writes; a strict one does not when any line was refused."""
    good = Checked(accepted=[Accepted(CODE, 104.09, 30.62)])
    mixed = check_rows([Row(2, at(CODE)), Row(3, at("x"))], "wgs84", VINTAGE)
    before = await stored(undone, CODE)
    dry = await replace_coordinates(undone, good, VINTAGE, precision_m=7, dry_run=True)
    strict = await replace_coordinates(undone, mixed, VINTAGE, precision_m=7, strict=True)
    assert (dry.applied, dry.replaced) == (False, 1)
    assert (strict.applied, strict.refused) == (False, {"unknown code": 1})
    assert await stored(undone, CODE) == before
    lax = await replace_coordinates(undone, mixed, VINTAGE, precision_m=7)
    assert (lax.applied, lax.read, lax.replaced) == (True, 2, 1)


def test_command_prints_a_receipt_and_fails_when_lines_were_refused(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 with refusals, 0 without; JSON for machines."""
    monkeypatch.setenv("SHUDAO_DATABASE_URL", database_url)
    get_settings.cache_clear()
    good = write(tmp_path / "good.csv", "code,lon,lat", f"{CODE},104.09,30.62")
    bad = write(tmp_path / "bad.csv", "code,lon,lat", f"{CODE},30.62,104.09")
    command = ["import-coordinates", "--crs", "wgs84", "--dry-run"]
    try:
        done = CliRunner().invoke(app, [*command, str(good), "--json"])
        assert (done.exit_code, json.loads(done.stdout)["replaced"]) == (0, 1)
        refused = CliRunner().invoke(app, [*command, str(bad)])
        assert refused.exit_code == 1
        assert "swapped lon/lat: 1" in refused.stdout
        assert "line 2: lon 30.62 and lat 104.09 are exchanged" in refused.stdout
    finally:
        get_settings.cache_clear()
