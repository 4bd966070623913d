"""Shapes in which data arrives that are no compact JSON, translated to the message contract.

One file a format, with its units, its traps and what it does not know: a value whose unit or
validity a payload does not tell is left out, never guessed.
"""

from __future__ import annotations

from ingest.formats.base import Fault, Format, FormatError, Object, Translated
from ingest.formats.ndjson import NDJSON
from ingest.formats.nuestats import NUESTATS
from ingest.formats.oceanconnect import OCEANCONNECT
from ingest.formats.qeng import QENG
from ingest.formats.senml_cbor import SENML_CBOR
from ingest.formats.senml_json import SENML_JSON
from ingest.formats.unicom import UNICOM

__all__ = [
    "FORMATS",
    "Fault",
    "Format",
    "FormatError",
    "Object",
    "Translated",
    "named",
    "recognise",
]

FORMATS = (SENML_JSON, SENML_CBOR, NUESTATS, QENG, OCEANCONNECT, UNICOM, NDJSON)
_BY_CONTENT_TYPE = {name: f for f in FORMATS for name in f.content_types}


def named(content_type: str) -> Format | None:
    """The format that a content type names; None where it names none of them."""
    return _BY_CONTENT_TYPE.get(content_type)


def recognise(content_type: str, payload: bytes) -> Format | None:
    """The format of a payload: the one that its content type names, else the one that it looks
    like; None where it looks like none, as compact JSON does."""
    return named(content_type) or next((f for f in FORMATS if f.fits(payload)), None)
