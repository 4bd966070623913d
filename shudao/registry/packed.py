"""The registry's text format: a tree as an outline, so that no name or parent is written twice.

One line per division, ``#`` marks for its depth above the leaves, then the digits that it adds to
its parent's code, then its name; a leaf has no mark, and no digits when its number is that of the
leaf before it plus one::

    #51四川省
    ##01成都市
    ###04锦江区
    ####020督院街街道办事处
    007青石桥社区居委会
    滨江路社区居委会

The file is compressed by xz.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Iterator

OWN_DIGITS = (2, 2, 2, 3, 3)
"""Digits that each level adds: province, prefecture, county, town, village."""

CODE_LENGTHS = (2, 4, 6, 9, 12)

_FILTERS = [
    {
        "id": lzma.FILTER_LZMA2,
        "preset": 9 | lzma.PRESET_EXTREME,
        "dict_size": 2**21,  # more than a whole tree
        "lc": 4,
        "lp": 0,
        "pb": 0,
    }
]


def pack(divisions: Iterable[tuple[str, str]]) -> bytes:
    """Write ``(code, name)`` pairs, sorted by code with every parent present, compressed."""
    lines = []
    number = 0
    for code, name in divisions:
        depth = CODE_LENGTHS.index(len(code))
        own = code[-OWN_DIGITS[depth] :]
        if depth < 4:
            lines.append("#" * (depth + 1) + own + name)
            number = 0
            continue
        follows = int(own) == number + 1 and not name[0].isdecimal()
        lines.append(name if follows else own + name)
        number = int(own)
    return lzma.compress("".join(f"{line}\n" for line in lines).encode(), filters=_FILTERS)


def unpack(data: bytes) -> Iterator[tuple[str, str]]:
    """Read back what `pack` wrote: ``(code, name)``, every parent before its children."""
    parents = [""] * 5
    number = 0
    for line in lzma.decompress(data).decode().split("\n")[:-1]:
        text = line.lstrip("#")
        depth = len(line) - len(text) - 1
        if depth >= 0:
            digits = OWN_DIGITS[depth]
            parents[depth + 1] = code = parents[depth] + text[:digits]
            number = 0
            yield code, text[digits:]
            continue
        if text[0].isdecimal():
            number, text = int(text[:3]), text[3:]
        else:
            number += 1
        yield f"{parents[4]}{number:03d}", text
