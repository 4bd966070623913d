"""What is concluded from the counts."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.load.plan import Plan
from simulators.load.report import Report, make_report
from simulators.load.schedule import Curve, Shape
from simulators.load.tally import Tally
from simulators.load.verify import Stored

BOTTLENECK = "the load tester was the bottleneck"


def report(stored: Stored | None = None, *, qos: int = 1, **changes: Any) -> Report:
    """Of ten seconds at 100 a second, without a database unless something is stored."""
    plan = Plan(
        url="mqtt://nowhere", devices=10, connections=1, duration_s=10, qos=qos,
        curve=Curve(Shape.STEADY, 100, 10), verified=stored is not None,
    )  # fmt: skip
    wanted = {"asked": 1_000, "published": 1_000, "acknowledged": 1_000 * qos, "seconds": 10.0}
    return make_report(plan, Tally(**(wanted | changes)), stored, None, None)


@pytest.mark.parametrize(
    ("changes", "warns"),
    [
        ({}, None),
        ({"cpu_s": 9.1}, BOTTLENECK),
        ({"published": 900, "acknowledged": 900}, BOTTLENECK),
        ({"published": 900, "acknowledged": 900, "blocked_s": 5.0}, "the broker took no more"),
    ],
)
def test_it_tells_whose_limit_was_met(changes: dict[str, Any], warns: str | None) -> None:
    """Its own: a busy core, or behind although sockets could take more; else the broker's."""
    found = report(**changes)
    assert found.ok
    assert [warns in text for text in found.warnings if warns] == ([True] if warns else [])


def test_a_row_too_many_is_stored_twice() -> None:
    """It is a failure, though nothing is lost."""
    found = report(Stored(rows=1_001, distinct=1_000, quarantined=0))
    assert (found.lost, found.stored_twice) == (0, 1)
    assert found.failures == ["1 messages are stored twice"]


def test_what_is_refused_or_unanswered_is_lost_without_a_database() -> None:
    """Nobody else can tell."""
    found = report(acknowledged=990, refused=5)
    assert found.lost == 15
    assert not found.ok


def test_without_database_and_acknowledgements_the_loss_is_unknown() -> None:
    """QoS 0 to a broker alone: null, not 0."""
    found = report(qos=0)
    assert found.lost is None
    assert "cannot be known" in found.warnings[0]


def test_a_run_that_published_nothing_fails() -> None:
    """Else a pipeline would pass on nothing."""
    found = report(asked=0, published=0, acknowledged=0, seconds=0.0)
    assert found.failures == ["nothing was published"]
