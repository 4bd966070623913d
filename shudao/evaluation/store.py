"""The SQL that stores an evaluation: only states that changed are written."""

from __future__ import annotations

from datetime import UTC, date, datetime

from shudao.evaluation.sql import instant, progress_sql, state_sql, stored_states
from shudao.goals import Goal

STORE_GOAL = """
INSERT INTO goal AS old (goal, clause, title_zh, title_en, target, deadline, criteria)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (goal) DO UPDATE
   SET clause = excluded.clause, title_zh = excluded.title_zh, title_en = excluded.title_en,
       target = excluded.target, deadline = excluded.deadline, criteria = excluded.criteria
 WHERE old IS DISTINCT FROM excluded
"""
"""What dashboards show of a goal, beside its progress."""

FORGET_GOALS = "DELETE FROM goal WHERE goal <> ALL($1::text[])"
"""Goals that left the goals file are shown no longer; their progress stays."""


def store_states_sql(goal: Goal, vintage: date, now: datetime) -> str:
    """Write the states that differ from the stored ones; answers how many there were.

    A state that lost its evidence becomes unknown and keeps its last hour. ``since`` moves only
    when the state itself changes.
    """
    at = instant(now)
    return f"""\
WITH fresh AS MATERIALIZED (
{state_sql(goal, vintage, now)}
), written AS (
    INSERT INTO place_state AS old (goal, place_id, carrier_id, state, criteria, n, n_good, days,
                                    last_hour, since, evaluated_at)
    SELECT '{goal.id}', place_id, carrier_id, fresh.state, {_text(goal.criteria.version)},
           fresh.n, fresh.n_good, fresh.days, fresh.last_hour, {at}, {at}
      FROM fresh LEFT JOIN (SELECT * FROM place_state WHERE goal = '{goal.id}') AS stored
                 USING (place_id, carrier_id)
     WHERE (stored.state, stored.criteria, stored.n, stored.n_good, stored.days, stored.last_hour)
           IS DISTINCT FROM (fresh.state, {_text(goal.criteria.version)},
                             fresh.n, fresh.n_good, fresh.days, fresh.last_hour)
    ON CONFLICT (goal, place_id, carrier_id) DO UPDATE
       SET state = excluded.state, criteria = excluded.criteria, n = excluded.n,
           n_good = excluded.n_good, days = excluded.days, last_hour = excluded.last_hour,
           since = CASE WHEN old.state = excluded.state THEN old.since ELSE excluded.since END,
           evaluated_at = excluded.evaluated_at
    RETURNING 1
), lapsed AS (
    UPDATE place_state AS old
       SET state = 'unknown', criteria = {_text(goal.criteria.version)},
           n = 0, n_good = 0, days = 0, evaluated_at = {at},
           since = CASE WHEN old.state = 'unknown' THEN old.since ELSE {at} END
      FROM place
     WHERE old.goal = '{goal.id}' AND place.place_id = old.place_id
       AND place.vintage = DATE '{vintage}'
       AND (old.state, old.criteria, old.n) <> ('unknown', {_text(goal.criteria.version)}, 0)
       AND NOT EXISTS (SELECT FROM fresh WHERE fresh.place_id = old.place_id
                                           AND fresh.carrier_id = old.carrier_id)
    RETURNING 1
)
SELECT (SELECT count(*) FROM written) + (SELECT count(*) FROM lapsed)"""


def store_progress_sql(goal: Goal, vintage: date, now: datetime) -> str:
    """Write today's (UTC) progress from the stored states; answers the rows."""
    return f"""\
INSERT INTO goal_progress (goal, vintage, division, carrier_id, day, criteria,
                           covered, uncovered, unknown, denominator, evaluated_at)
SELECT '{goal.id}', DATE '{vintage}', division, carrier_id, DATE '{now.astimezone(UTC).date()}',
       {_text(goal.criteria.version)}, covered, uncovered, unknown, denominator, {instant(now)}
  FROM ({progress_sql(goal, vintage, stored_states(goal))}) AS progress
ON CONFLICT (goal, vintage, division, carrier_id, day) DO UPDATE
   SET criteria = excluded.criteria, covered = excluded.covered, uncovered = excluded.uncovered,
       unknown = excluded.unknown, denominator = excluded.denominator,
       evaluated_at = excluded.evaluated_at
RETURNING division, carrier_id, covered, uncovered, unknown, denominator"""


def forget_progress_sql(goal: Goal, vintage: date, now: datetime) -> str:
    """Delete today's rows of divisions that no longer have any place of the goal."""
    return f"""\
DELETE FROM goal_progress
 WHERE goal = '{goal.id}' AND vintage = DATE '{vintage}'
   AND day = DATE '{now.astimezone(UTC).date()}' AND evaluated_at <> {instant(now)}"""


def _text(value: str) -> str:
    """A text literal; versions are free text, so quotes are doubled."""
    return "'" + value.replace("'", "''") + "'"
