"""Goals: clauses of the plan as data, in a file that an operator can edit."""

from __future__ import annotations

from shudao.goals.load import load_goals, load_plan
from shudao.goals.model import Criteria, Evidence, Goal, Places, Plan

__all__ = ["Criteria", "Evidence", "Goal", "Places", "Plan", "load_goals", "load_plan"]
