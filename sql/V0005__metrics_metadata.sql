-- What the metrics mean. The samples are in the metrics store; this says what it cannot.

CREATE TABLE metrics_metadata (
    name         text        NOT NULL,
    kind         text        NOT NULL,
    unit         text        NOT NULL DEFAULT '',
    description  text        NOT NULL,
    source       text        NOT NULL,
    labels       text[]      NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT metrics_metadata_pkey PRIMARY KEY (name),
    CONSTRAINT metrics_metadata_name_check CHECK (name ~ '^[a-zA-Z_:][a-zA-Z0-9_:]*$'),
    CONSTRAINT metrics_metadata_kind_check
        CHECK (kind IN ('counter', 'gauge', 'histogram', 'summary', 'recorded')),
    CONSTRAINT metrics_metadata_description_check CHECK (description <> '')
);

COMMENT ON TABLE metrics_metadata IS 'What a metric means, for people and for dashboards.';
COMMENT ON COLUMN metrics_metadata.name IS 'The name in the metrics store.';
COMMENT ON COLUMN metrics_metadata.kind IS 'Its type there; recorded for the result of a recording rule.';
COMMENT ON COLUMN metrics_metadata.unit IS 'Unit as in UCUM: By, s, %, W; empty for a mere number.';
COMMENT ON COLUMN metrics_metadata.description IS 'What it counts or measures, in one sentence.';
COMMENT ON COLUMN metrics_metadata.source IS 'Which exporter it comes from.';
COMMENT ON COLUMN metrics_metadata.labels IS 'The labels that tell its series apart.';
COMMENT ON COLUMN metrics_metadata.created_at IS 'When it was described first.';
COMMENT ON COLUMN metrics_metadata.updated_at IS 'When this row last changed.';

CREATE TRIGGER metrics_metadata_set_updated_at
    BEFORE UPDATE ON metrics_metadata
    FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION set_updated_at();

CREATE INDEX metrics_metadata_source_idx ON metrics_metadata (source);
CREATE INDEX metrics_metadata_labels_idx ON metrics_metadata USING gin (labels);

INSERT INTO metrics_metadata (name, kind, unit, source, labels, description) VALUES
    ('node_cpu_seconds_total', 'counter', 's', 'node-exporter', '{instance,cpu,mode}',
     'Time that a processor has spent in each mode.'),
    ('node_memory_MemAvailable_bytes', 'gauge', 'By', 'node-exporter', '{instance}',
     'Memory that a new program could use without swapping.'),
    ('node_filesystem_avail_bytes', 'gauge', 'By', 'node-exporter', '{instance,device,mountpoint}',
     'Space that a user who is not root can still fill.'),
    ('node_infiniband_port_data_received_bytes_total', 'counter', 'By', 'node-exporter',
     '{instance,device,port}', 'Data received by a port of the RDMA network.'),
    ('node_infiniband_port_data_transmitted_bytes_total', 'counter', 'By', 'node-exporter',
     '{instance,device,port}', 'Data sent by a port of the RDMA network.'),
    ('gpu_utilization', 'gauge', '%', 'gpu-resource-exporter', '{instance,gpu_id}',
     'Share of the last interval in which the accelerator was at work.'),
    ('gpu_memory_used_bytes', 'gauge', 'By', 'gpu-resource-exporter', '{instance,gpu_id}',
     'Memory of the accelerator in use.'),
    ('gpu_power_usage', 'gauge', 'W', 'gpu-resource-exporter', '{instance,gpu_id}',
     'Power that the accelerator draws.'),
    ('kube_pod_status_phase', 'gauge', '', 'kube-state-metrics', '{namespace,pod,phase}',
     'One for the phase that a pod is in, else zero.'),
    ('up', 'gauge', '', 'prometheus', '{job,instance}',
     'One for a target that was scraped, zero for one that was not.'),
    ('firstlight_step_duration_seconds', 'histogram', 's', 'firstlight', '{step,outcome}',
     'How long a step of the installation took.');
