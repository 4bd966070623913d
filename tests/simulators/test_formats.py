"""What the ingester makes of what the simulated modules and platforms write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.formats import named
from simulators import formats
from simulators.formats import Format
from simulators.messages import RadioSample

ALL = {
    "rsrp_dbm", "rsrq_db", "sinr_db", "ecl", "pci", "earfcn", "cell_id", "tx_power_dbm",
}  # fmt: skip
LWM2M = ALL - {"pci", "earfcn", "tx_power_dbm"}
WHOLE = {"rsrp_dbm", "rsrq_db", "sinr_db", "tx_power_dbm"}

# What a format can say, and which of it only in whole dBm and dB.
FORMATS = {
    "NUESTATS": (formats.NUESTATS, ALL, set()),
    "QENG BC26": (formats.QENG_BC26, ALL, WHOLE - {"tx_power_dbm"}),
    "QENG BC660K": (formats.QENG_BC660K, ALL, WHOLE),
    "LwM2M JSON": (formats.LWM2M_JSON, LWM2M, WHOLE),
    "LwM2M CBOR": (formats.LWM2M_CBOR, LWM2M, WHOLE),
    "OceanConnect": (formats.OCEANCONNECT, ALL - {"sinr_db", "earfcn", "tx_power_dbm"}, set()),
    "Unicom": (formats.UNICOM, LWM2M, {"sinr_db"}),
}


def tenths(low: int, high: int) -> st.SearchStrategy[float | None]:
    return st.none() | st.integers(10 * low, 10 * high).map(lambda v: v / 10)


samples = st.builds(
    RadioSample,
    time=st.integers(1_530_000_000, 1_610_000_000).map(lambda s: 1000 * s + 1),
    rsrp_dbm=st.integers(-1400, -440).map(lambda v: v / 10),
    rsrq_db=tenths(-20, -3),
    sinr_db=tenths(-20, 30),
    ecl=st.none() | st.integers(0, 2),
    pci=st.none() | st.integers(0, 503),
    earfcn=st.sampled_from([None, 2506, 3736, 3770, 9430]),
    cell_id=st.none() | st.integers(0, 2**28 - 1),
    tx_power_dbm=tenths(-50, 23),
)


@pytest.mark.parametrize("name", FORMATS)
@given(sample=samples)
def test_the_ingester_reads_what_a_device_measured(name: str, sample: RadioSample) -> None:
    """Each value that the format can say, as finely as it can say it, and no other."""
    form, says, whole = FORMATS[name]
    found = read(form, sample)
    resolution = form.resolution_ms
    assert found.pop("time") == sample.time // resolution * resolution
    assert found.pop("technology", "nbiot") == "nbiot"
    measured = {n: v for n in says if (v := getattr(sample, n)) is not None}
    assert set(found) == set(measured)
    for field, value in measured.items():
        assert found[field] == pytest.approx(value, abs=0.5 if field in whole else 0), field


def read(form: Format, sample: RadioSample) -> dict[str, float]:
    """The one sample of the payload, as the ingester's format of that content type has it."""
    reader = named(form.content_type)
    assert reader is not None
    translated = reader.translate(form.encode(sample, "nb-1"), "radio")
    assert translated.faults == []
    [found] = translated.objects
    assert found.pop("stream") == "radio"
    assert found.pop("device", "nb-1") == "nb-1"
    return found
