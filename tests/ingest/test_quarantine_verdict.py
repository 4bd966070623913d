"""Which rows may leave, where several of them hold one message that cannot be cut into samples."""

from __future__ import annotations

import numpy as np

from ingest.batch import Batch, Checked, Message, Refusal
from ingest.quarantine.verdict import Kept, Verdict, by_message, judge
from ingest.reasons import Reason
from ingest.writer import digest
from shudao.streams import RADIO

PACK = Message("shudao/v1/telecom/radio/d", b"a pack of samples", 1_000, "application/senml+cbor")


def refusal(item: int, sent: Message = PACK) -> Refusal:
    """Of one sample of a message."""
    return Refusal(
        Reason.TIME_OLD, f"sample {item}", sent.topic, sent.payload, item, sent.received_ms,
        1, "radio", "d", sent.content_type,
    )  # fmt: skip


def kept(quarantine_id: int, item: int, sent: Message = PACK) -> Kept:
    """The row of one sample."""
    return Kept(quarantine_id, digest(refusal(item, sent)), sent)


def batch(*, valid: list[int], refused: list[int], sent: Message = PACK) -> Batch:
    """What a message was decoded to: samples at these positions."""
    checked = Checked(
        RADIO, np.zeros(len(valid), RADIO.dtype), np.zeros(len(valid), np.int64),
        np.full(len(valid), sent.received_ms),
        lambda row, _reason, _detail: refusal(valid[row], sent),
    )  # fmt: skip
    return Batch([checked], [refusal(item, sent) for item in refused])


def fate(rows: list[Kept], found: Batch) -> tuple[list[int], dict[int, str], list[str]]:
    """Who leaves, who stays why, and which parts are new."""
    verdict: Verdict = judge(by_message(rows), found)
    return verdict.leave, {i: r.detail for i, r in verdict.stay}, [r.detail for r in verdict.parts]


def test_a_sample_of_a_pack_leaves_while_another_stays() -> None:
    """Each row is judged by its own sample, though all hold the same bytes."""
    rows = [kept(1, 3), kept(2, 5)]
    assert fate(rows, batch(valid=[0, 1, 2, 5], refused=[3])) == ([2], {1: "sample 3"}, [])


def test_all_leave_when_nothing_is_refused() -> None:
    """Wherever they were."""
    assert fate([kept(1, 3), kept(2, 5)], batch(valid=[0, 3, 5], refused=[])) == ([1, 2], {}, [])


def test_a_row_that_is_not_known_to_be_valid_stays() -> None:
    """Such as one whose message does not come apart any more."""
    rows = [kept(1, 5)]
    assert fate(rows, batch(valid=[], refused=[0])) == ([], {1: "sample 0"}, [])


def test_samples_stored_earlier_that_would_be_refused_now_are_no_news() -> None:
    """Sample 0 and 2 were valid when they came; they grew too old since."""
    rows = [kept(1, 5)]
    assert fate(rows, batch(valid=[5], refused=[0, 2])) == ([1], {}, [])


def test_a_whole_pack_that_comes_apart_leaves_its_refused_samples_behind() -> None:
    """It was refused as a whole (position 0); its sample 2 is refused for itself."""
    rows = [kept(1, 0)]
    assert fate(rows, batch(valid=[0, 1], refused=[2])) == ([1], {}, ["sample 2"])


def test_the_same_bytes_of_another_arrival_are_another_message() -> None:
    """A sample is judged as of its arrival: one may be refused, the other not."""
    later = PACK._replace(received_ms=2_000)
    rows = [kept(1, 3), kept(2, 5, later)]
    found = batch(valid=[3, 5], refused=[], sent=later)
    found.refusals = [refusal(0)]
    assert fate(rows, found) == ([2], {1: "sample 0"}, [])
