"""``shudao goals`` and ``shudao evaluate`` on the whole registry, as a user runs them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from typer.testing import CliRunner

from shudao.cli import app
from shudao.errors import ShudaoError
from shudao.evaluation.progress import listed
from shudao.goals import load_goals
from shudao.goals.load import BUNDLED
from shudao.settings import get_settings

_FILL = """
INSERT INTO coverage_hour (hour, place_id, carrier_id, technology_id, detached_n, signal_bins,
                           down_bins, ipv6_n, ipv6_yes)
SELECT $1::timestamptz - make_interval(days => day), place_id, carrier, technology, 0,
       array_fill((CASE WHEN place_id % 3 = 0 THEN 9 ELSE 0 END), ARRAY[25])
       || '{1,0,2,2,2, 1,0,2,2,2, 1,0,2,2,2, 1,0,2,2,2}'::integer[],
       array_fill((place_id / 40 % 2) * 3, ARRAY[2]) || array_fill(2, ARRAY[6]),
       10, place_id / 40 % 11
  FROM generate_series(0, 3) AS day, generate_series(1, 4) AS carrier,
       unnest('{1,3,4,10,13}'::integer[]) AS technology, place
 WHERE vintage = '2018-10-31' AND kind IN ('village', 'segment') AND place_id % 40 = carrier
   AND (technology <> 13 OR place_id / 40 % 3 = 0)  -- DSL at every third
"""
"""Four days of samples at one place of ten: a third of them with many weak ones."""


def _run(url: str, *statements: tuple[Any, ...]) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        for statement in statements:
            await connection.execute(*statement)
        await connection.close()

    asyncio.run(run())


@pytest.fixture(scope="module")
def filled(database_url: str) -> Iterator[str]:
    """The whole registry with samples in every prefecture, evaluated once."""
    empty = ("TRUNCATE coverage_hour, place_state, goal_progress, goal",)
    newest = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    _run(database_url, empty, (_FILL, newest), ("ANALYZE coverage_hour",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHUDAO_DATABASE_URL", database_url)
        get_settings.cache_clear()
        _shudao("evaluate")
        yield database_url
    get_settings.cache_clear()
    _run(database_url, empty)


def _shudao(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def _select(url: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(sql).fetchall()  # type: ignore[arg-type]


@pytest.mark.parametrize("division", ["51", "5101", "510121"])
@pytest.mark.parametrize(("carrier", "number"), [("any", 0), ("mobile", 2)])
def test_explained_selects_yield_the_table(
    filled: str, division: str, carrier: str, number: int
) -> None:
    """The SELECTs of --explain give the printed numbers, from the roll-ups and from the states."""
    arguments = ("goals", "--division", division, "--carrier", carrier, "--explain", "--json")
    goals = json.loads(_shudao(*arguments))["goals"]
    counted = [goal for goal in goals if goal["progress"]]
    assert len(counted) >= 6
    for goal in counted:
        names = ("covered", "uncovered", "unknown", "denominator")
        numbers = tuple(goal["progress"][name] for name in names)
        for sql in goal["sql"].values():
            assert _select(filled, sql) == [(division, number, *numbers)], goal["id"]


def test_explained_text_runs_as_it_is(filled: str) -> None:
    """What --explain prints can be pasted whole: every statement runs."""
    text = _shudao("goals", "--explain")
    statements = [part for part in text.split(";\n") if "SELECT" in part]
    assert len(statements) == 2 * len(re.findall(r"^-- [\w-]+, from the roll-ups", text, re.M))
    for statement in statements:
        [(_, _, covered, _, unknown, denominator)] = _select(filled, statement)
        assert 0 < covered < denominator
        assert 0 < unknown < denominator


def test_numbers_of_the_whole_province(filled: str) -> None:
    """Denominators are the plan's villages, and what nobody measured is unknown."""
    goals = {goal["id"]: goal for goal in json.loads(_shudao("goals", "--json"))["goals"]}
    numbers = goals["village-fibre"]["progress"]
    assert numbers["denominator"] == 45_909
    assert numbers["unknown"] > 0.8 * numbers["denominator"]
    assert numbers["share"] == pytest.approx(numbers["covered"] / 45_909)
    assert goals["nbiot-general"]["progress"]["denominator"] == 53_578


def test_goals_with_samples_are_split(filled: str) -> None:
    """Signal is uncovered where a third of the places has many weak samples."""
    goals = {goal["id"]: goal for goal in json.loads(_shudao("goals", "--json"))["goals"]}
    for goal in ("nbiot-general", "village-fibre", "corridor-signal", "fixed-speed", "ipv6"):
        assert goals[goal]["progress"]["covered"] + goals[goal]["progress"]["uncovered"] > 100


