"""What several subcommands read from their options."""

from __future__ import annotations

from shudao.errors import ShudaoError
from shudao.vocabulary import CARRIER_IDS


def carrier_id(name: str, **others: int) -> int:
    """Number of a carrier's name, or of one of ``others``. Raises `ShudaoError`."""
    known = {**others, **CARRIER_IDS}
    if name not in known:
        raise ShudaoError(f"unknown carrier '{name}'", f"use one of {', '.join(known)}")
    return known[name]
