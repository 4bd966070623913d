"""Which line of a TOML text a key stands on: tomllib gives values, but no positions."""

from __future__ import annotations

import re
from collections import Counter

KeyPath = tuple[str | int, ...]

_ARRAY_TABLE = re.compile(r"\s*\[\[\s*([\w.-]+)\s*\]\]")
_TABLE = re.compile(r"\s*\[\s*([\w.-]+)\s*\]")
_KEY = re.compile(r"\s*([\w-]+|\"[^\"]+\")\s*=")
_MULTILINE = re.compile(r'"""|\'\'\'')


def key_lines(text: str) -> dict[KeyPath, int]:
    """Line numbers (from 1) of tables and keys by path, e.g. ``("goal", 2, "criteria", "share")``.

    Tables of the n-th ``[[goal]]`` have n - 1 in their path. Keys inside an inline table are
    not listed: `line_of` then answers with the line of that table.
    """
    lines: dict[KeyPath, int] = {}
    seen: Counter[str] = Counter()
    table: KeyPath = ()
    in_string = False
    for number, line in enumerate(text.splitlines(), start=1):
        was_in_string = in_string
        in_string ^= len(_MULTILINE.findall(line)) % 2 == 1
        if was_in_string:
            continue
        if match := _ARRAY_TABLE.match(line):
            name = match[1]
            table = (name, seen[name])
            seen[name] += 1
        elif match := _TABLE.match(line):
            table = _nested(match[1].split("."), seen)
        elif match := _KEY.match(line):
            lines.setdefault((*table, match[1].strip('"')), number)
            continue
        else:
            continue
        lines.setdefault(table, number)
    return lines


def _nested(names: list[str], seen: Counter[str]) -> KeyPath:
    """``[goal.criteria]`` belongs to the last ``[[goal]]`` so far."""
    if names[0] in seen:
        return (names[0], seen[names[0]] - 1, *names[1:])
    return tuple(names)


def line_of(path: KeyPath, lines: dict[KeyPath, int]) -> int:
    """The line of a key, or of the nearest table around it that has one; 1 if none has."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 1
