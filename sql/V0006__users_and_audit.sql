-- Who uses Lens, what they have put together, and who did what.

CREATE TABLE users (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject       text        NOT NULL,
    email         text,
    display_name  text        NOT NULL,
    role          text        NOT NULL DEFAULT 'viewer',
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_seen_at  timestamptz,
    disabled_at   timestamptz,
    CONSTRAINT users_subject_key UNIQUE (subject),
    CONSTRAINT users_role_check CHECK (role IN ('viewer', 'editor', 'admin', 'system'))
);

COMMENT ON TABLE users IS 'Somebody who may use Lens. Passwords and tokens are kept elsewhere.';
COMMENT ON COLUMN users.subject IS 'The name that the identity provider vouches for.';
COMMENT ON COLUMN users.disabled_at IS 'Since when the user is locked out; null while allowed.';

-- However it is written, an address is one person's.
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

CREATE TABLE dashboard_bookmarks (
    user_id        bigint      NOT NULL,
    dashboard_uid  text        NOT NULL,
    position       integer     NOT NULL DEFAULT 0,
    variables      jsonb       NOT NULL DEFAULT '{}',
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT dashboard_bookmarks_pkey PRIMARY KEY (user_id, dashboard_uid),
    CONSTRAINT dashboard_bookmarks_user_id_fkey FOREIGN KEY (user_id)
        REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT dashboard_bookmarks_variables_check CHECK (jsonb_typeof(variables) = 'object')
);

COMMENT ON TABLE dashboard_bookmarks IS 'A dashboard of Grafana that a user keeps at hand.';
COMMENT ON COLUMN dashboard_bookmarks.dashboard_uid IS 'The uid in Grafana.';
COMMENT ON COLUMN dashboard_bookmarks.variables IS 'The values of its variables when it was kept.';

-- Written once and never changed, so there is no key to the cluster: the record outlives it.
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

COMMENT ON TABLE audit_log IS 'Who did what. Partitioned by time: old parts are dropped as a whole.';
COMMENT ON COLUMN audit_log.actor IS 'users.subject at that time, or the name of a service.';
COMMENT ON COLUMN audit_log.trace_id IS 'The trace of the request, 32 hexadecimal digits.';

-- Takes what no other part takes, so that writing never fails for want of a part.
CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT;

CREATE INDEX audit_log_actor_idx ON audit_log (actor, occurred_at DESC);
CREATE INDEX audit_log_target_idx ON audit_log (target, occurred_at DESC);
CREATE INDEX audit_log_occurred_at_idx ON audit_log USING brin (occurred_at);

CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END;
$$;

COMMENT ON FUNCTION refuse_change() IS 'Trigger: the table only grows.';

CREATE TRIGGER audit_log_append_only
    BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW
EXECUTE FUNCTION refuse_change();

INSERT INTO users (subject, display_name, role) VALUES ('firstlight', 'Firstlight', 'system');
INSERT INTO audit_log (actor, action, cluster, target)
VALUES ('firstlight', 'create', 'local', 'schema');
