"""Where a number comes from: SELECTs that yield it again when they are pasted into psql."""

from __future__ import annotations

from datetime import date

from shudao.evaluation.progress import Progress
from shudao.evaluation.sql import progress_sql, state_sql, stored_states
from shudao.goals import Goal


def explain(goal: Goal, vintage: date, progress: Progress) -> dict[str, str]:
    """Two SELECTs of a progress: ``from_rollups`` and ``from_states``.

    ``from_states`` counts the stored states and always agrees. ``from_rollups`` is the whole way
    from the hourly roll-ups, as of the evaluation; it agrees until samples arrive whose hours were
    evaluated already, which the next evaluation then takes in.
    """
    where = (progress.division, progress.carrier_id)
    rollups = state_sql(goal, vintage, progress.evaluated_at)
    return {
        "from_rollups": progress_sql(goal, vintage, rollups, *where) + ";",
        "from_states": progress_sql(goal, vintage, stored_states(goal), *where) + ";",
    }