def test_table_shows_names_counts_and_shares(filled: str) -> None:
    """A county by its name, in Chinese, with the denominator and its vintage."""
    table = _shudao("goals", "--division", "锦江区", "--lang", "zh")
    assert "锦江区 510104" in table
    assert "行政村光纤全通达" in table
    assert "2018-10-31" in table
    assert "Fibre" not in table


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("成者市", r"no division '成者市' → did you mean 成都市 \(5101\)"),
        ("5199", r"no division '5199' → codes have 2"),
        ("510104020", r"is a town .* → ask for its county 510104"),
        ("高", r"'高' may be .*高坪区 \(511303\).* → give the code"),
        ("", r"no division is named → give a code, as 5101, or a name"),
        (" ", r"no division is named"),
        ("\udcff", r"is not text in UTF-8"),
    ],
)
def test_unknown_division_is_explained(filled: str, asked: str, says: str) -> None:
    """A wrong name offers near ones, a town its county, an ambiguous beginning the choices."""
    with pytest.raises(ShudaoError, match=says):
        _shudao("goals", "--division", asked)


def test_many_divisions_are_not_all_named() -> None:
    """An error stays one line that can be read."""
    rows = [{"name": f"县{n}", "code": str(n)} for n in range(11)]
    assert listed(rows).endswith("县7 (7) and 3 more")
    assert listed(rows[:8]).endswith("县7 (7)")


@pytest.fixture
def changed_criteria(filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The goals file after an edit that was not evaluated yet; the id of the changed goal."""
    text = BUNDLED.read_text(encoding="utf-8")
    first = load_goals()[0]
    edited = text.replace(f'version = "{first.criteria.version}"', 'version = "edited"', 1)
    assert edited != text
    (tmp_path / "goals.toml").write_text(edited, encoding="utf-8")
    monkeypatch.setenv("SHUDAO_DATABASE_URL", filled)
    monkeypatch.setenv("SHUDAO_GOALS_FILE", str(tmp_path / "goals.toml"))
    get_settings.cache_clear()
    yield first.id
    monkeypatch.delenv("SHUDAO_GOALS_FILE")
    get_settings.cache_clear()


def test_changed_criteria_are_not_explained_with_old_numbers(changed_criteria: str) -> None:
    """Instead of SELECTs that yield other numbers, what to run; the other goals keep theirs."""
    text = _shudao("goals", "--explain")
    assert f"-- {changed_criteria}: criteria changed, run `shudao evaluate`" in text
    assert f"-- {changed_criteria}, from the roll-ups" not in text
    assert text.count(", from the roll-ups") == text.count(", from the stored states") >= 6
    goals = json.loads(_shudao("goals", "--explain", "--json"))["goals"]
    changed = {goal["id"]: goal["criteria_changed"] for goal in goals}
    assert [goal for goal in changed if changed[goal]] == [changed_criteria]
    assert next(goal["sql"] for goal in goals if goal["id"] == changed_criteria) is None


def test_table_says_that_criteria_changed(changed_criteria: str) -> None:
    """Below the table, with the goal's id."""
    table = _shudao("goals")
    assert "criteria changed, run `shudao evaluate`" in " ".join(table.split())
    assert changed_criteria in table


def test_unknown_carrier_is_explained(filled: str) -> None:
    """A wrong carrier lists the right ones."""
    with pytest.raises(ShudaoError, match="use one of any, telecom"):
        _shudao("goals", "--carrier", "vodafone")


def test_check_names_the_number_of_goals() -> None:
    """--check needs no database."""
    assert f"{len(load_goals())} goals, all right" in _shudao("goals", "--check", str(BUNDLED))


def test_evaluating_without_registry_is_explained(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty database says what to run."""
    monkeypatch.setenv("SHUDAO_DATABASE_URL", empty_database_url)
    get_settings.cache_clear()
    try:
        with pytest.raises(ShudaoError, match="run `shudao registry load`"):
            _shudao("evaluate")
    finally:
        get_settings.cache_clear()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_evaluate_every_stops_on_a_signal(filled: str, number: signal.Signals) -> None:
    """One signal ends it with exit code 0, after whole lines of JSON."""
    process = subprocess.Popen(
        [sys.executable, "-m", "shudao", "evaluate", "--every", "100ms", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "SHUDAO_DATABASE_URL": filled},
    )  # fmt: skip
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert [goal["goal"] for goal in first["goals"]] == [goal.id for goal in load_goals()]
    started = time.monotonic()
    process.send_signal(number)
    rest, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert time.monotonic() - started < 10
    for line in rest.splitlines():
        json.loads(line)
