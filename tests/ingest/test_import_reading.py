"""Files → records → numbers, times and positions, without a database."""

from __future__ import annotations

import gzip
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from ingest.recorded import columns
from ingest.recorded.convert import Converter, slug
from ingest.recorded.load import NamedProfile, parse_profile
from ingest.recorded.profile import FileFormat, Measured, Time
from ingest.recorded.read import Record, open_recorded, split
from shudao.errors import ShudaoError

PROFILE = NamedProfile(
    "meters",
    parse_profile(
        """
        title = "t"
        origin = "o"
        licence = "l"
        stream = "radio"
        technology = "nbiot"
        device = "meter-{id}"
        time = { column = "when", format = "epoch_s" }
        fields = { rsrp_dbm = { column = "rsrp" }, cell_id = { column = "cell", base = 16 } }
        """,
        "p.toml",
    ),
)
HEADER = ["id", "when", "rsrp", "cell"]


def read(path: Path, layout: FileFormat | None = None) -> tuple[list[str], list[Record]]:
    with open_recorded(str(path), layout or FileFormat()) as file:
        return file.header, [record for chunk in file.chunks(2) for record in chunk]


@given(st.lists(st.floats(allow_nan=False)))
def test_numbers_are_read_exactly(values: list[float]) -> None:
    """Python's shortest text of a float gives that float back."""
    found, bad = columns.numbers([repr(v) for v in values])
    assert found.tolist() == values
    assert not bad.any()


@given(st.lists(st.text() | st.floats().map(str)), st.sampled_from([10, 16]))
def test_any_text_is_a_number_absent_or_bad(texts: list[str], base: int) -> None:
    """No cell stops the others from being read; what is bad has no value."""
    found, bad = columns.numbers(texts, base)
    alone = [columns.numbers([text], base) for text in texts]
    np.testing.assert_array_equal(found, [v[0] for v, _ in alone])
    assert bad.tolist() == [bool(b[0]) for _, b in alone]
    assert np.isnan(found[bad]).all()


def test_sentinels_are_compared_before_scaling() -> None:
    """Numbers and words that mean absent; an empty cell always does."""
    field = Measured(column="c", scale=0.1, absent=[-32768, "null"])
    found, bad = columns.measured(["-815", "-32768", "null", " ", "-32768.0"], field)
    assert found[0] == pytest.approx(-81.5)
    assert np.isnan(found[1:]).all()
    assert not bad.any()


def test_hexadecimal_cells_are_exact() -> None:
    """36 bits are held by a float64."""
    found, bad = columns.numbers(["5C422503D", "fffffffff", "", "xyz"], 16)
    assert found[:2].tolist() == [0x5C422503D, 2**36 - 1]
    assert np.isnan(found[2:]).all()
    assert bad.tolist() == [False, False, False, True]


