"""The SQL of evaluation, built from a goal: complete statements with literal values.

The evaluator runs them and ``shudao goals --explain`` prints them, so what is published can be
recomputed by anyone with psql. Values are safe to write into the text: identifiers match a strict
pattern (see `shudao.goals.model`), the rest are numbers, dates and our own vocabulary.

A roll-up row is ``coverage_hour``: one place, carrier, technology and hour. PostgreSQL arrays
start at 1, histogram bins at 0.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from shudao.goals import Criteria, Goal, Places
from shudao.streams import (
    DOWN_BINS,
    DOWN_EDGES_MBPS,
    RSRP_BINS,
    RSRP_EDGES_DBM,
    SINR_BINS,
    SINR_EDGES_DB,
)
from shudao.vocabulary import ANY_CARRIER, Carrier

CARRIERS = f"{min(Carrier):d} AND {max(Carrier):d}"


def _sum(column: str, bins: list[int]) -> str:
    """Sum of histogram bins of one row; explicit, because it is 10 times as fast as unnest."""
    lines = [
        " + ".join(f"{column}[{b + 1}]" for b in bins[i : i + SINR_BINS])
        for i in range(0, len(bins), SINR_BINS)
    ]
    return "\n             + ".join(lines)


def _signal_bins(criteria: Criteria, *, good: bool) -> list[int]:
    """Joint bins that are evidence, or only the good ones among them."""
    assert criteria.rsrp_dbm is not None, "the model asks it of radio goals"
    lowest_class = 0
    if criteria.sinr_db is not None:  # class 0 has no SINR: then it is no evidence
        lowest_class = 2 + SINR_EDGES_DB.index(criteria.sinr_db) if good else 1
    lowest_bin = 1 + RSRP_EDGES_DBM.index(criteria.rsrp_dbm) if good else 0
    return [
        rsrp * SINR_BINS + sinr
        for rsrp in range(lowest_bin, RSRP_BINS)
        for sinr in range(lowest_class, SINR_BINS)
    ]


def counts(goal: Goal) -> tuple[str, str]:
    """Expressions over one roll-up row: its valid samples, and the good ones among them."""
    seen, good = _counts(goal)
    if goal.evidence.good is not None:
        technologies = ", ".join(map(str, goal.evidence.good_ids))
        good = f"CASE WHEN technology_id IN ({technologies}) THEN\n             {good} ELSE 0 END"
    return seen, good


def _counts(goal: Goal) -> tuple[str, str]:
    criteria = goal.criteria
    if goal.evidence.stream == "radio":
        seen = _sum("signal_bins", _signal_bins(criteria, good=False))
        good = _sum("signal_bins", _signal_bins(criteria, good=True))
        return f"detached_n\n             + {seen}", good
    if criteria.ipv6:
        return "ipv6_n", "ipv6_yes"
    assert criteria.down_mbps is not None, "the model asks it of broadband goals"
    fast = range(1 + DOWN_EDGES_MBPS.index(criteria.down_mbps), DOWN_BINS)
    return _sum("down_bins", list(range(DOWN_BINS))), _sum("down_bins", list(fast))


def instant(moment: datetime) -> str:
    """A timestamptz literal."""
    return f"TIMESTAMPTZ '{moment.astimezone(UTC).isoformat(sep=' ')}'"


def counted_places(places: Places, vintage: date) -> str:
    """The condition on ``place`` that selects a goal's places."""
    condition = f"place.vintage = DATE '{vintage}' AND place.kind = '{places.kind}'"
    if places.subkinds:
        names = ", ".join(f"'{name}'" for name in places.subkinds)
        condition += f" AND place.subkind IN ({names})"
    return condition


