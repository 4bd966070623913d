"""Which rows of quarantine may leave it, after their payloads were decoded and checked again.

A row holds what could be cut out of a message: an object of an array alone, or a whole message.
Several rows can hold the same message (each for one sample of it, where a format cannot be cut), so
rows are grouped by message, and each message is decoded once. Then a row

- leaves if nothing of its message is refused, or if what is refused are other samples of it;
- stays in every other case, with the reason that holds now.

A whole message that comes apart now can hold samples that are refused for themselves: these are
new refusals (``parts``), to be written in the transaction in which the message leaves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from ingest.batch import Batch, Message, Refusal
from ingest.reasons import Reason
from ingest.writer import digest


class Kept(NamedTuple):
    """A row of quarantine."""

    quarantine_id: int
    digest: bytes
    message: Message
    """As it arrived, at the time at which it arrived."""


@dataclass(slots=True)
class Verdict:
    """What becomes of the rows."""

    leave: list[int] = field(default_factory=list)
    stay: list[tuple[int, Refusal]] = field(default_factory=list)
    parts: list[Refusal] = field(default_factory=list)


_Key = tuple[str, bytes, int]


def by_message(rows: Iterable[Kept]) -> dict[Message, list[Kept]]:
    """Rows grouped by the message that they hold."""
    groups: dict[Message, list[Kept]] = defaultdict(list)
    for row in rows:
        groups[row.message].append(row)
    return dict(groups)


def judge(groups: dict[Message, list[Kept]], batch: Batch) -> Verdict:
    """The rows' fate, where ``batch`` is what their messages were decoded and checked to."""
    refused: dict[_Key, list[Refusal]] = defaultdict(list)
    for refusal in batch.refusals:
        refused[_key(refusal)].append(refusal)
    accepted = _accepted(batch, {m.received_ms for m in groups if _key(m) in refused})
    verdict = Verdict()
    for message, rows in groups.items():
        found = refused.get(_key(message), [])
        _judge_message(rows, found, accepted[_key(message)], verdict)
    whole = {_key(m) for m in groups}
    verdict.parts += [r for key, found in refused.items() if key not in whole for r in found]
    return verdict


def _judge_message(
    rows: list[Kept], refused: list[Refusal], accepted: set[bytes], verdict: Verdict
) -> None:
    reasons = {digest(r): r for r in refused}
    for row in rows:
        if row.digest in reasons:
            verdict.stay.append((row.quarantine_id, reasons[row.digest]))
        elif not refused or row.digest in accepted:
            verdict.leave.append(row.quarantine_id)
        else:
            # Its position in the array that it came in was another than alone.
            verdict.stay.append((row.quarantine_id, refused[0]))
    digests = {row.digest for row in rows}
    if refused and digest(_first_of(refused[0])) in digests:
        # One of the rows was the whole message, or may have been.
        verdict.parts += [r for d, r in reasons.items() if d not in digests]


def _first_of(refusal: Refusal) -> Refusal:
    return replace(refusal, item=0)


def _key(of: Message | Refusal) -> _Key:
    return of.topic, of.payload, of.received_ms


def _accepted(batch: Batch, arrivals: set[int]) -> dict[_Key, set[bytes]]:
    """Digests of the valid samples that arrived at one of these times, by their message."""
    digests: dict[_Key, set[bytes]] = defaultdict(set)
    for checked in batch.checked:
        for row in np.flatnonzero(np.isin(checked.received_ms, list(arrivals))):
            # What it would be kept as; the reason is no part of that.
            sample = checked.refuse(int(row), Reason.UNSTORABLE, "")
            digests[_key(sample)].add(digest(sample))
    return digests
