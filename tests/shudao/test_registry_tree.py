"""The tree in the package: both vintages, whole, with the counts that the plan is measured by."""

import csv
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shudao.errors import ShudaoError
from shudao.registry import DEVELOPMENT_ZONES, VINTAGES, read_vintage
from shudao.registry.build import read_tarball
from shudao.registry.packed import CODE_LENGTHS, pack, unpack
from shudao.registry.tree import village_kind

COUNTS = {
    "2018-10-31": {"village": 45_909, "community": 7_590, "special": 79},
    "2023-06-30": {"village": 25_966, "community": 8_408, "special": 38},
}
TOTALS = {"2018-10-31": 53_578, "2023-06-30": 34_412}
TOWNS = {"2018-10-31": 4_642, "2023-06-30": 3_111}


@pytest.mark.parametrize("vintage", VINTAGES)
def test_vintage_has_its_published_counts(vintage: str) -> None:
    """Villages, communities and special units are those that the NBS published."""
    tree = read_vintage(vintage)
    assert tree.kinds == COUNTS[vintage]
    assert len(tree.villages) == TOTALS[vintage]
    assert len(tree.towns) == TOWNS[vintage]
    assert len(tree.prefectures) == 21
    assert len(tree.counties) == 183
    assert tree.province.name == "四川省"


@pytest.mark.parametrize("vintage", VINTAGES)
def test_every_division_has_its_parent_and_a_code_of_its_own(vintage: str) -> None:
    """Parents come before children, codes extend them, no code stands twice."""
    tree = read_vintage(vintage)
    seen: set[str] = set()
    for division in tree.divisions:
        assert division.code not in seen
        assert division.name.strip() == division.name != ""
        assert (division.parent in seen) if division.parent else division.level == "province"
        assert division.code.startswith(division.parent or "51")
        seen.add(division.code)


@pytest.mark.parametrize("vintage", VINTAGES)
def test_every_town_has_a_village(vintage: str) -> None:
    """No branch of the tree was cut off on its way into the package."""
    tree = read_vintage(vintage)
    assert {village.parent for village in tree.villages} == {town.code for town in tree.towns}


def test_development_zones_are_not_counties() -> None:
    """2018 has 186 rows of county level; three of them are zones, each on a real county's land."""
    tree = read_vintage("2018-10-31")
    assert {zone.code for zone in tree.development_zones} == set(DEVELOPMENT_ZONES)
    assert set(DEVELOPMENT_ZONES.values()) <= {county.code for county in tree.counties}
    assert read_vintage("2023-06-30").development_zones == ()


def test_development_zones_are_on_the_land_that_lists_their_towns_later() -> None:
    """2023 has most towns of each zone, by name, in the county that we say it is in."""
    later = {(town.parent, town.name[:2]) for town in read_vintage("2023-06-30").towns}
    for zone, county in DEVELOPMENT_ZONES.items():
        names = [town.name[:2] for town in read_vintage().towns if town.parent == zone]
        assert sum((county, name) in later for name in names) > len(names) / 2


def test_codes_of_two_vintages_are_kept_apart() -> None:
    """Thousands of codes name another village five years later, and each tree keeps its own."""
    old, new = (read_vintage(vintage).by_code for vintage in VINTAGES)
    villages = [code for code in old.keys() & new.keys() if len(code) == 12]
    renamed = [code for code in villages if old[code].name != new[code].name]
    assert len(renamed) > 1_000
    assert old["510132"].name == "新津县"
    assert "510132" not in new
    assert new["510118"].name == "新津区"


def test_ancestors_run_from_the_province_to_the_town() -> None:
    """A village knows where it belongs."""
    names = [a.name for a in read_vintage().ancestors("510104020007")]
    assert names == ["四川省", "成都市", "锦江区", "督院街街道办事处"]


def test_unknown_vintage_is_refused_with_the_known_ones() -> None:
    """The user learns which vintages there are."""
    with pytest.raises(ShudaoError, match="2018-10-31, 2023-06-30"):
        read_vintage("2020-01-01")


@settings(deadline=None)
@given(st.integers(0, 999))
def test_kind_follows_the_last_three_digits(number: int) -> None:
    """001-199 community, 200-399 village, 400-599 special, nothing else."""
    code = f"510104020{number:03d}"
    if not 1 <= number <= 599:
        with pytest.raises(ValueError, match="no kind"):
            village_kind(code)
        return
    assert village_kind(code) == ("community", "village", "special")[number // 200]


names = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1).filter(
    lambda name: not name.startswith("#")
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(st.integers(1, 3), min_size=5, max_size=5), names), max_size=30))
def test_packing_loses_nothing(paths: list[tuple[list[int], str]]) -> None:
    """Any tree comes back as it was, names that begin with digits included."""
    tree: dict[str, str] = {}
    for path, name in paths:
        digits = [f"{path[i]:0{w}d}" for i, w in enumerate((2, 2, 2, 3, 3))]
        tree |= {"".join(digits)[:length]: name for length in CODE_LENGTHS}
    rows = sorted(tree.items())
    assert list(unpack(pack(rows))) == rows


def test_build_reads_the_layout_of_the_npm_package(tmp_path: Path) -> None:
    """Rows of other provinces are left out, the rest comes sorted by code."""
    tables = {
        "provinces": [("51", "四川省"), ("11", "北京市")],
        "cities": [("5101", "成都市"), ("1101", "市辖区")],
        "areas": [("510104", "锦江区")],
        "streets": [("510104020", "督院街街道办事处")],
        "villages": [("510104020007", "青石桥社区居委会"), ("110101001001", "多福巷")],
    }
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for table, rows in tables.items():
            text = io.StringIO()
            csv.writer(text).writerows([("code", "name"), *rows])
            data = text.getvalue().encode()
            info = tarfile.TarInfo(f"package/dist/{table}.csv")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    codes = [code for code, _ in read_tarball(path)]
    assert codes == ["51", "5101", "510104", "510104020", "510104020007"]
