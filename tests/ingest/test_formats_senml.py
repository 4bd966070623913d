"""SenML in JSON and CBOR, and LwM2M's object 4 in it, against RFC 8428.

The RFC's examples are read as readings: its names are metrics then. Its times of "now" are made
absolute, since relative ones are refused.
"""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import cbor2
import pytest

from ingest.formats import FORMATS, FormatError, Translated
from ingest.formats.units import convert
from ingest.reasons import Reason
from tests.ingest.payloads import TIME_MS, as_cbor, lwm2m, senml

BY_NAME = {f.name: f for f in FORMATS}
T = 1_320_067_464
OW = "urn:dev:ow:10e2073a01080063"


def translate(pack: Any, stream: str = "radio") -> Translated:
    """The same from both encodings."""
    found = BY_NAME["SenML JSON"].translate(json.dumps(pack).encode(), stream)
    assert BY_NAME["SenML CBOR"].translate(as_cbor(pack), stream) == found
    return found


def samples(pack: Any, stream: str = "radio") -> list[dict[str, Any]]:
    found = translate(pack, stream)
    assert found.faults == []
    return found.objects


def refused(pack: Any, stream: str = "radio") -> FormatError:
    with pytest.raises(FormatError) as error:
        translate(pack, stream)
    return error.value


def readings(pack: Any) -> list[tuple[str, str, float, float]]:
    """Device, metric, time in seconds and value, as on the batch topic."""
    found = samples(pack, "batch")
    assert {o["stream"] for o in found} == {"reading"}
    return [(o["device"], o["metric"], o["time"] / 1000, o["value"]) for o in found]


def test_a_single_datapoint() -> None:
    """RFC 8428, 5.1.1."""
    assert readings([{"n": f"{OW}:temp", "u": "Cel", "v": 23.1, "t": T}]) == [(OW, "temp", T, 23.1)]


def test_multiple_datapoints() -> None:
    """RFC 8428, 5.1.2: one base name, then base time and unit with times before it."""
    assert readings(
        [
            {"bn": f"{OW}:", "bt": T, "n": "voltage", "u": "V", "v": 120.1},
            {"n": "current", "u": "A", "v": 1.2},
        ]
    ) == [(OW, "voltage", T, 120.1), (OW, "current", T, 1.2)]
    assert readings(
        [
            {"bn": f"{OW}:", "bt": 1.276020076001e9, "bu": "A", "bver": 10,
             "n": "voltage", "u": "V", "v": 120.1},
            {"n": "current", "t": -5, "v": 1.2},
            {"n": "current", "t": -4, "v": 1.3},
            {"n": "current", "v": 1.7},
        ]
    ) == [
        (OW, "voltage", 1276020076.001, 120.1), (OW, "current", 1276020071.001, 1.2),
        (OW, "current", 1276020072.001, 1.3), (OW, "current", 1276020076.001, 1.7),
    ]  # fmt: skip


def test_multiple_measurements() -> None:
    """RFC 8428, 5.1.3 (resolved in 5.1.4): one base name without names, changed base values."""
    found = translate(
        [
            {"bn": OW, "bt": T, "bu": "%RH", "v": 20},
            {"u": "lon", "v": 24.30621},
            {"u": "lat", "v": 60.07965},
            {"t": 60, "v": 20.3},
            {"u": "lon", "t": 60, "v": 24.30622},
            {"u": "%EL", "t": 150, "v": 98},
        ],
        "reading",
    )
    assert found.faults == []
    assert [(o["time"] / 1000 - T, o["value"]) for o in found.objects] == [
        (0, 20), (0, 24.30621), (0, 60.07965), (60, 20.3), (60, 24.30622), (150, 98),
    ]  # fmt: skip
    assert {o["metric"] for o in found.objects} == {"10e2073a01080063"}


def test_a_base_name_holds_until_another_one_and_a_base_time_on() -> None:
    """RFC 8428, 5.1.6: the last record has the base name of the third, the time of the first."""
    assert readings(
        [
            {"bn": "2001:db8::2/", "bt": T, "n": "temperature", "v": 25.2},
            {"n": "humidity", "v": 30},
            {"bn": "2001:db8::1/", "n": "temperature", "v": 12.3},
            {"n": "humidity", "v": 67},
        ]
    ) == [
        ("2001:db8::2", "temperature", T, 25.2), ("2001:db8::2", "humidity", T, 30),
        ("2001:db8::1", "temperature", T, 12.3), ("2001:db8::1", "humidity", T, 67),
    ]  # fmt: skip


