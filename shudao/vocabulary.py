"""Carriers and technologies: the small fixed vocabularies that every part shares.

The database holds the same rows (migration 0001); the numbers are stored with every sample,
so they are never re-used for something else.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Carrier(IntEnum):
    """The four carriers of the plan; the lower-case name is used in topics and in the API."""

    TELECOM = 1
    MOBILE = 2
    UNICOM = 3
    BROADNET = 4


ANY_CARRIER = 0
"""In place states and progress: covered by at least one of the four carriers."""

FOREIGN_CARRIER = 255
"""In samples and roll-ups: a network that is none of the four (recorded data from elsewhere).
It never counts for a goal."""

UNPLACED = 0
"""Place (and county) of a device that stands at no registered place. It counts for no goal."""


class Names(NamedTuple):
    """A name in both languages."""

    zh: str
    en: str


CARRIER_NAMES = {
    Carrier.TELECOM: Names("中国电信", "China Telecom"),
    Carrier.MOBILE: Names("中国移动", "China Mobile"),
    Carrier.UNICOM: Names("中国联通", "China Unicom"),
    Carrier.BROADNET: Names("中国广电", "China Broadnet"),
}

CARRIER_IDS: dict[str, int] = {c.name.lower(): int(c) for c in Carrier}


class Technology(IntEnum):
    """Radio and access technologies; the lower-case name is used in messages."""

    NBIOT = 1
    GSM = 2
    LTE = 3
    NR = 4
    FTTP = 10
    FTTC = 11
    CABLE = 12
    DSL = 13
    WLAN = 20
    SATELLITE = 30


RADIO_TECHNOLOGIES = (Technology.NBIOT, Technology.GSM, Technology.LTE, Technology.NR)
"""The technologies that have radio samples."""

TECHNOLOGY_IDS: dict[str, int] = {t.name.lower(): int(t) for t in Technology}
