"""Newline-delimited JSON: one object of the message contract a line."""

from __future__ import annotations

from ingest.formats.base import Fault, Format, FormatError, Translated, json_value
from ingest.reasons import Reason
from shudao.streams import BATCH


def fits(payload: bytes) -> bool:
    """Whether a line ends with a brace and the next begins with one, as nowhere in JSON."""
    first, _, rest = payload.lstrip().partition(b"\n")
    return first[:1] == b"{" and first.rstrip()[-1:] == b"}" and rest.lstrip()[:1] == b"{"


def translate(payload: bytes, stream: str) -> Translated:
    """The objects, line by line; empty lines are passed over."""
    out = Translated([], [])
    for position, line in enumerate(payload.split(b"\n")):
        if not line.strip():
            continue
        try:
            value = json_value(line)
        except FormatError as error:
            out.faults.append(Fault(position, error.reason, error.detail))
            continue
        if isinstance(value, dict):
            if stream != BATCH:
                value.pop("stream", None)  # the topic's is meant, as in an array
            out.objects.append(value)
        else:
            detail = f"the line is no object but {type(value).__name__}"
            out.faults.append(Fault(position, Reason.INVALID_FIELD, detail))
    return out


NDJSON = Format("NDJSON", ("application/x-ndjson", "application/ndjson"), fits, translate)
