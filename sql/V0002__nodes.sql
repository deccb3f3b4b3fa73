-- The machines of a cluster, as Kubernetes last described them.

CREATE TABLE nodes (
    id               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
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
COMMENT ON COLUMN nodes.uid IS 'metadata.uid of the Node.';
COMMENT ON COLUMN nodes.cpu_millis IS 'Capacity in thousandths of a processor.';
COMMENT ON COLUMN nodes.memory_bytes IS 'Capacity in bytes.';
COMMENT ON COLUMN nodes.deleted_at IS 'When the Node was gone from the cluster; null while it is there.';

-- Of the nodes that are there, a name is unique; also the way a node is found by its name.
CREATE UNIQUE INDEX nodes_cluster_id_name_key ON nodes (cluster_id, name) WHERE deleted_at IS NULL;
-- Those in trouble, for the overview: few among many.
CREATE INDEX nodes_not_ready_idx ON nodes (cluster_id, last_seen_at)
    WHERE status <> 'ready' AND deleted_at IS NULL;
CREATE INDEX nodes_labels_idx ON nodes USING gin (labels jsonb_path_ops);