@given(st.datetimes(datetime(1970, 1, 2), datetime(2099, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_times_with_an_offset_become_utc_milliseconds(naive: datetime, minutes: int) -> None:
    """ISO 8601; microseconds are rounded down."""
    text = naive.replace(tzinfo=timezone(timedelta(minutes=minutes))).isoformat()
    found, bad = columns.times([text], Time(column="t", format="iso"))
    since = naive - timedelta(minutes=minutes) - datetime(1970, 1, 1)
    assert found[0] == since // timedelta(milliseconds=1)
    assert not bad.any()


def test_a_naive_time_needs_a_zone() -> None:
    """It is read in the profile's zone, and refused when there is none."""
    text = ["2018-07-01 12:00:00", "2018-12-01 12:00:00"]
    found, _ = columns.times(text, Time(column="t", format="iso", zone="Europe/Oslo"))
    hours = [datetime.fromtimestamp(ms / 1000, UTC).hour for ms in found]
    assert hours == [10, 11]
    _, bad = columns.times(text, Time(column="t", format="iso"))
    assert bad.all()


def test_times_since_the_epoch() -> None:
    """Seconds become milliseconds; a time must be there."""
    found, bad = columns.times(["1.5", "", "inf", "soon"], Time(column="t", format="epoch_s"))
    assert found[0] == 1500
    assert bad.tolist() == [False, True, True, True]


@given(st.floats(120.1, 125.9), st.floats(1, 60))
def test_utm_is_undone(lon: float, lat: float) -> None:
    """Degrees → metres of zone 51N → the same degrees, to a tenth of a millimetre."""
    east, north = Transformer.from_crs("EPSG:4326", "EPSG:32651", always_xy=True).transform(
        lon, lat
    )
    found = columns.to_wgs84(np.array([east]), np.array([north]), "EPSG:32651")
    assert found[0][0] == pytest.approx(lon, abs=1e-9)
    assert found[1][0] == pytest.approx(lat, abs=1e-9)


@pytest.mark.parametrize("crs", ["EPSG:32651", "wgs84", "gcj02", "bd09"])
def test_half_a_position_is_none(crs: str) -> None:
    """Without one coordinate the other means nothing; one that cannot be is out of range."""
    east, north = np.array([math.nan, 104.0, 1e30]), np.array([30.0, math.nan, 3e6])
    lon, lat = columns.to_wgs84(east, north, crs)
    assert np.isnan([lon[:2], lat[:2]]).all()
    assert abs(lon[2]) > 180


def test_maps_offsets_are_undone() -> None:
    """Tianfu Square, Chengdu: GCJ-02 lies 270 m east and 240 m south of WGS-84 there."""
    lon, lat = columns.to_wgs84(np.array([104.0660]), np.array([30.6570]), "gcj02")
    assert 104.0660 - lon[0] == pytest.approx(0.0025, abs=3e-4)
    assert 30.6570 - lat[0] == pytest.approx(-0.0024, abs=4e-4)


def test_gzip_is_told_by_its_content(tmp_path: Path) -> None:
    """Plain and packed files give the same records, whatever they are called."""
    text = b"\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3,4"
    (tmp_path / "plain.csv").write_bytes(text)
    (tmp_path / "packed").write_bytes(gzip.compress(text))
    wanted = (["a", "b"], [Record(2, b"1,2", ["1", "2"]), Record(4, b"3,4", ["3", "4"])])
    assert read(tmp_path / "plain.csv") == wanted
    assert read(tmp_path / "packed") == wanted


def test_a_truncated_gzip_is_told(tmp_path: Path) -> None:
    """One line, no traceback."""
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 100)[:-12])
    with pytest.raises(ShudaoError, match=r"cut\.csv cannot be read to its end"):
        read(path)


def test_a_stray_quote_spoils_its_own_line_only(tmp_path: Path) -> None:
    """Neighbours are read; the line itself is kept, with what is wrong."""
    path = tmp_path / "quotes.csv"
    path.write_bytes(b'a,b\n"x, y",1\n2,"open\nz,3\n')
    _, (first, broken, last) = read(path)
    assert first.cells == ["x, y", "1"]
    assert (broken.number, broken.raw, broken.error != "") == (3, b'2,"open', True)
    assert last.cells == ["z", "3"]


def test_lines_of_another_length_are_malformed(tmp_path: Path) -> None:
    """Unless the profile says that they may be longer than the header."""
    path = tmp_path / "ragged.csv"
    path.write_bytes(b"a,b\n1\n1,2,3\n")
    assert [r.error for r in read(path)[1]] == [
        "1 columns instead of 2",
        "3 columns instead of 2",
    ]
    longer = read(path, FileFormat(extra_columns=True))[1][1]
    assert (longer.cells, longer.error) == (["1", "2", "3"], "")


def test_a_file_without_header_has_the_profiles_columns(tmp_path: Path) -> None:
    """The first line is data."""
    path = tmp_path / "bare.csv"
    path.write_bytes("1;成都\n".encode("gb18030"))
    layout = FileFormat(delimiter=";", encoding="gb18030", columns=["id", "town"])
    assert read(path, layout) == (
        ["id", "town"],
        [Record(1, path.read_bytes()[:-1], ["1", "成都"])],
    )


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    """It has no header."""
    (tmp_path / "none.csv").touch()
    with pytest.raises(ShudaoError, match=r"none\.csv is empty"):
        read(tmp_path / "none.csv")


def test_whitespace_separates_however_long_it_is() -> None:
    """Tabs and trailing blanks too."""
    assert split("1  2\t3 ", "whitespace") == ["1", "2", "3"]


def test_missing_columns_are_named() -> None:
    """All of them at once."""
    with pytest.raises(ShudaoError, match=r"f\.csv lacks 2 .* profile meters reads: rsrp, cell"):
        Converter(PROFILE, ["id", "when"], "f.csv", 255)


def test_devices_named_after_the_file_need_one() -> None:
    """Standard input has no name."""
    profile = PROFILE.profile.model_copy(update={"device": "drive-{file}"})
    with pytest.raises(ShudaoError, match="standard input has no name"):
        Converter(NamedProfile("drives", profile), HEADER, "stdin", 255)


def test_names_are_fit_for_a_topic() -> None:
    """No slash, wildcard or blank is left."""
    assert [slug(t) for t in ("Hyde Park", " a/b+#c ", "run_02", "成都", "///")] == [
        "hyde-park",
        "a-b-c",
        "run_02",
        "成都",
        "",
    ]


@given(st.lists(st.lists(st.text(max_size=8) | st.integers().map(str), min_size=4, max_size=4)))
def test_every_record_is_a_sample_or_a_refusal(cells: list[list[str]]) -> None:
    """Whatever its cells hold, and each with its own line."""
    records = [Record(n, f"line {n}".encode(), row) for n, row in enumerate(cells)]
    samples, refusals = Converter(PROFILE, HEADER, "f.csv", 255).convert(records, 0)
    lines = [samples.origin(row)[1] for row in range(len(samples))] + [r.payload for r in refusals]
    assert sorted(lines) == sorted(r.raw for r in records)
