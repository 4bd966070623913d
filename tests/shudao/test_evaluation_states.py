"""States of places: against an oracle that looks at each sample, and rule by rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import timedelta
from fractions import Fraction
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shudao.evaluation import evaluate
from shudao.goals import Goal
from tests.shudao.evaluating import (
    DSL,
    FTTP,
    LTE,
    NBIOT,
    NOW,
    VINTAGE,
    Sample,
    add_places,
    add_samples,
    make_goal,
    states,
)

GOALS = {
    "signal": make_goal(),
    "signal without SINR": make_goal(sinr_db=None, rsrp_dbm=-105, share=0.95, technology="lte"),
    "lowest edges": make_goal(rsrp_dbm=-128, sinr_db=10, min_days=1, share=1.0),
    "highest edges": make_goal(rsrp_dbm=-84, sinr_db=0, min_samples=1, min_days=1, share=0.1),
    "speed": make_goal(stream="broadband", technology="fttp", down_mbps=12, share=0.8),
    "fibre": make_goal(stream="broadband", technology="dsl", good="fttp", down_mbps=12),
    "IPv6": make_goal(stream="broadband", technology="fttp", ipv6=True, freshness_days=9),
}

radio_values = st.fixed_dictionaries(
    {
        "technology": st.sampled_from([NBIOT, LTE]),
        "rsrp": st.none() | st.sampled_from([-84, -84.1, -105, -105.5, -108, -108.1, -128, -140]),
        "sinr": st.none() | st.sampled_from([-3, -3.1, 0, -0.1, 10, 9.9]),
    }
)
broadband_values = st.fixed_dictionaries(
    {
        "technology": st.sampled_from([FTTP, FTTP, DSL]),
        "down": st.none() | st.sampled_from([0, 11.9, 12, 20, 600]),
        "ipv6": st.none() | st.booleans(),
    }
)


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """A sample at one of two places, of a carrier (or a foreign network), up to 12 days old."""
    values = dict(draw(radio_values | broadband_values))
    if "rsrp" in values and draw(st.integers(0, 5)) == 0:
        values |= {"attached": False, "rsrp": None, "sinr": None}
    return Sample(
        hours_ago=draw(st.sampled_from([-1, 0, 1, 12, 13, 30, 119, 120, 121, 239, 240, 241])),
        place=draw(st.integers(1, 2)),
        carrier=draw(st.sampled_from([1, 1, 1, 4, 255])),
        **values,
    )


def oracle(goal: Goal, given_samples: list[Sample]) -> dict[tuple[int, int], str]:
    """States by (place, carrier) from the samples themselves, sample by sample."""
    verdicts: dict[tuple[int, int], list[tuple[Sample, bool]]] = defaultdict(list)
    for s in given_samples:
        verdict = _verdict(goal, s)
        age = NOW - s.hour
        in_window = timedelta(0) <= age < timedelta(days=goal.criteria.window_days)
        if verdict is not None and in_window and 1 <= s.carrier <= 4:
            verdicts[s.place, s.carrier].append((s, verdict))
    found = {key: _state(goal, evidence) for key, evidence in verdicts.items()}
    for place in {place for place, _ in found}:
        several = {state for (where, _), state in found.items() if where == place}
        best = next(s for s in ("covered", "uncovered", "unknown") if s in several)
        found[place, 0] = best
    return found


def _verdict(goal: Goal, s: Sample) -> bool | None:
    """Whether a sample is good; None when it is no evidence."""
    c = goal.criteria
    if s.technology not in goal.evidence.technology_ids:
        return None
    if goal.evidence.stream == "broadband":
        if c.ipv6:
            return s.ipv6
        if s.down is None or c.down_mbps is None:
            return None
        return s.down >= c.down_mbps and s.technology in goal.evidence.good_ids
    if not s.attached:
        return False
    assert c.rsrp_dbm is not None
    if s.rsrp is None or (c.sinr_db is not None and s.sinr is None):
        return None
    return s.rsrp >= c.rsrp_dbm and (c.sinr_db is None or (s.sinr or 0) >= c.sinr_db)


def _state(goal: Goal, evidence: list[tuple[Sample, bool]]) -> str:
    c = goal.criteria
    newest = max(s.hour for s, _ in evidence)
    days = {s.hour.date() for s, _ in evidence}
    too_little = len(evidence) < c.min_samples or len(days) < c.min_days
    if too_little or NOW - newest > timedelta(days=c.freshness_days):
        return "unknown"
    share = Fraction(sum(good for _, good in evidence), len(evidence))
    return "covered" if share >= Fraction(str(c.share)) else "uncovered"


@pytest.fixture
async def small(empty_database_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A database with nine villages and no samples."""
    connection = await asyncpg.connect(empty_database_url)
    await add_places(connection)
    yield connection
    await connection.close()


