"""SenML in JSON (RFC 8428, 5)."""

from __future__ import annotations

from ingest.formats import senml
from ingest.formats.base import Format, FormatError, Translated, json_value

_LABELS = {"bn", "bt", "bu", "bv", "bs", "bver", "n"}


def fits(payload: bytes) -> bool:
    """Whether it is an array whose first object has SenML's labels and not the contract's."""
    if payload.lstrip()[:1] != b"[":
        return False
    try:
        pack = json_value(payload)
    except FormatError:
        return False
    first = pack[0] if pack else None
    return isinstance(first, dict) and "time" not in first and bool(_LABELS & first.keys())


def translate(payload: bytes, stream: str) -> Translated:
    """The samples of a pack. Raises `FormatError`."""
    return senml.translate(json_value(payload), stream)


SENML_JSON = Format("SenML JSON", ("application/senml+json",), fits, translate)
