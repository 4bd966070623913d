"""Roll-ups against an oracle that takes one sample after the other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.batch import Checked, Refusal, Rows
from ingest.journal import pack, unpack
from ingest.reasons import Reason
from ingest.rollup import by_hour, by_minute, down_bin, signal_bin
from shudao.streams import BROADBAND, DOWN_EDGES_MBPS, RADIO, RSRP_EDGES_DBM, SINR_EDGES_DB, Stream

VALUE = st.one_of(st.just(math.nan), st.floats(-150, -40, width=32))


def journaled(stream: Stream, samples: list[dict[str, Any]]) -> Rows:
    """Rows as the journal keeps them; the county follows from the place."""
    rows = np.zeros(len(samples), stream.dtype)
    for f in stream.fields:
        rows[f.name] = -1 if f.is_integer else math.nan
    for row, sample in zip(rows, samples, strict=True):
        for name, value in sample.items():
            row[name] = value
    county = 510100 + rows["place_id"].astype(np.int64) // 2
    packed = pack(Checked(stream, rows, county, rows["time_ms"].copy(), never_refused))
    return unpack(stream.name, packed)


def never_refused(row: int, reason: Reason, detail: str) -> Refusal:
    raise AssertionError(f"row {row} was refused: {detail}")


SAMPLE = st.fixed_dictionaries(
    {
        "time_ms": st.integers(1_500_000_000_000, 1_500_010_000_000),
        "device_id": st.integers(1, 5),
        "place_id": st.integers(0, 3),
        "carrier_id": st.integers(1, 2),
        "technology_id": st.sampled_from([1, 3]),
        "rsrp_dbm": VALUE,
        "sinr_db": st.one_of(st.just(math.nan), st.floats(-30, 40, width=32)),
        "rtt_ms": st.one_of(st.just(math.nan), st.floats(0, 60_000, width=32)),
        "ecl": st.integers(-1, 2),
        "attached": st.integers(-1, 1),
    }
)


def oracle(samples: list[dict[str, Any]], key: Any) -> dict[Any, dict[str, Any]]:
    out: dict[Any, dict[str, Any]] = {}
    for s in samples:
        group = out.setdefault(
            key(s),
            {"radio_n": 0, "detached_n": 0, "rsrp_n": 0, "rsrp_sum_x100": 0, "rsrp_min": math.nan,
             "rsrp_max": math.nan, "ecl0_n": 0, "ecl1_n": 0, "ecl2_n": 0, "bins": {}},
        )  # fmt: skip
        group["radio_n"] += 1
        group["detached_n"] += s["attached"] == 0
        if s["ecl"] >= 0:
            group[f"ecl{s['ecl']}_n"] += 1
        if math.isnan(s["rsrp_dbm"]):
            continue
        group["rsrp_n"] += 1
        group["rsrp_sum_x100"] += round(s["rsrp_dbm"] * 100)
        group["rsrp_min"] = min(s["rsrp_dbm"], group["rsrp_min"], key=lambda v: (v != v, v))
        group["rsrp_max"] = max(s["rsrp_dbm"], group["rsrp_max"], key=lambda v: (v == v, v))
        rsrp_bin = sum(s["rsrp_dbm"] >= e for e in RSRP_EDGES_DBM)
        sinr = s["sinr_db"]
        sinr_class = 0 if math.isnan(sinr) else 1 + sum(sinr >= e for e in SINR_EDGES_DB)
        index = rsrp_bin * 5 + sinr_class
        group["bins"][index] = group["bins"].get(index, 0) + 1
    return out


@settings(max_examples=150, deadline=None)
@given(st.lists(SAMPLE, min_size=1, max_size=60))
def test_radio_rollups_equal_a_plain_loop(samples: list[dict[str, Any]]) -> None:
    """Both roll-ups, every group and measure, exactly."""
    rows = journaled(RADIO, samples)
    for rollup, expected in (
        (by_hour("radio", rows), oracle(samples, lambda s: (
            s["place_id"], s["carrier_id"], s["technology_id"],
            s["time_ms"] // 3_600_000 * 3_600_000))),
        (by_minute("radio", rows), oracle(samples, lambda s: (
            510100 + s["place_id"] // 2, s["carrier_id"], s["technology_id"],
            s["time_ms"] // 60_000 * 60_000))),
    ):  # fmt: skip
        keys = list(zip(*(k.tolist() for k in rollup.keys.values()), strict=True))
        assert keys == sorted(expected)
        for i, key in enumerate(keys):
            want = expected[key]
            bins = rollup.measures["signal_bins"][i]
            assert {int(b): int(bins[b]) for b in np.flatnonzero(bins)} == want.pop("bins")
            for name, value in want.items():
                np.testing.assert_equal(float(rollup.measures[name][i]), float(value), name)


@settings(max_examples=60, deadline=None)
@given(st.lists(SAMPLE, min_size=2, max_size=40), st.integers(1, 39))
def test_any_split_into_batches_adds_up(samples: list[dict[str, Any]], cut: int) -> None:
    """Sums, counts and bins of two parts are those of the whole: nothing depends on batching."""
    cut = min(cut, len(samples) - 1)
    whole, *parts = (
        by_hour("radio", journaled(RADIO, s)) for s in (samples, samples[:cut], samples[cut:])
    )  # fmt: skip
    for name in ("radio_n", "rsrp_sum_x100", "sinr_n", "radio_rtt_sum_x100"):
        total = sum(int(p.measures[name].sum()) for p in parts)  # type: ignore[attr-defined]
        assert int(whole.measures[name].sum()) == total  # type: ignore[attr-defined]


@given(st.floats(-156, -31), st.one_of(st.just(math.nan), st.floats(-30, 40)))
def test_a_threshold_on_an_edge_is_answered_by_whole_bins(rsrp: float, sinr: float) -> None:
    """RSRP ≥ edge and SINR ≥ edge follow from the bin alone."""
    index = int(signal_bin(np.array([rsrp]), np.array([sinr]))[0])
    for i, edge in enumerate(RSRP_EDGES_DBM):
        assert (rsrp >= edge) == (index // 5 >= i + 1)
    for i, edge in enumerate(SINR_EDGES_DB):
        assert (sinr >= edge) == (index % 5 >= i + 2)


@given(st.floats(0, 2_000))
def test_download_bins_start_at_their_edges(down: float) -> None:
    """Down ≥ edge follows from the bin alone."""
    index = int(down_bin(np.array([down]))[0])
    for i, edge in enumerate(DOWN_EDGES_MBPS):
        assert (down >= edge) == (index >= i + 1)


def test_broadband_measures_leave_out_what_was_not_measured() -> None:
    """An absent field counts nowhere; IPv4 and unknown are told apart."""
    base = {"time_ms": 1_500_000_000_000, "device_id": 1, "place_id": 1, "carrier_id": 1,
            "technology_id": 10}  # fmt: skip
    rollup = by_hour(
        "broadband",
        journaled(
            BROADBAND,
            [
                {**base, "down_mbps": 20.0, "ipv6": 1, "rtt_ms": 12.25},
                {**base, "down_mbps": 19.5, "ipv6": 0},
                {**base, "loss_pct": 0.5},
            ],
        ),
    )
    m = {k: np.asarray(v)[0].tolist() for k, v in rollup.measures.items()}
    assert (m["broadband_n"], m["down_n"], m["loss_n"], m["up_n"]) == (3, 2, 1, 0)
    assert (m["down_sum_x100"], m["down_min"], m["down_max"]) == (3950, 19.5, 20.0)
    assert m["down_bins"] == [0, 0, 1, 1, 0, 0, 0, 0]
    assert (m["ipv6_n"], m["ipv6_yes"]) == (2, 1)
    assert (m["rtt_sum_x100"], math.isnan(m["rtt_min"])) == (1225, False)