def test_a_base_value_is_added_and_stands_for_a_missing_value() -> None:
    """RFC 8428, 4.5.4: what is missing of the two is zero. A record of base fields only sets."""
    pack = [
        {"bn": "nb/rsrp_dbm", "bt": T, "bv": -100},
        {"t": 0},
        {"t": 1, "v": -5},
        {"t": 2, "bv": -90, "v": 0.5},
    ]
    assert [o["rsrp_dbm"] for o in samples(pack)] == [-100, -105, -89.5]


def test_base_sum_and_update_time_measure_nothing() -> None:
    """A value beside a sum counts; a sum alone is no measurement of one instant."""
    pack = [
        {"bn": "m/", "bt": T, "bs": 5, "n": "flow", "v": 1, "s": 7, "ut": 60},
        {"n": "flow", "t": 1, "s": 8},
        {"n": "flow", "t": 2},
    ]
    found = translate(pack, "reading")
    assert [o["value"] for o in found.objects] == [1]
    assert [(f.position, f.detail) for f in found.faults] == [
        (1, "a sum is no measurement of one instant"), (2, "it has no value"),
    ]  # fmt: skip


def test_records_of_one_time_are_one_sample() -> None:
    """In the units of the contract; the topic names the device, the batch topic's records do."""
    sample = {
        "stream": "radio", "time": TIME_MS, "rsrp_dbm": -95.5, "sinr_db": 4, "ecl": 1,
        "technology": "nbiot",
    }  # fmt: skip
    assert samples(senml(TIME_MS)) == [sample]
    assert samples(senml(TIME_MS), "batch") == [{**sample, "device": "nb-telecom-a"}]


def test_the_first_of_two_values_of_a_field_stays() -> None:
    """As of two samples of one time."""
    pack = [{"n": "rsrp_dbm", "bt": T, "v": -90}, {"n": "rsrp_dbm", "v": -91}]
    assert [o["rsrp_dbm"] for o in samples(pack)] == [-90]


def test_fields_tell_the_stream_on_the_batch_topic() -> None:
    """What both streams have goes with the rest; other names are metrics."""
    pack = [
        {"bn": "a/", "bt": T, "n": "rtt_ms", "u": "s", "v": 1.5},
        {"n": "down_mbps", "u": "bit/s", "v": 93_500_000},
        {"n": "ipv6", "vb": True},
        {"bn": "b/", "n": "rtt_ms", "v": 800},
        {"n": "battery", "v": 81},
    ]
    assert samples(pack, "batch") == [
        {"stream": "broadband", "time": T * 1000, "device": "a", "rtt_ms": 1500,
         "down_mbps": 93.5, "ipv6": 1},
        {"stream": "radio", "time": T * 1000, "device": "b", "rtt_ms": 800},
        {"stream": "reading", "time": T * 1000, "device": "b", "metric": "battery", "value": 81},
    ]  # fmt: skip