def state_sql(goal: Goal, vintage: date, now: datetime) -> str:
    """SELECT the state of each place and carrier (and of any carrier, 0) with its evidence.

    Columns: place_id, carrier_id, state, n, n_good, days, last_hour. Places without any valid
    sample in the window have no row: they are unknown. Of any carrier, n and n_good are sums and
    days is the most of one carrier.
    """
    c = goal.criteria
    n, n_good = counts(goal)
    technologies = ", ".join(map(str, goal.evidence.technology_ids))
    fresh = instant(now - timedelta(days=c.freshness_days))
    return f"""\
WITH hours AS (  -- valid and good samples of each hour in the window
    SELECT place_id, carrier_id, hour,
           {n} AS n,
           {n_good} AS n_good
      FROM coverage_hour
     WHERE technology_id IN ({technologies}) AND carrier_id BETWEEN {CARRIERS}
       AND hour > {instant(now - timedelta(days=c.window_days))}
       AND hour <= {instant(now)}
    OFFSET 0  -- a fence: without it each sum is computed twice
), days AS (
    SELECT place_id, carrier_id, sum(n)::integer AS n, sum(n_good)::integer AS n_good,
           max(hour) AS last_hour
      FROM hours WHERE n > 0
     GROUP BY place_id, carrier_id, time_bucket(INTERVAL '1 day', hour)
), evidence AS (
    SELECT place_id, carrier_id, sum(n) AS n, sum(n_good) AS n_good,
           count(*)::integer AS days, max(last_hour) AS last_hour
      FROM days GROUP BY place_id, carrier_id
), each AS (
    SELECT place_id, carrier_id,
           CASE WHEN n < {c.min_samples} OR days < {c.min_days} OR last_hour < {fresh}
                THEN 'unknown'
                WHEN n_good >= {c.share} * n THEN 'covered'
                ELSE 'uncovered' END AS state,
           n, n_good, days, last_hour
      FROM evidence JOIN place USING (place_id)
     WHERE {counted_places(goal.places, vintage)}
)
SELECT place_id, carrier_id, state, n, n_good, days, last_hour FROM each
UNION ALL
SELECT place_id, {ANY_CARRIER:d},
       CASE WHEN bool_or(state = 'covered') THEN 'covered'
            WHEN bool_or(state = 'uncovered') THEN 'uncovered'
            ELSE 'unknown' END,
       sum(n)::bigint, sum(n_good)::bigint, max(days), max(last_hour)
  FROM each GROUP BY place_id"""


def stored_states(goal: Goal) -> str:
    """SELECT the states as the last evaluation stored them."""
    return f"SELECT place_id, carrier_id, state FROM place_state WHERE goal = '{goal.id}'"


def progress_sql(
    goal: Goal,
    vintage: date,
    states: str,
    division: str | None = None,
    carrier: int | None = None,
) -> str:
    """SELECT covered, uncovered and unknown places and their sum, for divisions and carriers.

    ``states`` is a SELECT of place_id, carrier_id, state: `stored_states` or `state_sql`. The
    divisions are the province, its prefectures and its counties that have places of the goal;
    ``division`` and ``carrier`` restrict the answer to one of them.
    """
    places = counted_places(goal.places, vintage)
    conditions = [] if division is None else [f"left(county, length) = '{division}'"]
    conditions += [] if carrier is None else [f"carrier_id = {carrier:d}"]
    asked = f"\n WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"""\
WITH states AS (
{states}
), counted AS (  -- every place of the goal, measured or not
    SELECT county, count(*) AS denominator FROM place WHERE {places} GROUP BY county
), known AS (
    SELECT county, carrier_id, count(*) FILTER (WHERE state = 'covered') AS covered,
           count(*) FILTER (WHERE state = 'uncovered') AS uncovered
      FROM states JOIN place USING (place_id)
     WHERE {places}
     GROUP BY county, carrier_id
), counties AS (
    SELECT county::text, carrier_id, coalesce(covered, 0) AS covered,
           coalesce(uncovered, 0) AS uncovered, denominator
      FROM counted CROSS JOIN generate_series({ANY_CARRIER:d}, {max(Carrier):d}) AS c(carrier_id)
      LEFT JOIN known USING (county, carrier_id)
)
SELECT left(county, length) AS division, carrier_id, sum(covered)::integer AS covered,
       sum(uncovered)::integer AS uncovered,
       sum(denominator - covered - uncovered)::integer AS unknown,
       sum(denominator)::integer AS denominator
  FROM counties CROSS JOIN (VALUES (2), (4), (6)) AS levels(length){asked}
 GROUP BY 1, 2 ORDER BY 1, 2"""
