"""A payload of each format, as its senders make them, for the tests of formats and the fuzzer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

import cbor2

from ingest.batch import Message

TIME_MS = 1_620_649_332_214

NUESTATS = """\
time:{t}
Signal power:-758
Total power:-706
TX power:230
TX time:438
RX time:16193
Cell ID:3535136
ECL:0
SNR:132
EARFCN:3518
PCI:22
RSRQ:-108
OPERATOR MODE:4
"""
NUESTATS_CELLS = """\
time:{t}\r
NUESTATS:CELL,3686,12,1,-704,-108,-682,104\r
NUESTATS:CELL,3686,25,0,-1032,-203,-1354,200\r
"""
QENG_BC660K = """\
time:{t}
module:BC660K-GL
+CSCON: 0,1
+QENG: 0,1769,9,400,"00288516",-103,-9,-94,5,3,"A924",0,14,2
+QENG: 1,1769,12,-108
"""
QENG_BC26 = """\
time:{t}
module: BC26
+CSCON: 0,0
+QENG: 0,2507,2,146,"772F253",-90,-8,-83,16,5,"785F",0,140,3
"""
QENG_EMPTY_FIELDS = 'time:{t}\n+QENG: 0,2506,,176,"0BF576D1",-59,-6,31,21,5,3095,0,-17,3\n'
QENG_GSM = "time:{t}\n+QENG: 0,460,00,18d6,2cd8,641,19,-61,255,255,0,38,38,1,x,x,x,x,x,x,x\n"


def senml(t: int) -> list[dict[str, Any]]:
    """A radio sample in four records."""
    return [
        {"bn": "nb-telecom-a/", "bt": t / 1000, "n": "rsrp_dbm", "u": "dBW", "v": -125.5},
        {"n": "sinr_db", "u": "dB", "v": 4},
        {"n": "ecl", "v": 1},
        {"n": "technology", "vs": "nbiot"},
    ]


_CBOR_LABELS = {
    "bver": -1, "bn": -2, "bt": -3, "bu": -4, "bv": -5, "bs": -6,
    "n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4, "s": 5, "t": 6, "ut": 7, "vd": 8,
}  # fmt: skip


def as_cbor(pack: list[dict[str, Any]]) -> bytes:
    """A pack under CBOR's labels."""
    return cbor2.dumps([{_CBOR_LABELS.get(k, k): v for k, v in r.items()} for r in pack])


def lwm2m(t: int) -> list[dict[str, Any]]:
    """Object 4 as a client reports it, with what is none of ours."""
    return [
        {"bn": "nb-telecom-a/4/0/", "bt": t / 1000, "n": "0", "v": 7},
        {"n": "1/0", "v": 7},
        {"n": "2", "v": -102},
        {"n": "3", "v": -11},
        {"n": "4/0", "vs": "10.0.0.7"},
        {"n": "7/0", "vs": "ctnb"},
        {"n": "8", "v": 78751515},
        {"n": "9", "v": 11},
        {"n": "11", "v": 6},
        {"n": "13", "v": 2},
        {"bn": "nb-telecom-a/3/0/9", "v": 88},
    ]


def oceanconnect(t: int) -> dict[str, Any]:
    """What the platform pushes when several services of a device changed."""
    event_time = datetime.fromtimestamp(t / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    connectivity = {
        "signalStrength": -714, "linkQuality": -133, "signalECL": 1, "cellId": 78751515,
        "signalPCI": 199, "signalSNR": 14, "mode": 2,
    }  # fmt: skip
    return {
        "notifyType": "deviceDatasChanged",
        "requestId": None,
        "deviceId": "nb-telecom-a",
        "gatewayId": "nb-telecom-a",
        "services": [
            {"serviceId": "Meter", "serviceType": "Meter", "data": {"flow": 12},
             "eventTime": event_time},
            {"serviceId": "Connectivity", "serviceType": "Connectivity", "data": connectivity,
             "eventTime": event_time},
        ],
    }  # fmt: skip


def unicom(t: int) -> dict[str, Any]:
    """A property batch; the second half without times of its own."""
    ts = str(t)
    timed = [
        ("csq", 1), ("rsrp", -120), ("rsrq", -12.5), ("signalECL", 2), ("sinr", "15"),
        ("cellID", "1103"), ("APN", "UNICOM"),
    ]  # fmt: skip
    untimed = [("longitude", 104.06), ("latitude", "30.66"), ("moduleTime", ts)]
    return {
        "messageId": "12323",
        "params": {
            "data": [{"key": k, "value": v, "ts": ts} for k, v in timed]
            + [{"key": k, "value": v} for k, v in untimed]
        },
    }


def ndjson(t: int) -> bytes:
    """Two lines, and an empty one."""
    lines = ({"time": t, "rsrp_dbm": -95, "ecl": 1}, {"time": t + 1, "rsrp_dbm": -96})
    return b"\n\n".join(json.dumps(line).encode() for line in lines) + b"\n"


class Example(NamedTuple):
    """A payload and how it may be sent."""

    name: str
    payload: bytes
    content_type: str
    samples: int = 1
    on_batch: bool = False
    """Whether it names its device."""


def examples(t: int) -> list[Example]:
    """One of each format, or more, measured at a time in milliseconds."""
    senml_json, senml_cbor = "application/senml+json", "application/senml+cbor"
    dumps = json.dumps
    return [
        Example("NUESTATS", NUESTATS.format(t=t).encode(), "text/x-nuestats"),
        Example("NUESTATS", NUESTATS_CELLS.format(t=t).encode(), "text/x-nuestats"),
        Example("QENG", QENG_BC660K.format(t=t).encode(), "text/x-qeng"),
        Example("QENG", QENG_BC26.format(t=t).encode(), "text/x-qeng"),
        Example("SenML JSON", dumps(senml(t)).encode(), senml_json, on_batch=True),
        Example("SenML JSON", dumps(lwm2m(t)).encode(), senml_json, on_batch=True),
        Example("SenML CBOR", as_cbor(senml(t)), senml_cbor, on_batch=True),
        Example("SenML CBOR", as_cbor(lwm2m(t)), senml_cbor, on_batch=True),
        Example("OceanConnect", dumps(oceanconnect(t)).encode(),
                "application/vnd.oceanconnect+json", on_batch=True),
        Example("China Unicom", dumps(unicom(t)).encode(), "application/vnd.unicom+json"),
        Example("NDJSON", ndjson(t), "application/x-ndjson", samples=2),
    ]  # fmt: skip


def sent(payload: bytes, content_type: str = "", *, stream: str = "radio") -> Message:
    """A message of the registered NB-IoT sensor."""
    return Message(f"shudao/v1/telecom/{stream}/nb-telecom-a", payload, TIME_MS, content_type)
