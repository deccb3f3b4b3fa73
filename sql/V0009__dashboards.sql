-- The dashboards that Lens knows of. Grafana has what is on them; this says what they are about.

CREATE TABLE dashboards (
    uid         text        NOT NULL,
    title       text        NOT NULL,
    folder      text        NOT NULL,
    about       text        NOT NULL,
    tags        text[]      NOT NULL DEFAULT '{}',
    created_by  bigint,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT dashboards_pkey PRIMARY KEY (uid),
    CONSTRAINT dashboards_created_by_fkey FOREIGN KEY (created_by)
        REFERENCES users (id) ON DELETE SET NULL,
    -- What Grafana allows.
    CONSTRAINT dashboards_uid_check CHECK (uid ~ '^[-_a-zA-Z0-9]{1,40}$'),
    CONSTRAINT dashboards_folder_title_key UNIQUE (folder, title)
);

COMMENT ON TABLE dashboards IS 'A dashboard in Grafana.';
COMMENT ON COLUMN dashboards.uid IS 'Its uid in Grafana.';
COMMENT ON COLUMN dashboards.title IS 'Its title.';
COMMENT ON COLUMN dashboards.folder IS 'The uid of its folder in Grafana.';
COMMENT ON COLUMN dashboards.about IS 'The question that it answers.';
COMMENT ON COLUMN dashboards.tags IS 'Its tags.';
COMMENT ON COLUMN dashboards.created_by IS 'Who added it; null for the installation, or somebody who has left.';
COMMENT ON COLUMN dashboards.created_at IS 'When it was added.';
COMMENT ON COLUMN dashboards.updated_at IS 'When this row last changed.';

CREATE TRIGGER dashboards_set_updated_at
    BEFORE UPDATE ON dashboards
    FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION set_updated_at();

CREATE INDEX dashboards_created_by_idx ON dashboards (created_by);
CREATE INDEX dashboards_tags_idx ON dashboards USING gin (tags);

CREATE TABLE dashboard_metrics (
    dashboard_uid  text NOT NULL,
    metric         text NOT NULL,
    CONSTRAINT dashboard_metrics_pkey PRIMARY KEY (dashboard_uid, metric),
    CONSTRAINT dashboard_metrics_dashboard_uid_fkey FOREIGN KEY (dashboard_uid)
        REFERENCES dashboards (uid) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT dashboard_metrics_metric_fkey FOREIGN KEY (metric)
        REFERENCES metrics_metadata (name) ON UPDATE CASCADE ON DELETE CASCADE
);

COMMENT ON TABLE dashboard_metrics IS 'Which metrics a dashboard shows, so that one that has gone is missed.';
COMMENT ON COLUMN dashboard_metrics.dashboard_uid IS 'The dashboard.';
COMMENT ON COLUMN dashboard_metrics.metric IS 'A metric on it.';

CREATE INDEX dashboard_metrics_metric_idx ON dashboard_metrics (metric);

CREATE TABLE dashboard_bookmarks (
    user_id        bigint      NOT NULL,
    dashboard_uid  text        NOT NULL,
    position       integer     NOT NULL DEFAULT 0,
    variables      jsonb       NOT NULL DEFAULT '{}',
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT dashboard_bookmarks_pkey PRIMARY KEY (user_id, dashboard_uid),
    CONSTRAINT dashboard_bookmarks_user_id_fkey FOREIGN KEY (user_id)
        REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT dashboard_bookmarks_dashboard_uid_fkey FOREIGN KEY (dashboard_uid)
        REFERENCES dashboards (uid) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT dashboard_bookmarks_variables_check CHECK (jsonb_typeof(variables) = 'object')
);

COMMENT ON TABLE dashboard_bookmarks IS 'A dashboard that a user keeps at hand.';
COMMENT ON COLUMN dashboard_bookmarks.user_id IS 'The user.';
COMMENT ON COLUMN dashboard_bookmarks.dashboard_uid IS 'The dashboard.';
COMMENT ON COLUMN dashboard_bookmarks.position IS 'Its place in the list of the user, the smallest first.';
COMMENT ON COLUMN dashboard_bookmarks.variables IS 'The values of its variables when it was kept.';
COMMENT ON COLUMN dashboard_bookmarks.created_at IS 'When it was kept.';

CREATE INDEX dashboard_bookmarks_dashboard_uid_idx ON dashboard_bookmarks (dashboard_uid);

INSERT INTO dashboards (uid, title, folder, about, tags) VALUES
    ('fleet', 'Fleet', 'lens', 'What there is, what is in trouble and what runs on it.', '{lens}'),
    ('installation', 'Installations', 'lens', 'How the installation of Lens itself went.',
     '{lens,firstlight}');

INSERT INTO dashboard_metrics (dashboard_uid, metric) VALUES
    ('fleet', 'up'),
    ('fleet', 'gpu_utilization'),
    ('fleet', 'gpu_memory_used_bytes'),
    ('installation', 'firstlight_step_duration_seconds');
