"""Durations on the command line: 90, 90s, 5m, 2h, 3d."""

from __future__ import annotations

import re

import typer

_SECONDS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def parse_duration(text: str | float) -> float:
    """Seconds of a duration such as 60s or 5m. Raises `typer.BadParameter`."""
    if isinstance(text, int | float):
        return float(text)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|)", text.strip())
    if match is None:
        raise typer.BadParameter(f"{text!r} is no duration: write 90s, 5m, 2h or 3d")
    return float(match[1]) * _SECONDS[match[2]]
