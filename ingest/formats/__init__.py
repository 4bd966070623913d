"""Shapes in which data arrives that are no compact JSON."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from ingest.reasons import Reason


class Fault(NamedTuple):
    """A part of a payload that could not be translated."""

    position: int
    reason: Reason
    detail: str


class Translated(NamedTuple):
    """What a payload holds."""

    objects: list[dict[str, Any]]
    faults: list[Fault]


class FormatError(Exception):
    """The whole payload is refused."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Format(Protocol):
    """A translation of foreign payloads."""

    name: str
    content_types: tuple[str, ...]

    def translate(self, payload: bytes, stream: str, received_ms: int) -> Translated:
        """Objects of the message contract. Raises `FormatError`."""
        ...


def recognise(content_type: str, payload: bytes) -> Format | None:
    """The format of a payload; None: compact JSON is to be tried."""
    return None