def test_a_sample_of_two_streams_is_refused() -> None:
    """Whose rtt_ms would it be? Other devices are untouched."""
    pack = [
        {"bn": "a/", "bt": T, "n": "rsrp_dbm", "v": -90},
        {"n": "down_mbps", "v": 93.5},
        {"bn": "b/", "n": "down_mbps", "v": 12},
    ]
    found = translate(pack, "batch")
    assert [o["device"] for o in found.objects] == ["b"]
    assert [f.reason for f in found.faults] == [Reason.INVALID_FIELD]
    assert "radio and of broadband" in found.faults[0].detail


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        ({"n": "ecl", "v": "1"}, "v = '1' is no finite number"),
        ({"n": "ecl", "v": None}, "v = NoneType is no finite number"),
        ({"n": "ecl", "vs": "1"}, "'ecl' = '1' is no number"),
        ({"n": "ecl", "vd": "MTIz"}, "'ecl' = 'MTIz' is no number"),
        ({"n": "ecl", "vs": 1}, "vs = 1: wrong type"),
        ({"n": "ecl", "vb": True}, "'ecl' = bool is no number"),
        ({"n": "ecl", "v": 1, "vs": "1"}, "more than one value: v, vs"),
        ({"n": "ecl"}, "it has no value"),
        ({"n": "tx_power_dbm", "u": "W", "v": 1}, "send it in 'dBm', 'dBW'"),
        ({"n": "tx_power_dbm", "u": 7, "v": 1}, "u = 7 is no text"),
        ({"n": "technology", "v": 1}, "a technology is a name"),
        ({"n": "ecl", "bv": [], "v": 1}, "bv = list is no finite number"),
    ],
)
def test_a_wrong_value_refuses_its_sample(record: dict[str, Any], detail: str) -> None:
    """What the sample lacks could not be added to it later; that of another time is untouched."""
    pack = [{"n": "rsrp_dbm", "bt": T, "v": -90}, {"n": "rsrp_dbm", "t": 1, "v": -91}, record]
    found = translate(pack)
    assert [o["rsrp_dbm"] for o in found.objects] == [-91]
    assert [(f.position, f.reason) for f in found.faults] == [(2, Reason.INVALID_FIELD)]
    assert detail in found.faults[0].detail


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        ({"n": "mood", "v": 1}, "the stream radio has no field 'mood'"),
        ({"n": "a b", "v": 1}, "'a b' is no name of RFC 8428"),
        ({"n": "-", "v": 1}, "'-' is no name of RFC 8428"),
        ({"n": 7, "v": 1}, "n = 7 is no text"),
        ({"n": "ecl", "t": "1", "v": 1}, "t = '1' is no finite number"),
        ({"n": "ecl", "t": -T, "v": 1}, "time 0 s is relative"),
        ({"n": "ecl", "t": -T + 2**28 - 1, "v": 1}, "time 268435455 s is relative"),
    ],
)
def test_a_record_of_no_sample_is_refused_alone(record: dict[str, Any], detail: str) -> None:
    """A name or a time that cannot be understood; two such records are two faults."""
    found = translate([{"n": "rsrp_dbm", "bt": T, "v": -90}, record, record])
    assert [o["rsrp_dbm"] for o in found.objects] == [-90]
    assert [f.position for f in found.faults] == [1, 2]
    assert detail in found.faults[0].detail


def test_times_from_2_to_the_28_are_absolute() -> None:
    """RFC 8428, 4.5.3."""
    assert samples([{"n": "ecl", "t": 2**28, "v": 1}])[0]["time"] == 2**28 * 1000


@pytest.mark.parametrize("version", [10, 26, None])
def test_known_versions_are_read(version: int | None) -> None:
    """RFC 9100: 26 is version 10 with the secondary units, which dBm is one of."""
    record = {"n": "rsrp_dbm", "t": T, "u": "dBm", "v": -90} | (
        {"bver": version} if version else {}
    )
    assert samples([record])[0]["rsrp_dbm"] == -90


@pytest.mark.parametrize(
    ("record", "detail"),
    [
        ({"bver": 11}, "SenML version 11"),
        ({"bver": "10"}, "SenML version '10'"),
        ({"bver": None}, "SenML version NoneType"),
        ({"all_": 1}, "label 'all_' must be understood"),
    ],
)
def test_a_pack_that_must_be_understood_is_refused_whole(
    record: dict[str, Any], detail: str
) -> None:
    """RFC 8428, 4.4: a later version, an unknown label that ends with an underscore."""
    error = refused([{"n": "rsrp_dbm", "bt": T, "v": -90}, record])
    assert error.reason is Reason.MALFORMED
    assert detail in error.detail
    assert len(samples([{"n": "rsrp_dbm", "bt": T, "v": -90, "all": 1}])) == 1


@pytest.mark.parametrize("pack", [{}, 7, [7], [[]], None, "pack"])
def test_what_is_no_array_of_records_is_refused(pack: Any) -> None:
    """The whole payload."""
    with pytest.raises(FormatError, match="a SenML pack is an array of records"):
        BY_NAME["SenML JSON"].translate(json.dumps(pack).encode(), "radio")
    with pytest.raises(FormatError, match="a SenML pack is an array of records"):
        BY_NAME["SenML CBOR"].translate(cbor2.dumps(pack), "radio")


def test_object_4_of_lwm2m_is_a_radio_sample() -> None:
    """CE level + 1; what is none of ours (addresses, APN, other objects) is passed over."""
    sample = {
        "stream": "radio", "time": TIME_MS, "technology": "nbiot", "rsrp_dbm": -102,
        "rsrq_db": -11, "cell_id": 78751515, "sinr_db": 6, "ecl": 1,
    }  # fmt: skip
    assert samples(lwm2m(TIME_MS)) == [sample]
    assert samples(lwm2m(TIME_MS), "batch") == [{**sample, "device": "nb-telecom-a"}]


