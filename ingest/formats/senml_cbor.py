"""SenML in CBOR (RFC 8428, 6): the same records under small integers as labels.

Of CBOR's tags SenML uses one, decimal fractions. All others are refused: what decoders make of
them (dates, patterns, shared references, big numbers) can cost minutes, and memory without end.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import cbor2

from ingest.formats import senml
from ingest.formats.base import Format, FormatError, Translated
from ingest.reasons import Reason

_LABELS = {
    -1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip
_DECIMAL_FRACTION = 4
_MAX_DEPTH = 4
"""A pack, a record, a tag, a decimal fraction."""


def fits(payload: bytes) -> bool:
    """Whether it begins like a CBOR array, as no UTF-8 text does."""
    return 0x80 <= payload[0] <= 0x9F if payload else False


def translate(payload: bytes, stream: str) -> Translated:
    """The samples of a pack. Raises `FormatError`."""
    pack = _decoded(payload)
    if isinstance(pack, list):
        pack = [_named(record) for record in pack]
    return senml.translate(pack, stream)


def _decoded(payload: bytes) -> Any:
    file = io.BytesIO(payload)
    try:
        value = cbor2.CBORDecoder(file, semantic_decoders=_TAGS, max_depth=_MAX_DEPTH).decode()
    except (cbor2.CBORDecodeError, TypeError) as error:  # TypeError: a key that has no hash
        reason = str(error.__cause__ or error).partition("\n")[0][:200]
        raise FormatError(Reason.MALFORMED, f"no CBOR of SenML: {reason}") from error
    if file.tell() < len(payload):
        raise FormatError(Reason.MALFORMED, f"{len(payload) - file.tell()} bytes after the pack")
    return value


def _decimal_fraction(value: Any, _immutable: bool) -> float:
    """RFC 8949, 3.4.4: exponent and mantissa, to base ten."""
    match value:
        case [int(exponent), int(mantissa)] if abs(exponent) < 400:
            return float(f"{mantissa}e{exponent}")  # rounded once; neither has more than 64 bits
    raise ValueError("a decimal fraction is an exponent and a mantissa")


class _Tags(dict[int, Callable[[Any, bool], Any]]):
    """How tags are decoded: those that are not in it, not at all."""

    def __missing__(self, tag: int) -> Callable[[Any, bool], Any]:
        def refuse(_value: Any, _immutable: bool) -> Any:
            raise ValueError(f"tag {tag} is none of SenML")

        return refuse


_TAGS = _Tags({_DECIMAL_FRACTION: _decimal_fraction})


def _named(record: Any) -> Any:
    """A record under its JSON labels; an unknown number is an unknown label, which is ignored."""
    if not isinstance(record, dict):
        return record
    return {_LABELS[k] if type(k) is int and k in _LABELS else k: v for k, v in record.items()}


SENML_CBOR = Format("SenML CBOR", ("application/senml+cbor",), fits, translate)
