"""What counts as a number, and how a value is shown to its sender."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ingest.decode import decode
from ingest.formats.base import number, number_or_text, shown
from tests.ingest.payloads import sent


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-95, -95), (-95.5, -95.5), (2**63 - 1, 2**63 - 1), (1e300, 1e300), (2**63, None),
     (-(10**5_000), None), (math.nan, None), (-math.inf, None), (True, None), ("1", None),
     (None, None), ([1], None)],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_a_number_is_finite_and_no_text(value: Any, expected: float | None) -> None:
    """Of at most 63 bits."""
    assert number(value) == expected


def test_a_whole_number_is_whole() -> None:
    """Encoders write 1.0 where they mean 1, and an ECL is a whole number."""
    assert type(number(1.0)) is int
    payload = b'[{"n": "ecl", "t": 1735689600, "v": 1.0}]'
    samples, refusals = decode([sent(payload)], {})
    assert (len(samples), refusals) == (1, [])


@pytest.mark.parametrize(
    ("value", "expected"),
    [("-12.5", -12.5), (" 7 ", 7), ("+7", 7), (7, 7), ("1" * 19, None), ("1e3", None),
     ("NaN", None), ("٣", None), ("", None), ("-", None), (None, None)],
)  # fmt: skip
def test_a_platform_may_send_a_number_as_text(value: Any, expected: float | None) -> None:
    """In plain digits."""
    assert number_or_text(value) == expected


def test_nothing_that_is_shown_can_be_large() -> None:
    """Whole numbers that Python refuses to print, containers that take gigabytes to."""
    doubled: list[Any] = []
    for _ in range(60):
        doubled = [doubled, doubled]
    assert [shown(v) for v in (10**5_000, doubled, math.nan, True, -90.5, "x" * 50)] == [
        "int", "list", "float", "bool", "-90.5", repr("x" * 40),
    ]  # fmt: skip