@pytest.mark.parametrize("name", GOALS)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.lists(samples(), min_size=1, max_size=40))
async def test_states_agree_with_the_samples(
    small: asyncpg.Connection[Any], name: str, data: list[Sample]
) -> None:
    """Whatever was measured, the database finds the state that the samples themselves have."""
    await add_samples(small, data)
    await small.execute("DELETE FROM place_state")

    await evaluate(small, [GOALS[name]], VINTAGE, NOW)

    assert await states(small) == oracle(GOALS[name], data)


def good(hours_ago: int, **where: Any) -> Sample:
    """A sample that meets the thresholds of `make_goal`."""
    return Sample(hours_ago, rsrp=-90, sinr=5, **where)


def bad(hours_ago: int, **where: Any) -> Sample:
    """A sample that meets neither threshold."""
    return Sample(hours_ago, rsrp=-120, sinr=-9, **where)


TWO_DAYS = (1, 2, 30)
"""Hours ago: three samples on two days are enough for `make_goal`."""


async def _states_of(connection: asyncpg.Connection[Any], *data: Sample) -> dict[Any, str]:
    await add_samples(connection, data)
    await evaluate(connection, [make_goal()], VINTAGE, NOW)
    return await states(connection)


async def test_exactly_the_share_is_covered(small: asyncpg.Connection[Any]) -> None:
    """Half of the samples good meets a share of one half."""
    found = await _states_of(small, good(1), good(30), bad(2), bad(31))
    assert found == {(1, 1): "covered", (1, 0): "covered"}


async def test_below_the_share_is_uncovered(small: asyncpg.Connection[Any]) -> None:
    """A third of the samples good does not meet a share of one half."""
    found = await _states_of(small, good(1), bad(30), bad(2))
    assert found == {(1, 1): "uncovered", (1, 0): "uncovered"}


async def test_too_few_samples_are_unknown(small: asyncpg.Connection[Any]) -> None:
    """Two samples where three are asked for say nothing, however good."""
    assert await _states_of(small, good(1), good(30)) == {(1, 1): "unknown", (1, 0): "unknown"}


async def test_too_few_days_are_unknown(small: asyncpg.Connection[Any]) -> None:
    """Many samples of one day where two days are asked for say nothing."""
    found = await _states_of(small, *(good(1) for _ in range(9)))
    assert found == {(1, 1): "unknown", (1, 0): "unknown"}


async def test_old_evidence_is_unknown(small: asyncpg.Connection[Any]) -> None:
    """Samples in the window of ten days, the newest six days old where five are allowed."""
    found = await _states_of(small, *(good(24 * days) for days in (6, 7, 8)))
    assert found == {(1, 1): "unknown", (1, 0): "unknown"}


async def test_no_cell_is_a_bad_sample(small: asyncpg.Connection[Any]) -> None:
    """A device that searched and found no cell is evidence against coverage."""
    found = await _states_of(small, *(Sample(h, attached=False) for h in TWO_DAYS), good(3))
    assert found[1, 1] == "uncovered"


async def test_samples_without_sinr_are_no_evidence(small: asyncpg.Connection[Any]) -> None:
    """When the goal asks for SINR, an RSRP alone proves nothing."""
    assert await _states_of(small, *(Sample(h, rsrp=-80) for h in TWO_DAYS)) == {}


async def test_fast_lines_of_the_wrong_technology_are_bad(small: asyncpg.Connection[Any]) -> None:
    """A village that answers over DSL alone was measured, and has no fibre."""
    fibre = make_goal(stream="broadband", technology="dsl", good="fttp", down_mbps=12)
    tests = [Sample(hours, down=50, technology=DSL) for hours in (1, 2, 25)]
    await add_samples(small, tests)
    await evaluate(small, [fibre], VINTAGE, NOW)
    assert await states(small) == {(1, 1): "uncovered", (1, 0): "uncovered"}


