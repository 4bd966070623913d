"""What the simulated world measures beside what real networks did: the data of `simulate plot`."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from shudao.vocabulary import Names, Technology
from simulators import references
from simulators.draws import Floats
from simulators.places import Bools, Ints
from simulators.references import Reference, recorded
from simulators.samples import Columns, broadband_samples, radio_samples
from simulators.world import World

SAMPLES = 20_000
"""Of each technology, one sample each of as many pairs of a place and a carrier."""
TIME_MS = 1_609_372_800_000
"""31 December 2020, the plan's deadline."""
CHENGDU = 5101

FIELDS = {
    "rsrp_dbm": (Names("RSRP", "RSRP"), "dBm"),
    "sinr_db": (Names("SINR", "SINR"), "dB"),
    "rtt_ms": (Names("往返时延", "Round trip"), "ms"),
    "down_mbps": (Names("下载速率", "Download"), "Mbit/s"),
    "jitter_ms": (Names("时延抖动", "Jitter"), "ms"),
}


@dataclass(frozen=True)
class Group:
    """Simulated values of one kind, and the recordings that they are compared with."""

    name: Names
    simulated: Floats
    references: tuple[Reference, ...]


@dataclass(frozen=True)
class Panel:
    """One quantity of one technology."""

    field: str
    groups: list[Group]

    @property
    def distance_unit(self) -> str:
        """Of a difference: levels in dBm differ by dB."""
        return FIELDS[self.field][1].replace("dBm", "dB")


@dataclass(frozen=True)
class Row:
    """Panels of one technology; ``note`` says which differences are meant."""

    technology: Technology
    title: Names
    note: Names
    panels: list[Panel]


class Distance(msgspec.Struct, frozen=True):
    """How far a simulated distribution is from a recorded one, in ``unit``.

    ``of`` is how many percentiles it is the mean of: 99 make the Wasserstein-1 distance.
    """

    technology: str
    field: str
    simulated: str
    recorded: str
    of: int
    distance: float
    unit: str


def compare(world: World) -> list[Row]:
    """The picture's rows: NB-IoT, 4G, 5G and fixed lines."""
    return [_narrowband(world), _lte(world), _nr(world), _fixed(world)]


def distances(rows: list[Row]) -> list[Distance]:
    """All distances that the picture states."""
    return [
        Distance(
            row.technology.name.lower(), panel.field, group.name.en, reference.name.en,
            len(reference.at), round(reference.distance(group.simulated), 3), panel.distance_unit,
        )
        for row in rows for panel in row.panels for group in panel.groups
        for reference in group.references
    ]  # fmt: skip


def _pairs(world: World, chosen: Bools) -> tuple[Ints, Ints, Ints]:
    """Rows and carriers of places, with the time, each of shape (n, 1); ``chosen`` is (n, 4)."""
    place, carrier = np.nonzero(chosen)
    some = np.random.default_rng(world.seed).permutation(len(place))[:SAMPLES]
    return place[some, None], carrier[some, None], np.full((len(some), 1), TIME_MS)


def _measured(columns: Columns, field: str, mask: Bools | None = None) -> Floats:
    values = columns[field] if mask is None else columns[field][mask]
    return np.asarray(values[np.isfinite(values)])


def _radio(world: World, technology: Technology, kind: Bools) -> Columns:
    """Samples at places of a kind, of carriers that have the layer there."""
    has_layer = np.isfinite(world.layers[technology].rsrp_dbm)
    return radio_samples(world, technology, *_pairs(world, has_layer & kind[:, None]))


def _narrowband(world: World) -> Row:
    columns = _radio(world, Technology.NBIOT, world.places.is_village)
    panels = []
    for field, of_level in references.NBIOT.items():
        groups = []
        for level, reference in enumerate(of_level):
            name = Names(f"模拟,等级 {level}", f"simulated, level {level}")
            at_level = columns["ecl"] == level
            groups.append(Group(name, _measured(columns, field, at_level), (reference,)))
        panels.append(Panel(field, groups))
    return Row(
        Technology.NBIOT,
        Names("NB-IoT,行政村,按覆盖等级", "NB-IoT in villages, by CE level"),
        Names(
            "有意:各网等级的 RSRP 门限不同,我们取国内一网的 -108 与 -118 dBm。"
            "无意:SINR 之差。往返时延取自奥斯陆的分位数",
            "Meant: levels begin at other RSRP, ours at the -108 and -118 dBm of a Chinese network."
            " Not meant: another SINR. By construction: round trips are drawn after Oslo's",
        ),
        panels,
    )


def _lte(world: World) -> Row:
    columns = _radio(world, Technology.LTE, world.places.is_segment)
    return Row(
        Technology.LTE,
        Names("4G,交通沿线", "4G along transport corridors"),
        Names(
            "有意:穿城越谷的道路 RSRP 比一座城更分散,负荷轻则 SINR 更好。往返时延的中位数取自科克",
            "Meant: roads through towns and gorges have a wider RSRP than one town, lighter load a"
            " better SINR. By construction: the median round trip is Cork's",
        ),
        [_one_group(columns, field, (known,)) for field, known in references.LTE.items()],
    )


def _nr(world: World) -> Row:
    in_chengdu = world.places.is_community & (world.places.prefecture == CHENGDU)
    columns = _radio(world, Technology.NR, in_chengdu)
    runs = ("shanghai_n78", "shanghai_n8")
    return Row(
        Technology.NR,
        Names("5G,成都社区", "5G in communities of Chengdu"),
        Names(
            "部分有意:上海的几次行车紧邻少数基站,我们遍及全市,信号再弱也算。往返时延取自这些记录",
            "Meant in part: Shanghai's runs are near a few sites, ours all over the city, however"
            " weak. The round trip is taken from these recordings",
        ),
        [
            _one_group(columns, field, tuple(recorded(run, field) for run in runs))
            for field in ("rsrp_dbm", "sinr_db", "rtt_ms")
        ],
    )


def _fixed(world: World) -> Row:
    fibre = (world.fixed.technology == Technology.FTTP) & world.places.is_village[:, None]
    columns = broadband_samples(world, *_pairs(world, fibre))
    lines = {"down_mbps": ("chicago", "brisbane"), "rtt_ms": ("chicago", "brisbane"),
             "jitter_ms": ("chicago",)}  # fmt: skip
    return Row(
        Technology.FTTP,
        Names("光纤宽带,行政村", "Fibre in villages"),
        Names(
            "有意:2020 年的村户购买 12 至 500 Mbit/s,而非千兆;有线电缆抖动更大。"
            "往返时延与抖动取自英国光纤",
            "Meant: rates, since villages of 2020 buy 12 to 500 Mbit/s, not a gigabit; cable has"
            " more jitter. By construction: round trip and jitter are drawn after UK fibre's",
        ),
        [
            _one_group(columns, field, (known, *(recorded(line, field) for line in lines[field])))
            for field, known in references.FIBRE.items()
        ],
    )


def _one_group(columns: Columns, field: str, known: tuple[Reference, ...]) -> Panel:
    return Panel(field, [Group(Names("模拟", "simulated"), _measured(columns, field), known)])