@pytest.mark.parametrize(
    ("name", "device"),
    [("/4/0/2", ""), ("4/0/2", ""), ("nb-1/4/0/2", "nb-1"), ("12345/4/0/2", "12345"),
     ("urn:dev:os:1-2/4/0/2", "urn:dev:os:1-2")],
)  # fmt: skip
def test_a_path_may_name_the_device_before_it(name: str, device: str) -> None:
    """Also one that is a number."""
    [sample] = samples([{"n": name, "t": T, "v": -90}], "batch")
    assert (sample["device"], sample["rsrp_dbm"]) == (device, -90)


@pytest.mark.parametrize("name", ["/4/0/5", "/4/0/2/0", "/3/0/9", "nb-1/3303/0/5700", "/14/0/2"])
def test_other_resources_are_passed_over(name: str) -> None:
    """With whatever value, or none."""
    pack = [{"n": "/4/0/2", "bt": T, "v": -90}, {"n": name, "vs": "x"}, {"n": name}]
    for stream in ("radio", "reading", "batch"):
        assert len(samples(pack, stream)) == 1


def test_lwm2m_and_fields_by_name_are_one_sample() -> None:
    """Else the second would be a duplicate, and lost."""
    pack = [{"bn": "a/", "bt": T, "n": "4/0/2", "v": -90}, {"n": "earfcn", "v": 2506}]
    for stream in ("radio", "batch"):
        [sample] = samples(pack, stream)
        assert (sample["rsrp_dbm"], sample["earfcn"]) == (-90, 2506)


@pytest.mark.parametrize(
    ("resource", "value", "reason", "detail"),
    [
        (0, 21, Reason.UNKNOWN_TECHNOLOGY, "network bearer 21 reports no RSRP"),
        (0, 0, Reason.UNKNOWN_TECHNOLOGY, "network bearer 0 reports no RSRP"),
        (13, 4, Reason.OUT_OF_RANGE, "/4/0/13 = 4 is not 0 … 3"),
        (13, 1.5, Reason.OUT_OF_RANGE, "/4/0/13 = 1.5 is not 0 … 3"),
    ],
)
def test_a_wrong_resource_refuses_its_sample(
    resource: int, value: float, reason: Reason, detail: str
) -> None:
    """The signal of a WLAN or GSM bearer is no RSRP."""
    pack = [{"bn": "/4/0/", "bt": T, "n": "2", "v": -60}, {"n": str(resource), "v": value}]
    found = translate(pack)
    assert found.objects == []
    assert [f.reason for f in found.faults] == [reason]
    assert detail in found.faults[0].detail


def test_ce_level_0_means_no_enhancement() -> None:
    """It is no ECL; 1 is ECL 0. Units of a record count."""
    pack = [{"bn": "/4/0/", "bt": T, "n": "2", "u": "dBW", "v": -120}, {"n": "13", "v": 0}]
    assert samples(pack) == [{"stream": "radio", "time": T * 1000, "rsrp_dbm": -90}]
    pack[1]["v"] = 1
    assert samples(pack)[0]["ecl"] == 0


@pytest.mark.parametrize(
    ("field", "unit", "value", "expected"),
    [
        ("rsrp_dbm", "dBW", -125, -95), ("rsrp_dbm", "", -95, -95), ("rsrq_db", "dB", -9, -9),
        ("rtt_ms", "s", 0.0123, 12.3), ("rtt_ms", "min", 2, 120_000), ("dns_ms", "ms", 4, 4),
        ("down_mbps", "bit/s", 5e8, 500), ("up_mbps", "kbit/s", 500, 0.5),
        ("down_mbps", "MB/s", 12.5, 100), ("up_mbps", "B/s", 125_000, 1),
        ("loss_pct", "/", 0.02, 2), ("loss_pct", "%", 2, 2), ("loss_pct", "/100", 2, 2),
        ("lon", "lon", 104.06, 104.06), ("lat", "deg", 30.66, 30.66), ("ecl", "count", 1, 1),
    ],
)  # fmt: skip
def test_units_are_converted(field: str, unit: str, value: float, expected: float) -> None:
    """To those of the message contract."""
    assert convert(field, unit, value) == expected


@pytest.mark.parametrize(
    ("field", "unit"),
    [("rsrp_dbm", "dB"), ("rsrq_db", "dBm"), ("rtt_ms", "Hz"), ("lon", "lat"), ("ecl", "%"),
     ("down_mbps", "MB"), ("rsrp_dbm", "W")],
)  # fmt: skip
def test_a_unit_that_a_field_cannot_have_is_refused(field: str, unit: str) -> None:
    """Not guessed; the text names the ones that it can have."""
    with pytest.raises(FormatError, match="send it in '"):
        convert(field, unit, 1)


