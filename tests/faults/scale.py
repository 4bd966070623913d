"""How long the chaos lasts, and its seed.

SHUDAO_CHAOS=long (``make chaos``) runs for minutes with at least 30 kills of the ingester; short,
the default, meets every fault once or twice. SHUDAO_CHAOS_SEED repeats the traffic and the order
of faults of an earlier run; what the machine does between them it cannot repeat.
"""

from __future__ import annotations

import os
import secrets

import pytest


def is_long() -> bool:
    """Whether the long version was asked for. Raises ValueError on an unknown scale."""
    scale = os.environ.get("SHUDAO_CHAOS", "short")
    if scale not in ("short", "long"):
        raise ValueError(f"SHUDAO_CHAOS is {scale!r}, and must be short or long")
    return scale == "long"


def seed() -> int:
    """The seed that was given, else a new one; it is printed."""
    chosen = int(os.environ.get("SHUDAO_CHAOS_SEED") or secrets.randbelow(2**31))
    print(f"\nSHUDAO_CHAOS_SEED={chosen}")
    return chosen


only_long = pytest.mark.skipif(not is_long(), reason="takes too long for every day: make chaos")
