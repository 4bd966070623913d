"""What the simulated world assumes, each with its reason. The four numbers of a tuple belong to
telecom, mobile, unicom and broadnet, in the order of `shudao.vocabulary.Carrier`.

The world is invented, only its shape is taken from sources: no Sichuan figure of base stations by
carrier was published. Their numbers were chosen so that the covered shares at the end of 2020 come
near the plan's targets without reaching all of them, with telecom ahead, broadnet behind and the
western prefectures last; and so that most was still to be built when the plan began.
"""

from __future__ import annotations

from dataclasses import dataclass

from shudao.vocabulary import Technology

PerCarrier = tuple[float, float, float, float]

FADING_DB = 4.0
"""Standard deviation of one RSRP sample around the mean of its place. A drive in Cork has 5.3 dB
within 1 km of road; fixed devices vary less."""

DETACHED_BELOW_DBM = -140.0
"""q-RxLevMin (-70 * 2 dBm) in the SIB2 of a commercial network in China, January 2019, as quoted in
the blog post "A Glimpse of the SIB2 …": below it a device finds no cell."""

ECL_THRESHOLDS_DBM = (-108.0, -118.0)
"""RSRP thresholds of CE levels 1 and 2 in that SIB2: indices 33 and 23, in dBm as 3GPP TS 36.133
maps them for LTE."""

ECL_FUZZ_DB = 4.0
"""What the device measured when it chose its level differs from what it reports: between -110 and
-115 dBm real devices are in levels 0, 1 and 2 by 17, 66 and 17 %."""

ECL_RTT_MS = ((2240.0, 3790.0), (2480.0, 6570.0), (6370.0, 12450.0))
"""Median and 95th percentile of the round trip by CE level, recorded in Oslo."""

MOBILE_RTT_MS = (75.0, 250.0)
"""Median of a 4G drive in Cork; the tail is ours."""
NR_RTT_MS = (18.0, 27.0)
"""Median and 95th percentile of 5G drives in Shanghai: 16 and 22 ms public, 19 and 29 private."""

NRS_POWER_DBM, UPLINK_TARGET_DBM, UPLINK_MAX_DBM = 29.0, -105.0, 23.0
"""NRS power, p0-NominalNPUSCH (with alpha 1) and the power of a class 3 device, same SIB2."""

SHADOW_SHARED_DB, SHADOW_OWN_DB = 5.0, 5.0
"""Log-normal shadowing, 7 dB together (38.901: 6 … 8): a hill shadows a village from all carriers,
the direction to a carrier's site is its own."""

MOUNTAIN_LOSS_DB, MOUNTAIN_SHADOW_DB = 5.0, 8.0
"""Gorges: no published model covers Garze, Aba and Liangshan, so a mean and an extra spread."""

VEHICLE_LOSS_DB = 8.0
"""A drive tester measures inside a vehicle."""

FEWEST_VILLAGES_PER_KM2 = 0.004
"""Where a cell of the density grid has no village, there still is somebody."""

STATION_SPREAD, STATION_FARTHEST_KM = 0.45, 1.5
"""A base station stands within this share of the villages' spacing of the place that it was built
for, and not farther than that: on the next hill."""

ROADS_MOUNTAIN = 0.4
"""Of the stations along corridors, so many are built in the western prefectures."""

NEAREST_STATION_KM = 0.3
"""Nearer to its mast an antenna that looks at the horizon gives no more signal."""

COMMUNITIES_FIRST = 0.4
"""Towns are built first: a community's station comes in the first 40 % of its county's roll-out."""

SHADOW_SHARED_KM, MOUNTAIN_SHADOW_KM = 2.0, 5.0
"""Correlation distances of what all carriers share: a hill, a gorge. Ours."""
SHADOW_OWN_KM = 0.12
"""Of what a carrier's own station sees: 38.901 table 7.5-6, RMa without line of sight."""


