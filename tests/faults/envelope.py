"""A message to publish, and what must become of its parts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import md5
from typing import Any

from shudao.streams import BATCH, topic
from tests.faults.numbered import Sample


@dataclass(frozen=True, slots=True)
class Refused:
    """What quarantine must hold: once, for this reason."""

    topic: str
    md5: str
    """Of the payload that is kept: the object's own, or the whole message."""
    reason: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message: the numbers of the samples in it, and what of it is to be refused."""

    topic: str
    payload: bytes
    numbers: tuple[int, ...] = ()
    refused: tuple[Refused, ...] = ()


def to_json(fields: dict[str, Any]) -> bytes:
    """Compact JSON, as devices send it."""
    return json.dumps(fields, separators=(",", ":")).encode()


def single(number: int, sample: Sample) -> Envelope:
    """One sample on its device's own topic."""
    where = topic(sample.carrier, sample.stream, sample.device)
    return Envelope(where, to_json(sample.fields), (number,))


def bulk(uploader: str, samples: dict[int, Sample], bad: tuple[bytes, str] | None) -> Envelope:
    """Samples of one carrier in one array; ``bad`` is an object in their midst and its reason."""
    [carrier] = {s.carrier for s in samples.values()}
    where = topic(carrier, BATCH, uploader)
    objects = [
        to_json({"stream": s.stream, "device": s.device, **s.fields}) for s in samples.values()
    ]
    refused: tuple[Refused, ...] = ()
    if bad is not None:
        objects.insert(len(objects) // 2, bad[0])
        refused = (refusal(where, *bad),)
    return Envelope(where, b"[" + b",".join(objects) + b"]", tuple(samples), refused)


def refusal(where: str, payload: bytes, reason: str) -> Refused:
    """What is to be found in quarantine of a payload."""
    return Refused(where, md5(payload, usedforsecurity=False).hexdigest(), reason)
