"""When messages are due."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.load.schedule import Curve, Schedule, Shape


@pytest.mark.parametrize(
    ("shape", "total", "first_half"),
    [
        (Shape.STEADY, 20_000, 10_000),
        (Shape.RAMP, 10_000, 2_500),
        (Shape.BURST, 36_000, 18_000),  # 16 s of 1,000/s, 4 s of 5,000/s
    ],
)
def test_a_shape_has_so_many_messages(shape: Shape, total: int, first_half: int) -> None:
    """1,000 a second for 20 s, all of them and the first half of the time."""
    schedule = Schedule(Curve(shape, 1_000, 20))
    assert schedule.total == total
    assert schedule.due(10) == pytest.approx(first_half, abs=1)
    assert schedule.due(99) == schedule.total


def test_bursts_are_at_the_end_of_their_period() -> None:
    """Nothing of one in the first 8 s of 10; five times the rate in the last 2."""
    schedule = Schedule(Curve(Shape.BURST, 100, 10))
    assert schedule.due(8) == pytest.approx(800, abs=1)
    assert schedule.due(9) - schedule.due(8) == pytest.approx(500, abs=1)


def test_a_day_is_quiet_at_four_and_busy_at_eight_in_the_evening() -> None:
    """The rate that was asked for is that of the busiest hour."""
    curve = Curve(Shape.DAILY, 1_000, 24)
    hours = np.linspace(0, 24, 1_000)
    rates = curve.at(hours)
    assert rates.max() == pytest.approx(1_000, rel=0.001)
    assert hours[rates.argmax()] == pytest.approx(20, abs=0.1)
    assert hours[rates.argmin()] == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("shape", Shape)
def test_a_message_is_due_when_the_schedule_counts_it(shape: Shape) -> None:
    """`due_at` is the inverse of `due`, to a step of the schedule."""
    schedule = Schedule(Curve(shape, 500, 10))
    at = schedule.due_at(0, schedule.total)
    assert (np.diff(at) >= 0).all()
    for number in range(100, schedule.total, 97):
        assert schedule.due(at[number] - 0.002) <= number + 1 <= schedule.due(at[number] + 0.002)
