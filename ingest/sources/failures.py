"""What can go wrong between a source and its broker, and in which words it is said."""

from __future__ import annotations

from shudao.broker_address import BrokerAddress
from shudao.errors import ShudaoError

SESSION_TAKEN_OVER = 142
UNSUPPORTED_PROTOCOL_VERSION = 132
_NOT_PERMITTED = (134, 135)
"""Bad user name or password; not authorised."""
_PASSING = (136, 137, 151, 159)
"""Server unavailable, server busy, quota exceeded, connection rate exceeded."""


class LostError(Exception):
    """No connection, or none any more; to be tried again."""


class ClosedError(LostError):
    """The broker closed the connection and did not say why.

    mosquitto before 2.0.15, and every broker over MQTT 3.1.1, does so to a session taken over.
    """

    def __init__(self) -> None:
        super().__init__(
            "the broker closed the connection without a reason;"
            " many do when another client connects with our client id"
        )


class TakenOverError(LostError):
    """Another client connected with our client id."""


class BusyError(LostError):
    """The broker itself says that it will let us in later."""


class UnansweredError(LostError):
    """The broker took the connection and did not answer our CONNECT."""

    def __init__(self) -> None:
        super().__init__("it does not answer; if it does not speak MQTT 5, use --source aiomqtt")


class RefusedError(Exception):
    """The broker answered, and the answer was no."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class OldBrokerError(RefusedError):
    """The broker does not know MQTT 5."""

    def __init__(self, address: BrokerAddress) -> None:
        super().__init__(
            f"the MQTT broker at {address} does not speak MQTT 5",
            "use --source aiomqtt, which also speaks MQTT 3.1.1",
        )


def lost_or_refused(
    code: int, reason: str, address: BrokerAddress, client_id: str
) -> LostError | RefusedError:
    """What a CONNACK with that reason code (MQTT 5.0, table 3-1) means for us."""
    if code in _PASSING:
        return BusyError(f"the broker answers: {reason}")
    if code in _NOT_PERMITTED:
        return RefusedError(
            f"the MQTT broker at {address} does not let {address.user or 'a client without user'!r}"
            f" in as {client_id!r} ({reason})",
            "correct user and password in SHUDAO_MQTT_URL (mqtt://user:password@host:port),"
            " or let that user in at the broker",
        )
    if code == UNSUPPORTED_PROTOCOL_VERSION:
        return OldBrokerError(address)
    return RefusedError(
        f"the MQTT broker at {address} refuses the client {client_id!r} ({reason})",
        "see the broker's log for why",
    )


def subscription_refused(topic_filter: str, client_id: str, granted: object) -> RefusedError:
    """Another QoS than 1 would lose messages, or break acknowledge-after-commit."""
    return RefusedError(
        f"the MQTT broker does not let {client_id!r} subscribe to {topic_filter}"
        f" with QoS 1 (it answered {granted})",
        "allow that in its access list, and QoS 1 in its settings",
    )


def unreachable(address: BrokerAddress, error: Exception) -> ShudaoError:
    """The first connection is not to be had."""
    return ShudaoError(
        f"the MQTT broker at {address} cannot be reached ({error})",
        "start one with `shudao local up`, or correct SHUDAO_MQTT_URL",
    )
