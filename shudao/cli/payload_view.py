"""How bytes and text that others sent are shown in a terminal."""

from __future__ import annotations

import msgspec

SHOWN_BYTES = 16_384
_LAYOUT = dict.fromkeys(map(ord, "\r\n\t"))


def readable(payload: bytes) -> str:
    """A payload for a terminal: indented JSON, text, or a hex dump; nothing a terminal obeys."""
    if not payload:
        return "(empty)"
    text = _text(payload)
    if text is None:
        shown, is_cut = hex_dump(payload[:SHOWN_BYTES]), len(payload) > SHOWN_BYTES
    else:
        lines = text[:SHOWN_BYTES].expandtabs().split("\n")
        shown, is_cut = "\n".join(map(printable, lines)), len(text) > SHOWN_BYTES
    return f"{shown}\n… {len(payload):,} bytes: --raw writes them all" if is_cut else shown


def _text(payload: bytes) -> str | None:
    """As text, JSON indented; None where it is none."""
    try:
        # Numbers and order stay as they were sent, which loading it would change.
        return msgspec.json.format(payload, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = payload.decode(errors="replace")
    return text if "\ufffd" not in text and text.translate(_LAYOUT).isprintable() else None


def hex_dump(data: bytes) -> str:
    """Offset, sixteen bytes, and what of them is ASCII, a line each."""
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        ascii_ = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        lines.append(f"{at:08x}  {row[:8].hex(' '):23}  {row[8:].hex(' '):23}  {ascii_}")
    return "\n".join(lines)


def printable(text: str) -> str:
    """One line of text from outside, with nothing that a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
