"""What dashboards read: titles of goals, and a schema of views that is all a reader sees.

Revision ID: 0002
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

GOAL = """
-- The goals as the last evaluation knew them: its goals file is the source.
CREATE TABLE goal (
    goal text PRIMARY KEY, clause text NOT NULL, title_zh text NOT NULL, title_en text NOT NULL,
    target double precision CHECK (target > 0 AND target <= 1),      -- share of places; NULL: the plan names none
    deadline date,
    criteria text NOT NULL);                                         -- version

CREATE INDEX division_upper ON division (vintage, level, parent) WHERE level IN ('province', 'prefecture', 'county');
"""

# A role belongs to the cluster: several databases may come here at once. The second waits for the
# first on pg_authid's unique key, then finds the role made. Who may not create roles goes on
# without: `shudao dashboards push` says so.
ROLE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shudao_grafana') THEN
        CREATE ROLE shudao_grafana NOLOGIN;
        ALTER ROLE shudao_grafana SET statement_timeout = '10s';
        ALTER ROLE shudao_grafana SET default_transaction_read_only = on;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN RAISE NOTICE 'role shudao_grafana was not created: not permitted';
END $$;
"""

VOCABULARY = """
CREATE SCHEMA grafana;

CREATE VIEW grafana.carrier AS
    SELECT 0::smallint AS carrier_id, '任一运营商 · any carrier' AS label
    UNION ALL SELECT carrier_id, name_zh || ' · ' || name_en FROM public.carrier
    UNION ALL SELECT 255, '其他网络 · other network';

CREATE VIEW grafana.goal AS             -- in the order of display: those with a target first
    SELECT row_number() OVER (ORDER BY target IS NULL, substring(clause FROM 2)::integer, goal) AS position,
           goal, clause || ' ' || title_zh || ' · ' || title_en AS label, clause || ' ' || title_zh AS label_zh,
           target, deadline, criteria
      FROM public.goal;
"""

# A share is of all places of the goal (covered + uncovered + unknown = 1).
# status: reached · open (unknown places decide) · missed (short even if all unknown were covered)
# · no target · no data (never evaluated, or nothing of its kind is registered).
PROGRESS = """
CREATE VIEW grafana.goal_now AS
    SELECT g.*, d.vintage::text AS vintage, d.code AS division, c.carrier_id,
           p.day, p.evaluated_at, p.covered, p.uncovered, p.unknown, p.denominator,
           p.covered_share, p.uncovered_share, p.unknown_share, p.covered_share - g.target AS gap, s.status
      FROM grafana.goal AS g
     CROSS JOIN (SELECT * FROM public.division WHERE level = 'province') AS d
     CROSS JOIN (SELECT carrier_id FROM grafana.carrier WHERE carrier_id < 255) AS c
      LEFT JOIN LATERAL (
        SELECT day, evaluated_at, covered, uncovered, unknown, denominator,
               covered::float8 / denominator AS covered_share, uncovered::float8 / denominator AS uncovered_share,
               unknown::float8 / denominator AS unknown_share
          FROM public.goal_progress
         WHERE goal = g.goal AND vintage = d.vintage AND division = d.code AND carrier_id = c.carrier_id AND denominator > 0
         ORDER BY day DESC LIMIT 1) AS p ON true
     CROSS JOIN LATERAL (
        SELECT CASE WHEN p.day IS NULL THEN 'no data'
                    WHEN g.target IS NULL THEN 'no target'
                    WHEN p.covered_share >= g.target THEN 'reached'
                    WHEN p.covered_share + p.unknown_share >= g.target THEN 'open'
                    ELSE 'missed' END AS status) AS s;

-- For gauges whose thresholds come from their row: one of the floors is 0, it colours the part below the target.
CREATE VIEW grafana.goal_gauge AS
    SELECT position, goal, vintage, carrier_id, label_zh AS label, covered_share,
           CASE WHEN status = 'missed' THEN 0 END AS missed_floor, CASE WHEN status IN ('open', 'reached') THEN 0 END AS open_floor,
           CASE WHEN status IN ('no target', 'no data') THEN 0 END AS other_floor, target
      FROM grafana.goal_now;

CREATE VIEW grafana.vintage AS          -- choose the newest evaluated_at
    SELECT v.vintage::text AS vintage, max(n.evaluated_at) AS evaluated_at
      FROM public.vintage AS v LEFT JOIN grafana.goal_now AS n ON n.vintage = v.vintage::text AND n.carrier_id = 0
     GROUP BY v.vintage;

-- The prefectures on the day of the province's newest progress; rank 1 has the most covered.
CREATE VIEW grafana.prefecture_now AS
    SELECT n.goal, n.vintage, n.carrier_id, n.day, d.code AS division, d.name AS prefecture,
           p.covered, p.uncovered, p.unknown, p.denominator,
           p.covered::float8 / p.denominator AS covered_share, p.uncovered::float8 / p.denominator AS uncovered_share,
           p.unknown::float8 / p.denominator AS unknown_share,
           rank() OVER (PARTITION BY n.goal, n.vintage, n.carrier_id
                        ORDER BY p.covered::float8 / p.denominator DESC, p.unknown::float8 / p.denominator) AS rank
      FROM grafana.goal_now AS n
      JOIN public.division AS d ON d.vintage = n.vintage::date AND d.level = 'prefecture' AND d.parent = n.division
      JOIN public.goal_progress AS p ON p.goal = n.goal AND p.vintage = d.vintage AND p.division = d.code
                                    AND p.carrier_id = n.carrier_id AND p.day = n.day AND p.denominator > 0;
"""

