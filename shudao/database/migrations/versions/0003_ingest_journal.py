"""The journal between raw samples and roll-ups; the content type of what was refused.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JOURNAL = """
-- Samples that are stored and not yet in both roll-ups: written with them in one transaction, marked
-- in the one that adds them to the minutes, deleted in the one that adds them to the hours. So
-- roll-ups may lag, but never miss or repeat a sample.
CREATE TABLE rollup_journal (
    journal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    written timestamptz NOT NULL DEFAULT clock_timestamp(),
    stream text NOT NULL,
    samples integer NOT NULL,
    in_minutes boolean NOT NULL DEFAULT false,
    rows bytea NOT NULL);                -- .npy: ingest/journal.py
ALTER TABLE rollup_journal ALTER COLUMN rows SET STORAGE EXTERNAL;   -- it lives for seconds

-- A row of a roll-up is updated many times: with room on its page that touches no index.
ALTER TABLE coverage_minute SET (fillfactor = 60);
ALTER TABLE coverage_hour SET (fillfactor = 60);
"""

QUARANTINE = """
ALTER TABLE quarantine ADD COLUMN content_type text NOT NULL DEFAULT '';   -- replay decodes by it
CREATE INDEX quarantine_reason ON quarantine (reason, carrier_id);
"""


def upgrade() -> None:
    for part in (JOURNAL, QUARANTINE):
        op.execute(part)
