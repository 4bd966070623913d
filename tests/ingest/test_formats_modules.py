"""AT responses of NB-IoT modules, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.formats import FORMATS, FormatError
from ingest.reasons import Reason
from tests.ingest.payloads import (
    NUESTATS,
    NUESTATS_CELLS,
    QENG_BC26,
    QENG_BC660K,
    QENG_EMPTY_FIELDS,
    QENG_GSM,
    TIME_MS,
)

BY_NAME = {f.name: f for f in FORMATS}
SAMPLE = {"stream": "radio", "technology": "nbiot", "time": TIME_MS}


def translate(form: str, text: str) -> dict[str, Any]:
    """The one sample of a response, whose key fields are as they must be."""
    found = BY_NAME[form].translate(text.format(t=TIME_MS).encode(), "radio")
    assert found.faults == []
    [sample] = found.objects
    assert sample.items() >= SAMPLE.items()
    return {k: v for k, v in sample.items() if k not in SAMPLE}


def refused(form: str, text: str) -> FormatError:
    with pytest.raises(FormatError) as error:
        BY_NAME[form].translate(text.format(t=TIME_MS).encode(), "radio")
    return error.value


def test_nuestats_is_in_tenths() -> None:
    """As a BC95 prints it."""
    assert translate("NUESTATS", NUESTATS) == {
        "rsrp_dbm": -75.8, "tx_power_dbm": 23.0, "cell_id": 3535136, "ecl": 0, "sinr_db": 13.2,
        "earfcn": 3518, "pci": 22, "rsrq_db": -10.8,
    }  # fmt: skip


def test_nuestats_leaves_out_what_was_not_measured() -> None:
    """-32768, ECL 255, cell 4294967295: as a module prints that has lost its network."""
    lost = (
        "time:{t}\nSignal power:-32768\nTX power:-32768\nCell ID:4294967295\nECL:255\nSNR:-32768\n"
        "EARFCN:4294967295\nPCI:65535\nRSRQ:-32768\n"
    )
    assert translate("NUESTATS", lost) == {}
    assert translate("NUESTATS", lost.replace("ECL:255", "ECL:2")) == {"ecl": 2}


def test_nuestats_reads_the_primary_of_the_cells() -> None:
    """A neighbour's RSSI of -1354 and SNR of 200 were never measured."""
    cell = {"earfcn": 3686, "pci": 12, "rsrp_dbm": -70.4, "rsrq_db": -10.8, "sinr_db": 10.4}
    assert translate("NUESTATS", NUESTATS_CELLS) == cell
    assert translate("NUESTATS", NUESTATS_CELLS + "NUESTATS:RADIO,Signal power:-711") == {
        **cell, "rsrp_dbm": -71.1,
    }  # fmt: skip


def test_a_nuestats_that_says_the_same_twice_is_one_sample() -> None:
    """As where a log holds the response once per group."""
    assert translate("NUESTATS", NUESTATS + NUESTATS) == translate("NUESTATS", NUESTATS)


@pytest.mark.parametrize("prefix", ["NUESTATS:RADIO,", "+NUESTATS: RADIO,", "NUESTATS: ", "  "])
def test_nuestats_lines_may_have_a_prefix(prefix: str) -> None:
    """As firmware versions differ."""
    text = "Time: {t}\r\n" + prefix + "Signal power:-815\r\n"
    assert translate("NUESTATS", text) == {"rsrp_dbm": -81.5}


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        ("Signal power:-815", Reason.INVALID_FIELD, "send a line 'time:<milliseconds"),
        ("time:now\nSignal power:-815", Reason.INVALID_FIELD, "send a line 'time:<milliseconds"),
        ("time:{t}\nSignal power:-81.5", Reason.INVALID_FIELD, "'-81.5' is no whole number"),
        ("time:{t}\nECL:٣", Reason.INVALID_FIELD, "'٣' is no whole number"),
        ("time:{t}\nPCI:" + "1" * 5000, Reason.INVALID_FIELD, "is no whole number"),
        ("time:{t}\nNUESTATS:CELL,3686,12,1,-704", Reason.MALFORMED, "holds 4 values, not 7"),
        ("time:{t}\ntime:1\nECL:1", Reason.INVALID_FIELD, "one response a message"),
        ("time:{t}\nECL:1\nSNR:9\nECL:255", Reason.INVALID_FIELD, "ECL: '1' and '255': send one"),
        (
            NUESTATS_CELLS + "NUESTATS:CELL,3688,13,1,-904,-108,-682,104",
            Reason.INVALID_FIELD,
            "EARFCN: '3686' and '3688': send one",
        ),
    ],
)
def test_a_wrong_nuestats_is_refused(text: str, reason: Reason, detail: str) -> None:
    """With what its sender should correct."""
    error = refused("NUESTATS", text)
    assert error.reason is reason
    assert detail in error.detail
    assert len(error.detail) < 200