async def test_any_carrier_is_covered_by_one(small: asyncpg.Connection[Any]) -> None:
    """One carrier of four covers a place, whatever the others do."""
    data = [good(h, carrier=2) for h in TWO_DAYS] + [bad(h, carrier=1) for h in TWO_DAYS]
    found = await _states_of(small, *data, good(1, carrier=3))
    assert found == {(1, 0): "covered", (1, 1): "uncovered", (1, 2): "covered", (1, 3): "unknown"}


async def test_any_carrier_is_uncovered_when_none_covers(small: asyncpg.Connection[Any]) -> None:
    """One known failure and one unknown: as far as anybody knows, uncovered."""
    found = await _states_of(small, *(bad(h, carrier=1) for h in TWO_DAYS), good(1, carrier=2))
    assert found[1, 0] == "uncovered"


async def test_carriers_do_not_add_up(small: asyncpg.Connection[Any]) -> None:
    """Too few samples of each of three carriers stay too few."""
    found = await _states_of(small, *(good(h, carrier=c) for c, h in enumerate(TWO_DAYS, 1)))
    assert set(found.values()) == {"unknown"}


async def test_foreign_networks_never_count(small: asyncpg.Connection[Any]) -> None:
    """Recorded data from elsewhere covers nothing, not even for any carrier."""
    assert await _states_of(small, *(good(h, carrier=255) for h in TWO_DAYS)) == {}


async def test_evidence_is_kept_with_the_state(small: asyncpg.Connection[Any]) -> None:
    """A state carries its samples, good samples, days, newest hour and criteria."""
    await _states_of(small, good(1), good(2), good(30), bad(3))
    row = await small.fetchrow("SELECT * FROM place_state WHERE carrier_id = 1")
    assert row is not None
    assert (row["n"], row["n_good"], row["days"], row["criteria"]) == (4, 3, 2, "1")
    assert row["last_hour"] == NOW - timedelta(hours=1)
    assert row["since"] == row["evaluated_at"] == NOW


async def test_silence_lapses_to_unknown(small: asyncpg.Connection[Any]) -> None:
    """When the window has passed, a covered place is unknown since then; its last hour stays."""
    await _states_of(small, *(good(h) for h in TWO_DAYS))
    later = NOW + timedelta(days=20)

    await evaluate(small, [make_goal()], VINTAGE, later)

    row = await small.fetchrow("SELECT * FROM place_state WHERE carrier_id = 1")
    assert row is not None
    assert (row["state"], row["n"], row["since"]) == ("unknown", 0, later)
    assert row["last_hour"] == NOW - timedelta(hours=1)


async def test_since_moves_only_with_the_state(small: asyncpg.Connection[Any]) -> None:
    """More of the same evidence keeps the date; a change of state moves it."""
    goal = make_goal()
    await _states_of(small, *(good(h) for h in TWO_DAYS))

    async def since(hours_later: int) -> Any:
        await evaluate(small, [goal], VINTAGE, NOW + timedelta(hours=hours_later))
        return await small.fetchval("SELECT since FROM place_state WHERE carrier_id = 0")

    await add_samples(small, [*(good(h) for h in TWO_DAYS), good(5)])
    assert await since(1) == NOW
    await add_samples(small, [bad(h) for h in TWO_DAYS])
    assert await since(2) == NOW + timedelta(hours=2)


async def test_unchanged_states_are_not_written_again(small: asyncpg.Connection[Any]) -> None:
    """A second evaluation of the same evidence writes no state."""
    await _states_of(small, *(good(h) for h in TWO_DAYS))
    again = await evaluate(small, [make_goal()], VINTAGE, NOW + timedelta(minutes=1))
    assert again[0].changed == 0


async def test_new_criteria_are_named_at_once(small: asyncpg.Connection[Any]) -> None:
    """After the criteria change, every state names the new version, lapsed ones too."""
    await _states_of(small, *(good(h) for h in TWO_DAYS), *(good(h, place=2) for h in TWO_DAYS))
    await add_samples(small, [good(h) for h in TWO_DAYS])

    await evaluate(small, [make_goal(version="2026's")], VINTAGE, NOW)

    assert await small.fetch("SELECT DISTINCT criteria FROM place_state") == [("2026's",)]
