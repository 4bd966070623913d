"""Why a sample was refused: a fixed vocabulary, so that counts by reason mean something."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The reason stored with a quarantined sample; its text says what the sender should do."""

    TOPIC = "topic"
    UNKNOWN_CARRIER = "unknown_carrier"
    UNKNOWN_STREAM = "unknown_stream"
    MALFORMED = "malformed"
    TOO_MANY = "too_many"
    INVALID_FIELD = "invalid_field"
    UNKNOWN_DEVICE = "unknown_device"
    WRONG_CARRIER = "wrong_carrier"
    UNKNOWN_TECHNOLOGY = "unknown_technology"
    UNKNOWN_METRIC = "unknown_metric"
    TIME_AHEAD = "time_ahead"
    TIME_OLD = "time_old"
    OUT_OF_RANGE = "out_of_range"
    CONTRADICTION = "contradiction"
    EMPTY = "empty"
    UNSTORABLE = "unstorable"


ADVICE: dict[Reason, str] = {
    Reason.TOPIC: "publish to shudao/v1/{carrier}/{stream}/{device}",
    Reason.UNKNOWN_CARRIER: "the carrier is one of telecom, mobile, unicom, broadnet",
    Reason.UNKNOWN_STREAM: "the stream is one of radio, broadband, reading, batch",
    Reason.MALFORMED: "send one JSON object, or an array of objects, in UTF-8",
    Reason.TOO_MANY: "send at most 50,000 objects in one message",
    Reason.INVALID_FIELD: "send the field with the name and type of the message contract",
    Reason.UNKNOWN_DEVICE: "register the device first",
    Reason.WRONG_CARRIER: "publish under the carrier that the device is registered with",
    Reason.UNKNOWN_TECHNOLOGY: "use a technology of the vocabulary, or leave it out",
    Reason.UNKNOWN_METRIC: "use a metric of the table metric, or have it added",
    Reason.TIME_AHEAD: "correct the device's clock",
    Reason.TIME_OLD: "send samples before raw retention ends",
    Reason.OUT_OF_RANGE: "leave out what was not measured, and check the unit",
    Reason.CONTRADICTION: "the values exclude each other, probably one is stale",
    Reason.EMPTY: "a sample holds at least one measured value",
    Reason.UNSTORABLE: "the database refused it; tell whoever runs Shudao",
}
"""What the sender should do, by reason."""
