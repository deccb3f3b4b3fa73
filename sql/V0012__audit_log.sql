-- Who did what. Written once and never changed, so there is no key to the cluster or the user: the
-- record outlives both.

CREATE TABLE audit_log (
    id           bigint      GENERATED ALWAYS AS IDENTITY,
    occurred_at  timestamptz NOT NULL DEFAULT now(),
    actor        text        NOT NULL,
    action       text        NOT NULL,
    cluster      text,
    target       text        NOT NULL,
    detail       jsonb       NOT NULL DEFAULT '{}',
    trace_id     text,
    CONSTRAINT audit_log_pkey PRIMARY KEY (id, occurred_at),
    CONSTRAINT audit_log_trace_id_check CHECK (trace_id ~ '^[0-9a-f]{32}$'),
    CONSTRAINT audit_log_detail_check CHECK (jsonb_typeof(detail) = 'object')
) PARTITION BY RANGE (occurred_at);

COMMENT ON TABLE audit_log IS 'Who did what. One part a month: old parts are dropped as a whole.';
COMMENT ON COLUMN audit_log.occurred_at IS 'When.';
COMMENT ON COLUMN audit_log.actor IS 'users.subject at that time, or the name of a service.';
COMMENT ON COLUMN audit_log.action IS 'What was done, in one word: create, stop, grant.';
COMMENT ON COLUMN audit_log.cluster IS 'clusters.name at that time; null for all of Lens.';
COMMENT ON COLUMN audit_log.target IS 'To what.';
COMMENT ON COLUMN audit_log.detail IS 'What else is worth knowing; never a secret.';
COMMENT ON COLUMN audit_log.trace_id IS 'The trace of the request, 32 hexadecimal digits.';

-- Takes what no other part takes, so that writing never fails for want of a part.
CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT;
COMMENT ON TABLE audit_log_default IS 'What is of a month that has no part.';

CREATE INDEX audit_log_actor_idx ON audit_log (actor, occurred_at DESC);
CREATE INDEX audit_log_target_idx ON audit_log (target, occurred_at DESC);
CREATE INDEX audit_log_occurred_at_idx ON audit_log USING brin (occurred_at);

CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              HINT = 'Write another row that says what is true now.';
END;
$$;

COMMENT ON FUNCTION refuse_change() IS 'Trigger: the table only grows.';

CREATE TRIGGER audit_log_append_only
    BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW
EXECUTE FUNCTION refuse_change();

INSERT INTO partition_policies (table_name, months_ahead, months_kept) VALUES ('audit_log', 3, 24);

SELECT make_partition('audit_log', now() + make_interval(months => ahead))
FROM generate_series(0, 3) AS ahead;

INSERT INTO audit_log (actor, action, cluster, target)
VALUES ('firstlight', 'create', 'local', 'schema');
