"""SenML in CBOR (RFC 8428, 6): the same records under small integers as labels."""

from __future__ import annotations

from typing import Any

import cbor2

from ingest.formats import senml
from ingest.formats.base import Format, FormatError, Translated
from ingest.reasons import Reason

_LABELS = {
    -1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip
# What the decoder and the types that its tags make raise on arbitrary bytes.
_ERRORS = (
    cbor2.CBORDecodeError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError,
    RecursionError, MemoryError,
)  # fmt: skip


def fits(payload: bytes) -> bool:
    """Whether it begins like a CBOR array, as no JSON does."""
    return 0x80 <= payload[0] <= 0x9F if payload else False


def translate(payload: bytes, stream: str) -> Translated:
    """The samples of a pack. Raises `FormatError`."""
    try:
        pack = cbor2.loads(payload)
    except _ERRORS as error:
        detail = str(error).partition("\n")[0][:200] or type(error).__name__
        raise FormatError(Reason.MALFORMED, f"no CBOR: {detail}") from error
    if isinstance(pack, list):
        pack = [_named(record) for record in pack]
    return senml.translate(pack, stream)


def _named(record: Any) -> Any:
    """A record under its JSON labels; an unknown number is an unknown label, which is ignored."""
    if not isinstance(record, dict):
        return record
    return {_LABELS.get(k, str(k)) if isinstance(k, int) else k: v for k, v in record.items()}


SENML_CBOR = Format("SenML CBOR", ("application/senml+cbor",), fits, translate)
