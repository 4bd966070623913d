"""Push bodies of the carriers' platforms, and newline-delimited JSON, field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ingest.formats import FORMATS, FormatError, Translated
from ingest.reasons import Reason
from tests.ingest.payloads import TIME_MS, ndjson, oceanconnect, unicom

BY_NAME = {f.name: f for f in FORMATS}
SECOND_MS = TIME_MS // 1000 * 1000


def translate(form: str, body: Any, stream: str = "radio") -> Translated:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return BY_NAME[form].translate(payload, stream)


def test_oceanconnect_has_strength_and_quality_in_tenths() -> None:
    """Of several services the one called Connectivity; the SNR, whose unit is unknown, not."""
    assert translate("OceanConnect", oceanconnect(TIME_MS)) == (
        [
            {
                "stream": "radio", "technology": "nbiot", "time": SECOND_MS,
                "device": "nb-telecom-a", "rsrp_dbm": -71.4, "rsrq_db": -13.3, "ecl": 1,
                "cell_id": 78751515, "pci": 199,
            }
        ],
        [],
    )  # fmt: skip


def test_oceanconnect_may_push_one_service() -> None:
    """deviceDataChanged holds it alone; what was not measured is left out."""
    body = oceanconnect(TIME_MS)
    unknown = {"signalStrength": -32768, "linkQuality": "-133", "signalECL": 255, "signalPCI": None}
    body |= {"notifyType": "deviceDataChanged", "service": body.pop("services")[1]}
    body["service"]["data"] = unknown
    [sample] = translate("OceanConnect", body).objects
    assert sample == {
        "stream": "radio", "technology": "nbiot", "time": SECOND_MS, "device": "nb-telecom-a",
        "rsrq_db": -13.3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"eventTime": "2018-06-02 06:28:10"}, "is not like 20180602T062810Z"),
        ({"eventTime": "20181302T062810Z"}, "is not like 20180602T062810Z"),
        ({"eventTime": None}, "is not like 20180602T062810Z"),
        ({"data": [1]}, "data is no object"),
        ({"data": {"signalECL": "one"}}, "signalECL: 'one' is no number"),
        ({"data": {"signalECL": True}}, "signalECL: bool is no number"),
    ],
)
def test_a_wrong_service_leaves_its_neighbours_alone(change: dict[str, Any], detail: str) -> None:
    """Each has a place among the services."""
    body = oceanconnect(TIME_MS)
    body["services"].append(body["services"][1] | change)
    found = translate("OceanConnect", body)
    assert len(found.objects) == 1
    [(position, reason, text)] = found.faults
    assert (position, reason) == (2, Reason.INVALID_FIELD)
    assert detail in text


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ([], Reason.MALFORMED),
        (b'{"notifyType":', Reason.MALFORMED),
        ({"notifyType": "x", "services": 7}, Reason.INVALID_FIELD),
        ({"notifyType": "x", "services": []}, Reason.EMPTY),
        ({"notifyType": "x", "services": [{"serviceId": "Meter"}]}, Reason.EMPTY),
        ({"notifyType": "x"}, Reason.EMPTY),
    ],
)
def test_oceanconnect_without_a_connectivity_service_is_refused(body: Any, reason: Reason) -> None:
    """The whole body, since there is nothing of ours in it."""
    with pytest.raises(FormatError) as error:
        translate("OceanConnect", body)
    assert error.value.reason is reason


def test_unicom_is_in_whole_units_and_text() -> None:
    """Entries of one time are one sample; those without are of the module's time."""
    assert translate("China Unicom", unicom(TIME_MS)) == (
        [
            {
                "stream": "radio", "technology": "nbiot", "time": TIME_MS, "rsrp_dbm": -120,
                "rsrq_db": -12.5, "ecl": 2, "sinr_db": 15, "cell_id": 1103, "lon": 104.06,
                "lat": 30.66,
            }
        ],
        [],
    )  # fmt: skip


def entries(*found: dict[str, Any]) -> dict[str, Any]:
    return {"params": {"data": list(found)}}


def test_unicom_entries_of_several_times_are_several_samples() -> None:
    """ECL 255 is unknown; a null was not measured; the first of two entries stays."""
    body = entries(
        {"key": "rsrp", "value": -101, "ts": "1000"},
        {"key": "rsrp", "value": -102, "ts": 2000},
        {"key": "signalECL", "value": 255, "ts": "1000"},
        {"key": "signalECL", "value": 0, "ts": "2000"},
        {"key": "sinr", "value": None, "ts": "2000"},
        {"key": "rsrp", "value": -103, "ts": "2000"},
    )
    samples = translate("China Unicom", body).objects
    key = {"stream": "radio", "technology": "nbiot"}
    assert samples == [
        {**key, "time": 1000, "rsrp_dbm": -101},
        {**key, "time": 2000, "rsrp_dbm": -102, "ecl": 0},
    ]


def test_a_wrong_unicom_entry_refuses_its_sample() -> None:
    """What the sample lacks could not be added to it later; that of another time is untouched."""
    body = entries(
        {"key": "rsrp", "value": -101, "ts": "1000"},
        {"key": "sinr", "value": "good", "ts": "1000"},
        {"key": "rsrp", "value": -102, "ts": "2000"},
        {"key": "sinr", "value": 3, "ts": "yesterday"},
        {"key": ["rsrp"], "value": -1, "ts": "1000"},
    )
    found = translate("China Unicom", body)
    assert [s["time"] for s in found.objects] == [2000]
    assert [(f.position, f.reason) for f in found.faults] == [
        (1, Reason.INVALID_FIELD), (3, Reason.INVALID_FIELD),
    ]  # fmt: skip
    assert "sinr: 'good' is no number" in found.faults[0].detail
    assert "neither ts nor moduleTime" in found.faults[1].detail


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ([], Reason.INVALID_FIELD),
        ({"params": {"data": [1]}}, Reason.INVALID_FIELD),
        ({"params": []}, Reason.INVALID_FIELD),
        (entries({"key": "csq", "value": 1, "ts": "1000"}), Reason.EMPTY),
        (b'{"params"', Reason.MALFORMED),
    ],
)
def test_unicom_without_a_measurement_is_refused(body: Any, reason: Reason) -> None:
    """The whole body."""
    with pytest.raises(FormatError) as error:
        translate("China Unicom", body)
    assert error.value.reason is reason


def test_ndjson_is_an_object_a_line() -> None:
    """Empty lines and line ends of either kind are passed over."""
    payload = ndjson(TIME_MS).replace(b"\n", b"\r\n")
    assert translate("NDJSON", payload) == (
        [{"time": TIME_MS, "rsrp_dbm": -95, "ecl": 1}, {"time": TIME_MS + 1, "rsrp_dbm": -96}], [],
    )  # fmt: skip


def test_a_wrong_line_leaves_its_neighbours_alone() -> None:
    """Broken, or no object."""
    found = translate("NDJSON", b'{"time": 1}\n{"time":\n[]\n{"time": 4}')
    assert [o["time"] for o in found.objects] == [1, 4]
    assert [(f.position, f.reason) for f in found.faults] == [
        (1, Reason.MALFORMED), (2, Reason.INVALID_FIELD),
    ]  # fmt: skip


def test_a_line_names_its_stream_only_on_the_batch_topic() -> None:
    """Elsewhere the topic does, as for an array."""
    line = b'{"time": 1, "stream": "reading"}'
    assert translate("NDJSON", line, "radio").objects == [{"time": 1}]
    assert translate("NDJSON", line, "batch").objects == [{"time": 1, "stream": "reading"}]
