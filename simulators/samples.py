"""What devices measure: a sample is a function of the seed, the device's place and the instant.

All functions take row numbers of places, columns of carriers (0 … 3) and times in ms, shapes
(n, 1) and (n, k), and give arrays of the shape (n, k). Absent values are NaN.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shudao.vocabulary import Technology
from simulators import constants as c
from simulators.draws import Floats
from simulators.places import Ints
from simulators.propagation import full_load_rsrq, thermal_sinr
from simulators.world import World, lognormal

Columns = Mapping[str, Floats]


def radio_samples(
    world: World, technology: Technology, place: Ints, carrier: Ints, time_ms: Ints
) -> Columns:
    """Columns of the radio stream; all NaN where the device finds no cell (attached is 0)."""
    layer, draws, name = world.layers[technology], world.draws, technology.name
    keys = (world.places.key[place], carrier, time_ms)
    rsrp = layer.rsrp_dbm[place, carrier] + c.FADING_DB * draws.normal(f"{name}/fading", *keys)
    attached = rsrp >= c.DETACHED_BELOW_DBM
    rsrp = np.where(attached, np.clip(rsrp, c.DETACHED_BELOW_DBM, -44.0), np.nan)
    interference = layer.sinr_db[place, carrier]
    interference = interference + layer.model.sinr_db[2] * draws.normal(f"{name}/noise", *keys)
    sinr = np.clip(np.minimum(thermal_sinr(rsrp), interference), -20.0, 30.0)
    columns = {"rsrp_dbm": rsrp, "sinr_db": sinr, "rsrq_db": full_load_rsrq(sinr)}
    columns |= _cell(world, technology, place, carrier)
    delay = draws.normal(f"{name}/rtt", *keys)
    if technology == Technology.NBIOT:
        columns |= _narrowband(rsrp, draws.normal("ecl", *keys), delay)
    else:
        of_layer = c.NR_RTT_MS if technology == Technology.NR else c.MOBILE_RTT_MS
        columns["rtt_ms"] = np.round(lognormal(delay, *of_layer))
    columns = {k: np.where(attached, v, np.nan) for k, v in columns.items()}
    return columns | {"attached": attached.astype(np.float64)}


def _cell(world: World, technology: Technology, place: Ints, carrier: Ints) -> dict[str, Floats]:
    """Identity of the serving cell: all places that a base station serves have the same."""
    layer = world.layers[technology]
    bits, earfcn = layer.station[place, carrier], np.array(layer.model.earfcn, np.float64)
    return {
        "cell_id": (bits >> np.uint64(36)).astype(np.float64),
        "pci": (bits % np.uint64(504)).astype(np.float64),
        "earfcn": earfcn[carrier],
    }


def _narrowband(rsrp: Floats, fuzz: Floats, delay: Floats) -> dict[str, Floats]:
    """CE level from what the device once measured, open-loop uplink power, round trip by level."""
    measured = rsrp + c.ECL_FUZZ_DB * fuzz
    ecl = sum((measured < t).astype(np.int64) for t in c.ECL_THRESHOLDS_DBM)
    # Nothing at the very edge is taken for good coverage: networks refuse level 0 there.
    ecl = np.where((rsrp <= -130) & (ecl == 0), 1, ecl)
    median, p95 = np.array(c.ECL_RTT_MS).T
    rtt = median[ecl] * np.exp(delay * np.log(p95[ecl] / median[ecl]) / 1.6449)
    power = np.minimum(c.UPLINK_TARGET_DBM + c.NRS_POWER_DBM - rsrp, c.UPLINK_MAX_DBM)
    return {"ecl": ecl.astype(np.float64), "rtt_ms": np.round(rtt), "tx_power_dbm": np.round(power)}


def broadband_samples(world: World, place: Ints, carrier: Ints, time_ms: Ints) -> Columns:
    """Columns of the broadband stream, on lines that exist."""
    keys = (world.places.key[place], carrier, time_ms)
    technology = world.fixed.technology[place, carrier]
    columns: dict[str, Floats] = {}
    for number in np.unique(technology):
        line = c.LINES[Technology(int(number))]
        for name in ("rtt_ms", "jitter_ms", "loss_pct", "dns_ms"):
            drawn = lognormal(world.draws.normal(name, *keys), *getattr(line, name))
            columns[name] = np.where(technology == number, drawn, columns.get(name, np.nan))
        columns["up_mbps"] = np.where(
            technology == number, line.up_ratio, columns.get("up_mbps", np.nan)
        )
    mean, deviation = c.RATE_RATIO
    ratio = np.clip(mean + deviation * world.draws.normal("down", *keys), 0.01, None)
    rate = world.fixed.rate_mbps[place, carrier]
    ipv6 = world.draws.uniform("ipv6/test", *keys) < world.fixed.ipv6_share[place, carrier]
    return columns | {
        "down_mbps": rate * ratio,
        "up_mbps": rate * ratio * columns["up_mbps"],
        "loss_pct": np.minimum(columns["loss_pct"], 100.0),
        "rtt_max_ms": columns["rtt_ms"] * (1 + world.draws.uniform("rtt/max", *keys)),
        "ipv6": ipv6.astype(np.float64),
    }