@dataclass(frozen=True)
class LayerModel:
    """One radio layer.

    ``power_dbm``: of one resource element, antenna gain included. ``stations_per_…``: expected
    number of base stations that are built for a village, a community, a kilometre of corridor.
    ``county_share``: of counties in which the carrier has the layer at all. ``start``: share of
    them that was on air when the plan began; none is before ``first_month``. ``sinr_db``: mean and
    deviation between places of the interference-limited SINR, then its deviation between samples
    of one place.
    """

    technology: Technology
    frequency_mhz: PerCarrier
    earfcn: tuple[int, int, int, int]
    power_dbm: float
    stations_per_village: PerCarrier
    stations_per_community: PerCarrier
    stations_per_road_km: PerCarrier
    county_share: PerCarrier
    start: PerCarrier
    sinr_db: tuple[float, float, float]
    first_month: int = 0

    @property
    def uses_hata(self) -> bool:
        """Whether all carriers are below 1500 MHz, where Hata holds."""
        return max(self.frequency_mhz) <= 1500


NBIOT = LayerModel(
    Technology.NBIOT,
    # telecom in band 5 (EARFCN 2506 as seen in logs), mobile and unicom in band 8, broadnet in 28
    frequency_mhz=(879.6, 953.6, 957.0, 780.0),
    earfcn=(2506, 3736, 3770, 9430),
    power_dbm=NRS_POWER_DBM + 13,  # ours: an antenna's gain less cable and device losses
    stations_per_village=(0.12, 0.08, 0.05, 0.02),
    stations_per_community=(0.8, 0.6, 0.4, 0.2),
    stations_per_road_km=(0.05, 0.04, 0.02, 0.0),
    county_share=(1.0, 1.0, 0.9, 0.35),  # broadnet: trials in cities
    start=(0.05, 0.03, 0.01, 0.0),  # launched in 2017, first in the large cities
    sinr_db=(7.5, 2.5, 3.0),  # recorded: 4 … 9 dB, deviation 4, flat over RSRP
)

LTE = LayerModel(
    Technology.LTE,
    frequency_mhz=(872.0, 938.0, 954.0, 758.0),  # the layers below 1 GHz carry the countryside
    earfcn=(2430, 3580, 3740, 9210),
    power_dbm=18 + 13,  # 40 W over 600 resource elements, the same antenna
    stations_per_village=(0.7, 0.9, 0.35, 0.0),
    stations_per_community=(2.0, 2.0, 1.5, 0.0),
    stations_per_road_km=(0.15, 0.2, 0.1, 0.0),
    county_share=(1.0, 1.0, 1.0, 0.0),  # broadnet had no mobile business before 2022
    start=(0.25, 0.3, 0.15, 0.0),
    sinr_db=(9.0, 3.5, 3.5),  # Cork: 5 dB median with deviation 8, on a loaded network
)

NR = LayerModel(
    Technology.NR,
    frequency_mhz=(3450.0, 2565.0, 3550.0, 758.0),
    earfcn=(630_000, 513_000, 636_666, 151_600),
    power_dbm=18 + 24,  # 200 W over 3276 resource elements, 64 antennas
    stations_per_village=(0.004, 0.006, 0.003, 0.0),
    stations_per_community=(0.2, 0.3, 0.15, 0.0),
    stations_per_road_km=(0.002, 0.003, 0.001, 0.0),
    county_share=(0.6, 0.7, 0.5, 0.0),
    start=(0.0, 0.0, 0.0, 0.0),
    first_month=10,  # licences were given in June 2019
    sinr_db=(11.0, 4.0, 4.0),
)

LAYERS = {layer.technology: layer for layer in (NBIOT, LTE, NR)}

FIBRE_SHARE: PerCarrier = (0.985, 0.80, 0.32, 0.36)
FIBRE_SHARE_MOUNTAIN: PerCarrier = (0.95, 0.60, 0.10, 0.12)
"""Villages with a carrier's fibre: telecom ran most universal service pilots; broadnet converts
its cable network. Measured against a shared remoteness, so that the same villages are last."""

FIBRE_START: PerCarrier = (0.75, 0.6, 0.4, 0.5)
"""Share of what fibre will reach that it had reached when the plan began. By early 2018 the pilots
of universal service had brought it to most villages."""