def test_qeng_of_a_bc660k_is_in_whole_units() -> None:
    """Connected, module named: everything counts."""
    assert translate("QENG", QENG_BC660K) == {
        "earfcn": 1769, "pci": 400, "cell_id": 0x00288516, "rsrp_dbm": -103, "rsrq_db": -9,
        "sinr_db": 5, "ecl": 0, "tx_power_dbm": 14.0,
    }  # fmt: skip


def test_qeng_of_a_bc26_has_its_power_in_tenths() -> None:
    """And an ECL that is left out, since it was not connected."""
    assert translate("QENG", QENG_BC26) == {
        "earfcn": 2507, "pci": 146, "cell_id": 0x772F253, "rsrp_dbm": -90, "rsrq_db": -8,
        "sinr_db": 16, "tx_power_dbm": 14.0,
    }  # fmt: skip


def test_qeng_guesses_nothing() -> None:
    """Without a module no transmit power, without a state no ECL; an empty field is absent."""
    assert translate("QENG", QENG_EMPTY_FIELDS) == {
        "earfcn": 2506, "pci": 176, "cell_id": 0x0BF576D1, "rsrp_dbm": -59, "rsrq_db": -6,
        "sinr_db": 21,
    }  # fmt: skip
    assert "tx_power_dbm" not in translate("QENG", QENG_BC26.replace("BC26", "BC28"))
    assert "tx_power_dbm" not in translate("QENG", QENG_BC26 + "module: BC660K")
    assert "rsrp_dbm" not in translate("QENG", QENG_BC26.replace("-90", ""))


@pytest.mark.parametrize(
    ("states", "valid"),
    [(["+CSCON: 0,1"], True), (["+CSCON: 1"], True), (["+CSCON:1,0"], False), ([], False),
     (["+CSCON: 1", "+CSCON: 0"], False), (["+CSCON: 0,0"], False)],
)  # fmt: skip
def test_qeng_has_an_ecl_only_while_connected(states: list[str], valid: bool) -> None:
    """No line may say otherwise: the connection may have ended before the measurement."""
    text = "\n".join([QENG_EMPTY_FIELDS, *states])
    assert ("ecl" in translate("QENG", text)) == valid


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        (QENG_GSM, Reason.MALFORMED, "a serving cell has 13 values, not 20"),
        ("time:{t}\n+QENG: 1,1769,12,-108", Reason.MALFORMED, "0 lines of a serving cell"),
        (QENG_BC26 + QENG_EMPTY_FIELDS, Reason.MALFORMED, "2 lines of a serving cell"),
        (QENG_BC26.replace("time", "at"), Reason.INVALID_FIELD, "send a line 'time:"),
        (QENG_BC26.replace("772F253", "77ZZ"), Reason.INVALID_FIELD, "cell_id: '77ZZ' is no"),
        (QENG_BC26.replace("-90", "-90.5"), Reason.INVALID_FIELD, "rsrp_dbm: '-90.5' is no"),
    ],
)
def test_a_wrong_qeng_is_refused(text: str, reason: Reason, detail: str) -> None:
    """A GSM module's, whose fields mean something else, too."""
    error = refused("QENG", text)
    assert error.reason is reason
    assert detail in error.detail


@pytest.mark.parametrize("form", ["NUESTATS", "QENG"])
def test_an_at_response_is_text(form: str) -> None:
    """Bytes that are no UTF-8 are refused."""
    with pytest.raises(FormatError, match="no UTF-8"):
        BY_NAME[form].translate(b"time:1\nSignal power:\xff", "radio")
