"""States of places and progress of goals, computed in the database from the hourly roll-ups."""

from __future__ import annotations

from shudao.evaluation.evaluate import Evaluated, evaluate
from shudao.evaluation.loop import evaluate_for_ever, evaluate_once

__all__ = ["Evaluated", "evaluate", "evaluate_for_ever", "evaluate_once"]
