"""The result of a run: numbers, what is wrong, and what not to conclude from them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from rich.table import Table

from simulators.load.latencies import Latencies
from simulators.load.plan import Plan
from simulators.load.tally import Tally
from simulators.load.verify import Stored

_BUSY, _KEPT, _BLOCKED = 0.9, 0.99, 0.1
Percentiles = dict[str, float | None]


class Report(msgspec.Struct, frozen=True):
    """Counts are of messages, each with one sample; null is what was not or cannot be known."""

    asked_per_s: float
    """Messages that were due over the time of publishing; without a rate: those achieved."""
    achieved_per_s: float
    seconds: float
    published: int
    acknowledged: int | None
    """By the broker; null for QoS 0."""
    refused: int
    """Of the acknowledged, those that the broker refused."""
    committed: int | None
    lost: int | None
    """Verified: published and not in the database; else: not acknowledged, or refused."""
    quarantined: int | None
    stored_twice: int | None
    sent_twice: int
    """After a connection broke: the broker may have been given them twice."""
    broken_connections: int
    publish_to_acknowledge_ms: Percentiles
    publish_to_queryable_ms: Percentiles
    cpu_share: float
    """Of a core, used by the load tester while it published."""
    blocked_share: float
    """Of that time, while something was due and no connection could take it."""
    failures: list[str]
    warnings: list[str]

    @property
    def ok(self) -> bool:
        """Whether nothing is lost, stored twice or too late."""
        return not self.failures


def make_report(
    plan: Plan,
    tally: Tally,
    stored: Stored | None,
    to_query: Latencies | None,
    max_p99_ms: float | None,
) -> Report:
    """The result; ``stored`` is None where no database was asked."""
    lost = _lost(plan, tally, stored)
    to_ack = tally.to_ack.summary()
    to_query_ms = (to_query or Latencies()).summary()
    p99 = ("queryable", to_query_ms) if stored else ("acknowledge", to_ack)
    twice = stored.rows - stored.distinct if stored else None
    return Report(
        asked_per_s=round(tally.asked / min(tally.seconds, plan.duration_s), 1)
        if tally.seconds
        else 0.0,
        achieved_per_s=round(tally.rate, 1),
        seconds=round(tally.seconds, 2),
        published=tally.published,
        acknowledged=tally.acknowledged if plan.qos else None,
        refused=tally.refused,
        committed=stored.distinct if stored else None,
        lost=lost,
        quarantined=stored.quarantined if stored else None,
        stored_twice=twice,
        sent_twice=tally.resent,
        broken_connections=tally.broken,
        publish_to_acknowledge_ms=to_ack,
        publish_to_queryable_ms=to_query_ms,
        cpu_share=_share(tally.cpu_s, tally),
        blocked_share=_share(tally.blocked_s, tally),
        failures=list(_failures(tally, lost, twice, *p99, max_p99_ms)),
        warnings=list(_warnings(plan, tally)),
    )


def _share(seconds: float, tally: Tally) -> float:
    return round(seconds / tally.seconds, 3) if tally.seconds else 0.0


def _lost(plan: Plan, tally: Tally, stored: Stored | None) -> int | None:
    if stored is not None:
        return tally.published - stored.distinct
    return tally.published - tally.acknowledged + tally.refused if plan.qos else None


def _failures(
    tally: Tally,
    lost: int | None,
    twice: int | None,
    what: str,
    percentiles: Percentiles,
    max_p99_ms: float | None,
) -> Iterator[str]:
    if not tally.published:
        yield "nothing was published"
    if lost:
        yield f"{lost:,} of {tally.published:,} messages are lost ({lost / tally.published:.2%})"
    if twice:
        yield f"{twice:,} messages are stored twice"
    p99 = percentiles["p99"]
    if max_p99_ms is not None and (p99 is None or p99 > max_p99_ms):
        shown = "unknown" if p99 is None else f"{p99:,.1f} ms"
        yield f"publish-to-{what} p99 is {shown}, more than {max_p99_ms:,.1f} ms"


def _warnings(plan: Plan, tally: Tally) -> Iterator[str]:
    busy = _share(tally.cpu_s, tally) > _BUSY
    behind = tally.published < _KEPT * tally.asked
    if busy or (behind and _share(tally.blocked_s, tally) < _BLOCKED):
        yield (
            "the load tester was the bottleneck (it used"
            f" {_share(tally.cpu_s, tally):.0%} of a core): these figures are its limit or this"
            " machine's, not the platform's"
        )
    elif behind:
        yield (
            f"the rate was not reached: for {_share(tally.blocked_s, tally):.0%} of the time the"
            " broker took no more, or --window was full"
        )
    if plan.qos and tally.acknowledged < tally.published:
        left = tally.published - tally.acknowledged
        yield f"{left:,} messages were not acknowledged; they may still reach the broker"
    if not plan.verified and not plan.qos:
        yield "what the broker drops of QoS 0 cannot be known without a database"


def table(report: Report) -> Table:
    """For people."""
    made = Table(title="shudao load", title_justify="left", show_header=False)
    made.add_column(no_wrap=True)
    made.add_column(justify="right")
    for name in report.__struct_fields__:
        value = getattr(report, name)
        if not isinstance(value, list):
            made.add_row(name.replace("_", " "), _shown(name, value))
    for word, lines in (("FAILED", report.failures), ("warning", report.warnings)):
        for text in lines:
            made.add_row(word, text)
    return made


def _shown(name: str, value: object) -> str:
    if isinstance(value, dict):
        return " · ".join(f"{k} {v:,g}" for k, v in value.items() if v is not None) or "–"
    if value is None:
        return "–"
    return f"{value:.1%}" if name.endswith("share") else f"{value:,}"
