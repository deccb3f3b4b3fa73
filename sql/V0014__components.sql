-- What Lens itself is made of, and which version of it runs where: "deployed" is not taken on trust.

CREATE TABLE components (
    name            text NOT NULL,
    kind            text NOT NULL,
    pinned_version  text,
    description     text NOT NULL,
    CONSTRAINT components_pkey PRIMARY KEY (name),
    CONSTRAINT components_name_check CHECK (name ~ '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'),
    CONSTRAINT components_kind_check CHECK (kind IN ('operator', 'application'))
);

COMMENT ON TABLE components IS 'A part of Lens that is installed in clusters.';
COMMENT ON COLUMN components.name IS 'The name of its release or workload.';
COMMENT ON COLUMN components.kind IS 'operator for what others made, application for what is our own.';
COMMENT ON COLUMN components.pinned_version IS 'The version that this Lens asks for; null for its own.';
COMMENT ON COLUMN components.description IS 'What it is for.';

CREATE TABLE component_releases (
    id            bigint      GENERATED ALWAYS AS IDENTITY,
    cluster_id    bigint      NOT NULL,
    component     text        NOT NULL,
    version       text        NOT NULL,
    image         text        NOT NULL,
    digest        text,
    installed_at  timestamptz NOT NULL DEFAULT now(),
    replaced_at   timestamptz,
    seen_image    text,
    seen_at       timestamptz,
    trace_id      text,
    CONSTRAINT component_releases_pkey PRIMARY KEY (id),
    CONSTRAINT component_releases_cluster_id_fkey FOREIGN KEY (cluster_id)
        REFERENCES clusters (id) ON DELETE CASCADE,
    CONSTRAINT component_releases_component_fkey FOREIGN KEY (component)
        REFERENCES components (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT component_releases_digest_check CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
    CONSTRAINT component_releases_seen_check CHECK ((seen_image IS NULL) = (seen_at IS NULL)),
    CONSTRAINT component_releases_times_check CHECK (replaced_at >= installed_at),
    CONSTRAINT component_releases_trace_id_check CHECK (trace_id ~ '^[0-9a-f]{32}$')
);

COMMENT ON TABLE component_releases IS 'A version of a component in a cluster, from its installation to the next.';
COMMENT ON COLUMN component_releases.cluster_id IS 'Where.';
COMMENT ON COLUMN component_releases.component IS 'Of what.';
COMMENT ON COLUMN component_releases.version IS 'The version that was installed.';
COMMENT ON COLUMN component_releases.image IS 'The image that was installed, with its tag.';
COMMENT ON COLUMN component_releases.digest IS 'The digest of that image, where it is known.';
COMMENT ON COLUMN component_releases.installed_at IS 'When.';
COMMENT ON COLUMN component_releases.replaced_at IS 'When another took its place; null for the one that should run.';
COMMENT ON COLUMN component_releases.seen_image IS 'The image that its pods were last seen to run.';
COMMENT ON COLUMN component_releases.seen_at IS 'When they were looked at; null for never.';
COMMENT ON COLUMN component_releases.trace_id IS 'The trace of the installation, 32 hexadecimal digits.';

-- In one cluster one version should run; also the way it is found.
CREATE UNIQUE INDEX component_releases_current_key ON component_releases (cluster_id, component)
    WHERE replaced_at IS NULL;
CREATE INDEX component_releases_cluster_id_idx ON component_releases (cluster_id, installed_at DESC);
CREATE INDEX component_releases_component_idx ON component_releases (component);
-- Those that run something else than what was installed.
CREATE INDEX component_releases_strayed_idx ON component_releases (cluster_id)
    WHERE replaced_at IS NULL AND seen_image <> image;

INSERT INTO components (name, kind, pinned_version, description) VALUES
    ('victoria-metrics-operator', 'operator', '0.35.2', 'Runs the metrics store.'),
    ('fluent-operator', 'operator', '3.1.0', 'Runs the collection of logs.'),
    ('opensearch-operator', 'operator', '2.6.0', 'Runs the log store.'),
    ('pgo', 'operator', '5.7.0', 'Runs this database.'),
    ('grafana-operator', 'operator', '5.15.0', 'Runs Grafana.'),
    ('kube-state-metrics', 'operator', '5.27.0', 'Turns the state of a cluster into metrics.'),
    ('api', 'application', NULL, 'Answers the questions of people and programs.'),
    ('telemetry-collector', 'application', NULL, 'Takes in what the nodes report.'),
    ('jobs', 'application', NULL, 'Does what is written in jobs.'),
    ('node-exporter', 'application', NULL, 'Reports on a node.'),
    ('gpu-resource-exporter', 'application', NULL, 'Reports on the accelerators of a node.'),
    ('system-tuner', 'application', NULL, 'Sets what a node needs for fast networks.'),
    ('web', 'application', NULL, 'The pages that people see.');
