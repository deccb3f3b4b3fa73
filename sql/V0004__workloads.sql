-- What runs on the nodes: workloads, their pods, and which pod had which accelerator.

CREATE TABLE workloads (
    id           bigint      GENERATED ALWAYS AS IDENTITY,
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
    CONSTRAINT workloads_pkey PRIMARY KEY (id),
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
COMMENT ON COLUMN workloads.cluster_id IS 'The cluster that it runs in.';
COMMENT ON COLUMN workloads.uid IS 'metadata.uid of the object at the top.';
COMMENT ON COLUMN workloads.namespace IS 'Its namespace.';
COMMENT ON COLUMN workloads.kind IS 'Kind of the object at the top: Deployment, Job, PyTorchJob.';
COMMENT ON COLUMN workloads.name IS 'metadata.name of the object at the top.';
COMMENT ON COLUMN workloads.owner IS 'Who started it, where that is known.';
COMMENT ON COLUMN workloads.phase IS 'pending, running, succeeded, failed or stopped.';
COMMENT ON COLUMN workloads.gpu_request IS 'Accelerators asked for, over all of its pods.';
COMMENT ON COLUMN workloads.labels IS 'metadata.labels of the object at the top.';
COMMENT ON COLUMN workloads.created_at IS 'When it was made in its cluster.';
COMMENT ON COLUMN workloads.started_at IS 'When its first pod started.';
COMMENT ON COLUMN workloads.ended_at IS 'When it was over; null while it may still run.';
COMMENT ON COLUMN workloads.updated_at IS 'When this row last changed.';

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
    id           bigint      GENERATED ALWAYS AS IDENTITY,
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
    CONSTRAINT pods_pkey PRIMARY KEY (id),
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
COMMENT ON COLUMN pods.workload_id IS 'The workload that it belongs to.';
COMMENT ON COLUMN pods.node_id IS 'Where it runs or ran; null until it is scheduled.';
COMMENT ON COLUMN pods.uid IS 'metadata.uid of the Pod.';
COMMENT ON COLUMN pods.name IS 'metadata.name of the Pod.';
COMMENT ON COLUMN pods.phase IS 'pending, running, succeeded, failed or unknown.';
COMMENT ON COLUMN pods.ip IS 'Its address, once it has one.';
COMMENT ON COLUMN pods.restarts IS 'Restarts of all its containers together.';
COMMENT ON COLUMN pods.created_at IS 'When it was made in its cluster.';
COMMENT ON COLUMN pods.started_at IS 'When its kubelet took it on.';
COMMENT ON COLUMN pods.ended_at IS 'When it was over; null while it may still run.';

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
COMMENT ON COLUMN gpu_allocations.pod_id IS 'The pod.';
COMMENT ON COLUMN gpu_allocations.device_id IS 'The accelerator that it was given.';
COMMENT ON COLUMN gpu_allocations.container IS 'The container of the pod that uses it.';
COMMENT ON COLUMN gpu_allocations.allocated_at IS 'Since when.';
COMMENT ON COLUMN gpu_allocations.released_at IS 'Until when; null while it is in use.';

CREATE INDEX gpu_allocations_device_id_idx ON gpu_allocations (device_id, allocated_at DESC);
-- What is in use now, for the overviews.
CREATE INDEX gpu_allocations_held_idx ON gpu_allocations (device_id) WHERE released_at IS NULL;
