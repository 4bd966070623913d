"""What the simulated world assumes, each with its reason. The four numbers of a tuple belong to
telecom, mobile, unicom and broadnet, in the order of `shudao.vocabulary.Carrier`.

The world is invented, only its shape is taken from sources: no Sichuan figure of sites by carrier
was published. The densities of sites were chosen so that the covered shares come out as the plan
found the province before its deadline (NB-IoT in most villages, fibre in 94 %, 4G in 95 %), with
telecom ahead, broadnet behind and the western prefectures last.
"""

from __future__ import annotations

from dataclasses import dataclass

from shudao.vocabulary import Technology
from simulators.propagation import Environment

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
"""Where a cell of the density grid has no village, roads still have sites."""


@dataclass(frozen=True)
class LayerModel:
    """One radio layer. Sites are a Poisson field, so many per village; see `world`.

    ``power_dbm``: of one resource element, antenna gain included. ``county_share``: of counties
    in which the carrier has the layer at all. ``sinr_db``: mean and deviation between places of
    the interference-limited SINR, then its deviation between samples of one place.
    """

    technology: Technology
    frequency_mhz: PerCarrier
    earfcn: tuple[int, int, int, int]
    power_dbm: float
    sites_per_village: PerCarrier
    sites_per_community: PerCarrier
    sites_along_roads: float
    county_share: PerCarrier
    village_environment: Environment
    sinr_db: tuple[float, float, float]

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
    sites_per_village=(0.10, 0.065, 0.045, 0.02),
    sites_per_community=(0.8, 0.6, 0.4, 0.2),
    sites_along_roads=2.0,
    county_share=(1.0, 1.0, 0.9, 0.35),  # broadnet: trials in cities
    village_environment="suburban",  # hills and trees: between open and town
    sinr_db=(7.5, 2.5, 3.0),  # recorded: 4 … 9 dB, deviation 4, flat over RSRP
)

LTE = LayerModel(
    Technology.LTE,
    frequency_mhz=(872.0, 938.0, 954.0, 758.0),  # the layers below 1 GHz carry the countryside
    earfcn=(2430, 3580, 3740, 9210),
    power_dbm=18 + 13,  # 40 W over 600 resource elements, the same antenna
    sites_per_village=(1.0, 1.2, 0.55, 0.0),
    sites_per_community=(2.0, 2.0, 1.5, 0.0),
    sites_along_roads=0.7,
    county_share=(1.0, 1.0, 1.0, 0.0),  # broadnet had no mobile business before 2022
    village_environment="suburban",
    sinr_db=(9.0, 3.5, 3.5),  # Cork: 5 dB median with deviation 8, on a loaded network
)

NR = LayerModel(
    Technology.NR,
    frequency_mhz=(3450.0, 2565.0, 3550.0, 758.0),
    earfcn=(630_000, 513_000, 636_666, 151_600),
    power_dbm=18 + 24,  # 200 W over 3276 resource elements, 64 antennas
    sites_per_village=(0.04, 0.06, 0.03, 0.0),
    sites_per_community=(1.2, 1.6, 1.0, 0.0),
    sites_along_roads=0.2,
    county_share=(0.9, 1.0, 0.8, 0.0),
    village_environment="suburban",
    sinr_db=(11.0, 4.0, 4.0),
)

LAYERS = {layer.technology: layer for layer in (NBIOT, LTE, NR)}

FIBRE_SHARE: PerCarrier = (0.94, 0.72, 0.28, 0.32)
FIBRE_SHARE_MOUNTAIN: PerCarrier = (0.82, 0.42, 0.08, 0.10)
"""Villages with a carrier's fibre: telecom ran most universal service pilots; broadnet converts
its cable network. Measured against a shared remoteness, so that the same villages are last."""

REMOTENESS = 0.5
"""Share of the variance in who gets fibre that carriers have in common."""

TIERS_MBPS = (12.0, 20.0, 50.0, 100.0, 200.0, 300.0, 500.0)
TIER_SHARES = (0.015, 0.085, 0.25, 0.40, 0.20, 0.04, 0.01)
"""Access tiers sold 2018 … 2020; pilots measured means of 60 to 105 Mbit/s."""

COPPER_SHARE = 0.5
"""Villages without telecom's fibre that have its copper; the others have its satellite."""

DSL_MBPS = (9.6, 18.6)
"""Median and 95th percentile of ADSL2 lines (UK 2015)."""

SATELLITE_MBPS = 20.0

RATE_RATIO = (0.88, 0.11)
"""Download over the line's rate, mean and deviation: FTTP at peak hours (p5 0.70, p50 0.88)."""

IPV6_ON_SHARE: PerCarrier = (0.55, 0.60, 0.40, 0.05)
IPV6_TESTS = (0.9, 0.05)
"""Lines whose gateway has IPv6 switched on (2019 … 2020: about half of users), and the share of
tests that run over IPv6 where it is on and where it is off."""


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
    Technology.SATELLITE: LineQuality(0.10, (600.0, 750.0), (15.0, 60.0), (0.3, 2.0), (620, 900)),
}
"""UK probes 2015 for fibre and ADSL2; a geostationary satellite is 36,000 km away."""
