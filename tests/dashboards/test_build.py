"""The dashboards' JSON."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from dashboards.build import BUILT, build_all, write
from dashboards.source import UID

DASHBOARDS = {uid: json.loads(text) for uid, text in build_all().items()}


def panels() -> list[Any]:
    """Every panel of every dashboard, with rows."""
    return [
        pytest.param(panel, id=f"{uid}: {panel['title']}")
        for uid, dashboard in DASHBOARDS.items()
        for panel in dashboard["panels"]
    ]


def test_checked_in_json_is_current() -> None:
    """`shudao dashboards build` would change nothing, and no stray file lies there."""
    assert {path.stem: path.read_text("utf-8") for path in BUILT.glob("*.json")} == build_all()


def test_building_twice_gives_the_same_bytes() -> None:
    """Nothing random and nothing of the moment is in the JSON."""
    assert build_all() == build_all()


def test_write_reports_only_what_changed(tmp_path: Path) -> None:
    """The first run writes all, the second none, and a damaged file is mended."""
    folder = tmp_path / "new" / "folder"
    first = write(folder)
    assert {path.stem for path in first} == set(DASHBOARDS)
    assert write(folder) == []
    first[0].write_text("{}")
    assert write(folder) == [first[0]]


@pytest.mark.parametrize("panel", panels())
def test_panel_reads_our_data_source_by_its_uid(panel: dict[str, Any]) -> None:
    """No `${DS_…}` input, no default data source."""
    if panel["type"] != "row":
        assert panel["datasource"]["uid"] == UID
        assert [target["datasource"]["uid"] for target in panel["targets"]] == [UID]


@pytest.mark.parametrize("panel", panels())
def test_panel_is_titled_in_both_languages(panel: dict[str, Any]) -> None:
    """目标进展 · Goal progress."""
    chinese, english = panel["title"].split(" · ")[:2]
    assert re.search("[一-鿿]", chinese)
    assert re.fullmatch("[A-Za-z, ]+", english.split(":")[0])


@pytest.mark.parametrize("panel", panels())
def test_columns_of_a_panel_have_titles_of_their_own(panel: dict[str, Any]) -> None:
    """Grafana's table finds a column by its title: a second one of the same gets its values."""
    titles = [
        setting["value"]
        for override in panel.get("fieldConfig", {}).get("overrides", [])
        for setting in override["properties"]
        if setting["id"] == "displayName"
    ]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("uid", DASHBOARDS)
def test_panels_have_ids_of_their_own_and_do_not_overlap(uid: str) -> None:
    """Grafana would renumber or push them about."""
    shown = DASHBOARDS[uid]["panels"]
    assert len({panel["id"] for panel in shown}) == len(shown)
    for one, other in combinations([panel["gridPos"] for panel in shown], 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)
