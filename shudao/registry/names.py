"""Villages by county and name, for files that have no codes."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

from shudao.registry.tree import Tree, read_vintage

SUFFIXES = (
    "村民委员会", "居民委员会", "村委会", "居委会", "社区", "村",
)  # fmt: skip
"""Endings that sources write differently: 前进村, 前进村村委会 and 前进村民委员会 are the same."""


def bare_name(name: str) -> str:
    """A village's name without the endings that say what it is (at least one character stays)."""
    name = "".join(name.split())
    shorter = True
    while shorter:
        shorter = False
        for suffix in SUFFIXES:
            if name.endswith(suffix) and len(name) > len(suffix):
                name, shorter = name.removesuffix(suffix), True
    return name


class NameIndex:
    """Finds the codes that a county and a village's name may mean in one vintage."""

    def __init__(self, tree: Tree) -> None:
        self._counties: dict[str, list[str]] = defaultdict(list)
        self._villages: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._bare: dict[tuple[str, str], list[str]] = defaultdict(list)
        for county in (*tree.counties, *tree.development_zones):
            self._counties[county.name].append(county.code)
        for village in tree.villages:
            self._villages[village.county, village.name].append(village.code)
            self._bare[village.county, bare_name(village.name)].append(village.code)

    def villages(self, county: str, name: str) -> list[str]:
        """Codes of the villages of that name; by its exact name, else by its bare one.

        ``county`` is a name or a six-digit code; counties that share a name (市中区) all count.
        """
        codes = self._counties.get(county, [county])
        exact = [code for c in codes for code in self._villages.get((c, name), [])]
        bare = bare_name(name)
        return exact or [code for c in codes for code in self._bare.get((c, bare), [])]


@cache
def name_index(vintage: str) -> NameIndex:
    """The index of a vintage, made once. Raises `ShudaoError` for an unknown vintage."""
    return NameIndex(read_vintage(vintage))
