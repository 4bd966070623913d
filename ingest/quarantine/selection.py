"""Which rows of quarantine: what all commands filter by, as SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ingest.reasons import Reason


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows that meet all that is given; without anything, all rows.

    ``carrier_id`` is the topic's, 0 for a topic that names none. ``since`` (inclusive) and
    ``before`` (exclusive) bound the last time that a sample came, since one that is still sent is
    not old.
    """

    ids: tuple[int, ...] = ()
    carrier_id: int | None = None
    reasons: tuple[Reason, ...] = ()
    device: str | None = None
    stream: str | None = None
    since: datetime | None = None
    before: datetime | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return self == Selection()

    def sql(self, *given: object) -> tuple[str, list[object]]:
        """A condition over ``quarantine``, and the parameters of the whole statement.

        ``given`` are the statement's own, $1 and so on; the condition's are numbered after them.
        """
        parameters = list(given)
        conditions = ["true"]
        for condition, value in (
            ("quarantine_id = ANY({}::bigint[])", list(self.ids) or None),
            ("coalesce(carrier_id, 0) = {}::smallint", self.carrier_id),
            ("reason = ANY({}::text[])", [r.value for r in self.reasons] or None),
            ("device = {}::text", self.device),
            ("stream = {}::text", self.stream),
            ("last_received >= {}::timestamptz", self.since),
            ("last_received < {}::timestamptz", self.before),
        ):
            if value is not None:
                parameters.append(value)
                conditions.append(condition.format(f"${len(parameters)}"))
        return " AND ".join(conditions), parameters