REMOTENESS = 0.5
"""Share of the variance in who gets fibre that carriers have in common."""

TIERS_MBPS = (12.0, 20.0, 50.0, 100.0, 200.0, 300.0, 500.0)
TIER_SHARES = (0.015, 0.085, 0.25, 0.40, 0.20, 0.04, 0.01)
"""Access tiers sold 2018 … 2020; pilots measured means of 60 to 105 Mbit/s."""
SLOWER_START = 0.7
"""When the plan began, lines had the tier that 70 % of their rank gives at its end. The mean rises
by a quarter; the national one rose from 20 to 25 Mbit/s within 2018 alone."""

COPPER_SHARE = 0.5
"""Villages without telecom's fibre that have its copper; the others have its satellite."""

DSL_MBPS = (9.6, 18.6)
"""Median and 95th percentile of ADSL2 lines (UK 2015)."""

SATELLITE_MBPS = 20.0

RATE_RATIO = (0.88, 0.11)
"""Download over the line's rate, mean and deviation: FTTP at peak hours (p5 0.70, p50 0.88)."""

IPV6_START = 0.15
"""Of what it will be, when the plan began; IPv6 was switched on from late 2018."""
IPV6_ON_SHARE: PerCarrier = (0.55, 0.60, 0.40, 0.05)
IPV6_TESTS = (0.9, 0.05)
"""Lines whose gateway has IPv6 switched on (2019 … 2020: about half of users), and the share of
tests that run over IPv6 where it is on and where it is off."""


WLAN_SHARE: PerCarrier = (0.55, 0.65, 0.25, 0.05)
WLAN_START = 0.4
"""Public areas with a carrier's WLAN at the end, and the share of these at the beginning. Ours."""
WLAN_MBPS = (25.0, 90.0)
"""Median and 95th percentile of an area's rate: many share it."""


@dataclass(frozen=True)
class KeySite:
    """A scenario in which NB-IoT must reach deep: dB lost beyond the wall, behind which it is."""

    zh: str
    en: str
    is_indoors: bool
    deeper_db: float


KEY_SITES = {
    "meter_room": KeySite("水表间", "meter room", True, 15.0),  # a basement
    "car_park": KeySite("地下停车场", "underground car park", True, 20.0),
    "smoke_alarm": KeySite("烟感点", "smoke alarm", True, 5.0),  # rooms inside a building
    "street_lamp": KeySite("路灯", "street lamp", False, 0.0),
}
SITES_PER_COMMUNITY = 3
"""Of each kind. With them the province has a million devices."""

KEY_SITE_SPREAD_DB = 6.0
"""Between sites of a kind. Pages on meters in vaults tell of 20 to 40 dB; 38.901 has 4.4 dB for
the wall alone."""

WLAN_AREAS = {
    "park": ("公园", "park"),
    "mall": ("商场", "mall"),
    "transport": ("车站", "station"),
    "scenic": ("景区", "scenic area"),
}
"""Public areas that the plan names (N6): kind, and its name in both languages."""


@dataclass(frozen=True)
class LineQuality:
    """Median and 95th percentile of each quantity for one access technology."""

    up_ratio: float
    rtt_ms: tuple[float, float]
    jitter_ms: tuple[float, float]
    loss_pct: tuple[float, float]
    dns_ms: tuple[float, float]


LINES = {
    Technology.FTTP: LineQuality(0.30, (10.2, 15.9), (0.3, 1.0), (0.03, 0.09), (13.0, 30.0)),
    Technology.DSL: LineQuality(0.10, (23.5, 39.0), (0.6, 2.5), (0.07, 0.65), (28.0, 60.0)),
    Technology.WLAN: LineQuality(0.50, (18.0, 60.0), (2.0, 15.0), (0.1, 1.0), (20.0, 60.0)),
    Technology.SATELLITE: LineQuality(0.10, (600.0, 750.0), (15.0, 60.0), (0.3, 2.0), (620, 900)),
}
"""UK probes 2015 for fibre and ADSL2; a geostationary satellite is 36,000 km away; WLAN is ours."""