@pytest.mark.parametrize(
    ("metric", "unit", "value", "expected"),
    [
        ("temperature", "Cel", 20.5, 20.5), ("temperature", "K", 293.15, 20),
        ("battery", "%EL", 81, 81), ("battery", "/", 0.81, 81),
        ("water_volume", "l", 1500, 1.5), ("lamp_power", "kW", 0.04, 40),
        ("pm2_5", "kg/m3", 3.5e-8, 35), ("smoke", "", 1, 1), ("mood", "smiles", 3, 3),
    ],
)  # fmt: skip
def test_readings_are_in_the_unit_of_their_metric(
    metric: str, unit: str, value: float, expected: float
) -> None:
    """Converted; the unit of a metric that was added later is not known, and not looked at."""
    record = {"n": metric, "t": T, "u": unit, "v": value}
    [reading] = samples([record], "reading")
    assert (reading["metric"], reading["value"]) == (metric, expected)


@pytest.mark.parametrize(
    ("metric", "unit"), [("temperature", "%RH"), ("battery", "EL"), ("water_volume", "m3/s")]
)
def test_a_reading_in_a_unit_of_something_else_is_refused(metric: str, unit: str) -> None:
    """It was not measured by what its name says."""
    found = translate([{"n": metric, "t": T, "u": unit, "v": 1}], "reading")
    assert found.objects == []
    assert [(f.reason, "send it in '" in f.detail) for f in found.faults] == [
        (Reason.INVALID_FIELD, True)
    ]


def cbor(payload: bytes) -> Translated:
    return BY_NAME["SenML CBOR"].translate(payload, "radio")


def test_a_cbor_number_may_be_a_decimal_fraction() -> None:
    """RFC 8428, 6; labels may be text, unknown ones are ignored, an array may be indefinite."""
    record = {"n": "rsrp_dbm", 6: T, 2: Decimal("-90.5"), 99: 1, True: [], b"x": {}}
    payload = b"\x9f" + cbor2.dumps(record) + b"\xff"
    assert cbor(payload).objects[0]["rsrp_dbm"] == -90.5
    assert cbor2.dumps(Decimal("-90.5")) == bytes.fromhex("c482203903 88".replace(" ", ""))


@pytest.mark.parametrize(
    "tagged",
    ["c074323032312d30352d31305431323a32323a31325a", "c11a609929f4", "c249010000000000000000",
     "c5820103", "d81c80", "d81d00", "d81e820103", "d8236161", "d825500000", "d9010280",
     "d9d9f700", "c48201c24a01000000000000000000", "c482190190 01", "c400", "d9ffff00"],
)  # fmt: skip
def test_other_tags_are_refused(tagged: str) -> None:
    """Dates, big numbers, shared references, rationals, patterns, sets: none is SenML's."""
    with pytest.raises(FormatError, match="no CBOR of SenML") as error:
        cbor(b"\x81\xa3\x00\x63ecl\x06\x1a\x4e\xae\x9a\x08\x02" + bytes.fromhex(tagged))
    assert error.value.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("payload", "detail"),
    [
        (as_cbor([{"n": "ecl", "t": T, "v": 1}]) + b"\x00", "1 bytes after the pack"),
        (as_cbor([{"n": "ecl", "t": T, "v": 1}])[:-1], "premature end"),
        (b"", "premature end"),
        (b"\x9b\x7f" + b"\xff" * 7, "premature end"),
        (b"\x81" * 100_000, "nesting depth"),
        (b"\x81\xa1\x00\x61\xff", "can't decode byte 0xff"),
    ],
)
def test_broken_cbor_is_refused(payload: bytes, detail: str) -> None:
    """Cut short, followed by more, with lengths that cannot be, too deep, no UTF-8."""
    with pytest.raises(FormatError) as error:
        cbor(payload)
    assert error.value.reason is Reason.MALFORMED
    assert detail in error.value.detail


def test_a_decimal_fraction_of_two_megabytes_costs_nothing() -> None:
    """Decoders that make a decimal of it take minutes."""
    mantissa = b"\xc2" + b"\x5a" + (2_000_000).to_bytes(4, "big") + b"\x01" * 2_000_000
    began = time.monotonic()
    with pytest.raises(FormatError, match="no CBOR of SenML"):
        cbor(b"\x81\xa1\x02\xc4\x82\x03" + mantissa)
    assert time.monotonic() - began < 5
