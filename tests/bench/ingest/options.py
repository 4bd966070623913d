"""What a benchmark is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["single", "arrays", "paced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """See `shudao bench ingest --help`; all counts of ``window`` are samples."""

    home: Path
    sources: tuple[str, ...] = ("auto",)
    workers: int = 1
    kinds: tuple[Kind, ...] = ("single", "arrays", "paced")
    seconds: float = 20.0
    """Of a phase at full speed, unless ``messages`` is set."""
    messages: int = 0
    """Of a phase at full speed, 0: as many as fit the time; of arrays as many samples."""
    devices: int = 200_000
    places: int = 53_578
    per_array: int = 500
    window: int = 150_000
    array_window: int = 300_000
    connections: int = 4
    paced_rate: float = 10_000.0
    paced_seconds: float = 15.0
    baseline: bool = False
    limits: bool = True
