-- What runs on the nodes: workloads, their pods, and which pod had which accelerator.

CREATE TABLE workloads (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cluster_id   bigint      NOT NULL,
    uid          uuid        NOT NULL,
    namespace    text        NOT NULL,
    kind         text        NOT NULL,
    name         text        NOT NULL,
    owner        text,
    phase        text        NOT NULL DEFAULT 'pending',
    gpu_request  integer     NOT NULL DEFAULT 0,
    labels       jsonb       NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL,
    started_at   timestamptz,
    ended_at     timestamptz,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT workloads_cluster_id_fkey FOREIGN KEY (cluster_id)
        REFERENCES clusters (id) ON DELETE CASCADE,
    CONSTRAINT workloads_cluster_id_uid_key UNIQUE (cluster_id, uid),
    CONSTRAINT workloads_phase_check
        CHECK (phase IN ('pending', 'running', 'succeeded', 'failed', 'stopped')),
    CONSTRAINT workloads_gpu_request_check CHECK (gpu_request >= 0),
    CONSTRAINT workloads_times_check CHECK (ended_at >= started_at),
    CONSTRAINT workloads_ended_check
        CHECK ((phase IN ('succeeded', 'failed', 'stopped')) = (ended_at IS NOT NULL)),
    CONSTRAINT workloads_labels_check CHECK (jsonb_typeof(labels) = 'object')
);

COMMENT ON TABLE workloads IS 'A thing that people start: a Deployment, a Job, a training run.';
COMMENT ON COLUMN workloads.kind IS 'Kind of the object at the top: Deployment, Job, PyTorchJob.';
COMMENT ON COLUMN workloads.owner IS 'Who started it, where that is known.';
COMMENT ON COLUMN workloads.gpu_request IS 'Accelerators asked for, over all of its pods.';

CREATE TRIGGER workloads_set_updated_at
    BEFORE UPDATE ON workloads
    FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION set_updated_at();

CREATE INDEX workloads_cluster_id_created_at_idx ON workloads (cluster_id, created_at DESC);
CREATE INDEX workloads_namespace_name_idx ON workloads (cluster_id, namespace, name);
CREATE INDEX workloads_owner_idx ON workloads (owner, created_at DESC) WHERE owner IS NOT NULL;
-- What runs now: few rows, asked for all the time.
CREATE INDEX workloads_active_idx ON workloads (cluster_id, phase) WHERE ended_at IS NULL;
CREATE INDEX workloads_labels_idx ON workloads USING gin (labels jsonb_path_ops);

CREATE TABLE pods (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workload_id  bigint      NOT NULL,
    node_id      bigint,
    uid          uuid        NOT NULL,
    name         text        NOT NULL,
    phase        text        NOT NULL DEFAULT 'pending',
    ip           inet,
    restarts     integer     NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL,
    started_at   timestamptz,
    ended_at     timestamptz,
    CONSTRAINT pods_workload_id_fkey FOREIGN KEY (workload_id)
        REFERENCES workloads (id) ON DELETE CASCADE,
    -- A node may be forgotten, what ran on it is not.
    CONSTRAINT pods_node_id_fkey FOREIGN KEY (node_id)
        REFERENCES nodes (id) ON DELETE SET NULL,
    CONSTRAINT pods_workload_id_uid_key UNIQUE (workload_id, uid),
    CONSTRAINT pods_phase_check
        CHECK (phase IN ('pending', 'running', 'succeeded', 'failed', 'unknown')),
    CONSTRAINT pods_restarts_check CHECK (restarts >= 0),
    CONSTRAINT pods_times_check CHECK (ended_at >= started_at)
);

COMMENT ON TABLE pods IS 'A pod of a workload.';
COMMENT ON COLUMN pods.node_id IS 'Where it runs or ran; null until it is scheduled.';
COMMENT ON COLUMN pods.restarts IS 'Restarts of all its containers together.';

CREATE INDEX pods_node_id_idx ON pods (node_id, started_at DESC);
CREATE INDEX pods_uid_idx ON pods (uid);

CREATE TABLE gpu_allocations (
    pod_id        bigint      NOT NULL,
    device_id     bigint      NOT NULL,
    container     text        NOT NULL,
    allocated_at  timestamptz NOT NULL,
    released_at   timestamptz,
    CONSTRAINT gpu_allocations_pkey PRIMARY KEY (pod_id, device_id, container),
    CONSTRAINT gpu_allocations_pod_id_fkey FOREIGN KEY (pod_id)
        REFERENCES pods (id) ON DELETE CASCADE,
    CONSTRAINT gpu_allocations_device_id_fkey FOREIGN KEY (device_id)
        REFERENCES gpu_devices (id) ON DELETE CASCADE,
    CONSTRAINT gpu_allocations_times_check CHECK (released_at >= allocated_at)
);

COMMENT ON TABLE gpu_allocations IS 'Which container had which accelerator, and how long.';

CREATE INDEX gpu_allocations_device_id_idx ON gpu_allocations (device_id, allocated_at DESC);
