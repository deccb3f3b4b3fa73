-- The machines of a cluster, as Kubernetes last described them.

CREATE TABLE nodes (
    id               bigint      GENERATED ALWAYS AS IDENTITY,
    cluster_id       bigint      NOT NULL,
    uid              uuid        NOT NULL,
    name             text        NOT NULL,
    status           text        NOT NULL DEFAULT 'unknown',
    unschedulable    boolean     NOT NULL DEFAULT false,
    internal_ip      inet,
    kubelet_version  text,
    kernel_version   text,
    cpu_millis       bigint      NOT NULL DEFAULT 0,
    memory_bytes     bigint      NOT NULL DEFAULT 0,
    gpu_count        integer     NOT NULL DEFAULT 0,
    labels           jsonb       NOT NULL DEFAULT '{}',
    taints           jsonb       NOT NULL DEFAULT '[]',
    first_seen_at    timestamptz NOT NULL DEFAULT now(),
    last_seen_at     timestamptz NOT NULL DEFAULT now(),
    deleted_at       timestamptz,
    CONSTRAINT nodes_pkey PRIMARY KEY (id),
    CONSTRAINT nodes_cluster_id_fkey FOREIGN KEY (cluster_id)
        REFERENCES clusters (id) ON DELETE CASCADE,
    -- A machine that is reinstalled keeps its name and gets a new uid: both stay apart.
    CONSTRAINT nodes_cluster_id_uid_key UNIQUE (cluster_id, uid),
    CONSTRAINT nodes_status_check CHECK (status IN ('ready', 'not-ready', 'unknown')),
    CONSTRAINT nodes_capacity_check
        CHECK (cpu_millis >= 0 AND memory_bytes >= 0 AND gpu_count >= 0),
    CONSTRAINT nodes_seen_check CHECK (last_seen_at >= first_seen_at),
    CONSTRAINT nodes_labels_check CHECK (jsonb_typeof(labels) = 'object'),
    CONSTRAINT nodes_taints_check CHECK (jsonb_typeof(taints) = 'array')
);

COMMENT ON TABLE nodes IS 'A machine of a cluster; kept when it has left, for what ran on it.';
COMMENT ON COLUMN nodes.cluster_id IS 'The cluster that it belongs to.';
COMMENT ON COLUMN nodes.uid IS 'metadata.uid of the Node.';
COMMENT ON COLUMN nodes.name IS 'metadata.name of the Node.';
COMMENT ON COLUMN nodes.status IS 'Its condition Ready: ready, not-ready or unknown.';
COMMENT ON COLUMN nodes.unschedulable IS 'Whether it is cordoned: nothing new is put on it.';
COMMENT ON COLUMN nodes.internal_ip IS 'Its address inside the cluster.';
COMMENT ON COLUMN nodes.kubelet_version IS 'The version of its kubelet: v1.31.2.';
COMMENT ON COLUMN nodes.kernel_version IS 'The version of its kernel.';
COMMENT ON COLUMN nodes.cpu_millis IS 'Capacity in thousandths of a processor.';
COMMENT ON COLUMN nodes.memory_bytes IS 'Capacity in bytes.';
COMMENT ON COLUMN nodes.gpu_count IS 'How many accelerators Kubernetes may give away on it.';
COMMENT ON COLUMN nodes.labels IS 'metadata.labels of the Node.';
COMMENT ON COLUMN nodes.taints IS 'spec.taints of the Node.';
COMMENT ON COLUMN nodes.first_seen_at IS 'When it was first reported.';
COMMENT ON COLUMN nodes.last_seen_at IS 'When it was last reported.';
COMMENT ON COLUMN nodes.deleted_at IS 'When the Node was gone from the cluster; null while it is there.';

-- Of the nodes that are there, a name is unique; also the way a node is found by its name.
CREATE UNIQUE INDEX nodes_cluster_id_name_key ON nodes (cluster_id, name) WHERE deleted_at IS NULL;
-- Those in trouble, for the overview: few among many.
CREATE INDEX nodes_not_ready_idx ON nodes (cluster_id, last_seen_at)
    WHERE status <> 'ready' AND deleted_at IS NULL;
CREATE INDEX nodes_labels_idx ON nodes USING gin (labels jsonb_path_ops);

CREATE TABLE node_conditions (
    node_id     bigint      NOT NULL,
    type        text        NOT NULL,
    status      text        NOT NULL,
    reason      text        NOT NULL DEFAULT '',
    message     text        NOT NULL DEFAULT '',
    changed_at  timestamptz NOT NULL,
    CONSTRAINT node_conditions_pkey PRIMARY KEY (node_id, type),
    CONSTRAINT node_conditions_node_id_fkey FOREIGN KEY (node_id)
        REFERENCES nodes (id) ON DELETE CASCADE,
    CONSTRAINT node_conditions_status_check CHECK (status IN ('true', 'false', 'unknown'))
);

COMMENT ON TABLE node_conditions IS 'Why a node is as it is: one row for each of its conditions.';
COMMENT ON COLUMN node_conditions.node_id IS 'The node.';
COMMENT ON COLUMN node_conditions.type IS 'Ready, MemoryPressure, DiskPressure, or one of another reporter.';
COMMENT ON COLUMN node_conditions.status IS 'Whether it holds: true, false or unknown.';
COMMENT ON COLUMN node_conditions.reason IS 'The reason in one word, as it was reported.';
COMMENT ON COLUMN node_conditions.message IS 'The reason for people, as it was reported.';
COMMENT ON COLUMN node_conditions.changed_at IS 'Since when the status is this one.';