INGEST = """
CREATE VIEW grafana.ingest_minute AS    -- carrier 0: refused, from a topic that names none of the four
    SELECT minute, carrier_id, CASE carrier_id WHEN 0 THEN '发送者不明 · unknown sender' ELSE label END AS carrier, stream, origin,
           received, stored, duplicates, quarantined, lag_sum_ms, lag_max_ms
      FROM public.ingest_minute JOIN grafana.carrier USING (carrier_id);

CREATE VIEW grafana.quarantine AS       -- without the payload
    SELECT received, origin, topic, carrier_id, stream, device, reason, detail FROM public.quarantine;

-- Minutes of arrival in buckets of a step, empty ones too. The rates are a second's; of the bucket
-- that still fills, over the part that is past, and none in its first ten seconds.
CREATE FUNCTION grafana.ingest_series(since timestamptz, until timestamptz, step interval)
RETURNS TABLE ("time" timestamptz, stored_rate float8, duplicate_rate float8, quarantined_rate float8,
               lag_mean_ms float8, lag_max_ms bigint)
LANGUAGE sql STABLE AS $$
    WITH buckets AS (
        SELECT bucket, extract(epoch FROM least(bucket + step, now()) - bucket)::float8 AS seconds
          FROM generate_series(public.time_bucket(step, since), least(until, now()), step) AS bucket
    ), sums AS (
        SELECT public.time_bucket(step, minute) AS bucket, sum(stored) AS stored, sum(duplicates) AS duplicates,
               sum(quarantined) AS quarantined, sum(lag_sum_ms) AS lag_sum_ms, max(lag_max_ms) AS lag_max_ms
          FROM grafana.ingest_minute
         WHERE minute >= public.time_bucket(step, since) AND minute <= until
         GROUP BY 1
    )
    SELECT bucket, coalesce(stored, 0)::float8 / seconds, coalesce(duplicates, 0)::float8 / seconds,
           coalesce(quarantined, 0)::float8 / seconds, lag_sum_ms::float8 / nullif(stored, 0), lag_max_ms
      FROM buckets LEFT JOIN sums USING (bucket)
     WHERE seconds >= 10 ORDER BY bucket
$$;

CREATE FUNCTION grafana.carrier_samples(since timestamptz, until timestamptz)
RETURNS TABLE (carrier_id smallint, carrier text, radio bigint, broadband bigint, reading bigint,
               duplicates bigint, quarantined bigint)
LANGUAGE sql STABLE AS $$
    SELECT carrier_id, carrier, coalesce(sum(stored) FILTER (WHERE stream = 'radio'), 0)::bigint,
           coalesce(sum(stored) FILTER (WHERE stream = 'broadband'), 0)::bigint,
           coalesce(sum(stored) FILTER (WHERE stream = 'reading'), 0)::bigint,
           sum(duplicates)::bigint, sum(quarantined)::bigint
      FROM grafana.ingest_minute
     WHERE minute >= date_trunc('minute', since) AND minute <= until
     GROUP BY 1, 2 ORDER BY 1
$$;

CREATE FUNCTION grafana.quarantine_reasons(since timestamptz, until timestamptz)
RETURNS TABLE (reason text, payloads bigint, newest timestamptz, topic text, detail text)
LANGUAGE sql STABLE AS $$
    SELECT reason, count(*), max(received), (array_agg(topic ORDER BY received DESC))[1],
           (array_agg(detail ORDER BY received DESC))[1]
      FROM grafana.quarantine
     WHERE received >= since AND received <= until
     GROUP BY reason ORDER BY max(received) DESC
$$;
"""

GRANTS = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'shudao_grafana') THEN
        GRANT USAGE ON SCHEMA grafana TO shudao_grafana;
        GRANT SELECT ON ALL TABLES IN SCHEMA grafana TO shudao_grafana;
        ALTER DEFAULT PRIVILEGES IN SCHEMA grafana GRANT SELECT ON TABLES TO shudao_grafana;
    END IF;
END $$;
"""


def upgrade() -> None:
    for part in (GOAL, ROLE, VOCABULARY, PROGRESS, INGEST, GRANTS):
        op.execute(part)
