"""What a format is, and what translating a payload yields."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from ingest.reasons import Reason

Object = dict[str, Any]
"""An object of the message contract (shudao/streams.py): plain strings and numbers."""

MAX_NAME = 256
"""Characters of a name that holds for many samples of a message: each of them carries it."""


class Fault(NamedTuple):
    """A part of a payload that could not be translated."""

    position: int
    reason: Reason
    detail: str


class Translated(NamedTuple):
    """What a payload holds."""

    objects: list[Object]
    faults: list[Fault]


class FormatError(Exception):
    """The whole payload is refused."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Format:
    """A shape in which data arrives.

    ``translate`` makes objects of the message contract of a payload that came on a topic with
    that stream (radio, broadband, reading or batch); it raises `FormatError` and nothing else,
    whatever the bytes are.
    """

    name: str
    content_types: tuple[str, ...]
    fits: Callable[[bytes], bool]
    """Whether a payload without a known content type looks like it; must be quick."""
    translate: Callable[[bytes, str], Translated]


def json_value(payload: bytes) -> Any:
    """The JSON value of a payload. Raises `FormatError`."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        detail = str(error).partition("\n")[0] or type(error).__name__
        raise FormatError(Reason.MALFORMED, detail) from error


def looks_like_json(payload: bytes) -> bool:
    """Whether it begins like an object or an array."""
    return payload.lstrip()[:1] in (b"{", b"[")


def text_of(payload: bytes) -> str:
    """The text of a payload. Raises `FormatError`."""
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise FormatError(Reason.MALFORMED, f"no UTF-8: {error.reason}") from error


def number(value: Any) -> int | float | None:
    """A finite number as it is; None for anything else.

    A number without a fraction is an int, so that it fits whole fields. None of ours needs more
    than 63 bits.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    return value if abs(value) < 2**63 else None


_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")


def number_or_text(value: Any) -> int | float | None:
    """A number that may have been sent as text, as some platforms do."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value) if "." in value else int(value)
    return number(value)


def shown(value: Any) -> str:
    """A value in the text of a refusal, in at most 60 characters.

    Only text and numbers are shown as they are: a container can be made that takes gigabytes to
    print, and Python refuses to print a whole number of more than 4,300 digits.
    """
    if isinstance(value, str):
        return repr(value[:40])
    if number(value) is not None:
        return str(value)
    return type(value).__name__


def tenths(value: int | float) -> float:
    """Tenths of a unit → the unit."""
    return round(value / 10, 4)
