-- The work that Lens does by itself, and how it went.

CREATE TABLE jobs (
    name             text        NOT NULL,
    description      text        NOT NULL,
    schedule         text        NOT NULL,
    timeout_seconds  integer     NOT NULL DEFAULT 300,
    max_attempts     smallint    NOT NULL DEFAULT 3,
    enabled          boolean     NOT NULL DEFAULT true,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT jobs_pkey PRIMARY KEY (name),
    CONSTRAINT jobs_name_check CHECK (name ~ '^[a-z][-a-z0-9]{0,62}$'),
    -- Five fields: minute, hour, day of the month, month, day of the week.
    CONSTRAINT jobs_schedule_check CHECK (schedule ~ '^[-*/,0-9]+( [-*/,0-9]+){4}$'),
    CONSTRAINT jobs_limits_check CHECK (timeout_seconds > 0 AND max_attempts > 0)
);

COMMENT ON TABLE jobs IS 'Something that Lens does again and again.';
COMMENT ON COLUMN jobs.name IS 'What it is called.';
COMMENT ON COLUMN jobs.description IS 'What it does.';
COMMENT ON COLUMN jobs.schedule IS 'When, as cron writes it, in UTC.';
COMMENT ON COLUMN jobs.timeout_seconds IS 'After how many seconds a run has failed.';
COMMENT ON COLUMN jobs.max_attempts IS 'How often one run is tried.';
COMMENT ON COLUMN jobs.enabled IS 'Whether it runs by itself.';
COMMENT ON COLUMN jobs.created_at IS 'When it was added.';
COMMENT ON COLUMN jobs.updated_at IS 'When this row last changed.';

CREATE TRIGGER jobs_set_updated_at
    BEFORE UPDATE ON jobs
    FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION set_updated_at();

CREATE TABLE job_runs (
    id             bigint      GENERATED ALWAYS AS IDENTITY,
    job            text        NOT NULL,
    cluster_id     bigint,
    scheduled_for  timestamptz NOT NULL,
    state          text        NOT NULL DEFAULT 'queued',
    attempt        smallint    NOT NULL DEFAULT 0,
    requested_by   bigint,
    worker         text,
    started_at     timestamptz,
    heartbeat_at   timestamptz,
    ended_at       timestamptz,
    error          text,
    trace_id       text,
    CONSTRAINT job_runs_pkey PRIMARY KEY (id),
    CONSTRAINT job_runs_job_fkey FOREIGN KEY (job)
        REFERENCES jobs (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT job_runs_cluster_id_fkey FOREIGN KEY (cluster_id)
        REFERENCES clusters (id) ON DELETE CASCADE,
    CONSTRAINT job_runs_requested_by_fkey FOREIGN KEY (requested_by)
        REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT job_runs_state_check
        CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    CONSTRAINT job_runs_worker_check
        CHECK (state <> 'running' OR (worker IS NOT NULL AND started_at IS NOT NULL)),
    CONSTRAINT job_runs_ended_check
        CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (ended_at IS NOT NULL)),
    CONSTRAINT job_runs_error_check CHECK ((state = 'failed') = (error IS NOT NULL)),
    CONSTRAINT job_runs_times_check CHECK (ended_at >= started_at),
    CONSTRAINT job_runs_attempt_check CHECK (attempt >= 0),
    CONSTRAINT job_runs_trace_id_check CHECK (trace_id ~ '^[0-9a-f]{32}$')
);

COMMENT ON TABLE job_runs IS 'One run of a job: waiting, at work or over. Also the queue of the workers.';
COMMENT ON COLUMN job_runs.job IS 'The job.';
COMMENT ON COLUMN job_runs.cluster_id IS 'For which cluster; null for all of them.';
COMMENT ON COLUMN job_runs.scheduled_for IS 'When it was to begin.';
COMMENT ON COLUMN job_runs.state IS 'queued, running, succeeded, failed or cancelled.';
COMMENT ON COLUMN job_runs.attempt IS 'Which try it is, from 1; 0 while it waits for the first.';
COMMENT ON COLUMN job_runs.requested_by IS 'Who asked for it; null for the schedule, or somebody who has left.';
COMMENT ON COLUMN job_runs.worker IS 'The pod that has taken it.';
COMMENT ON COLUMN job_runs.started_at IS 'When the worker began.';
COMMENT ON COLUMN job_runs.heartbeat_at IS 'When the worker last said that it is at work.';
COMMENT ON COLUMN job_runs.ended_at IS 'When it was over; null before.';
COMMENT ON COLUMN job_runs.error IS 'Why it failed, in one sentence.';
COMMENT ON COLUMN job_runs.trace_id IS 'The trace of the run, 32 hexadecimal digits.';

-- Two schedulers at once queue a run once. A run that somebody asked for is none of theirs.
CREATE UNIQUE INDEX job_runs_once_key ON job_runs (job, scheduled_for, coalesce(cluster_id, 0))
    WHERE requested_by IS NULL;
-- What a worker takes next, with FOR UPDATE SKIP LOCKED.
CREATE INDEX job_runs_queue_idx ON job_runs (scheduled_for) WHERE state = 'queued';
-- Those whose worker may be gone.
CREATE INDEX job_runs_heartbeat_idx ON job_runs (heartbeat_at) WHERE state = 'running';
CREATE INDEX job_runs_job_idx ON job_runs (job, scheduled_for DESC);
CREATE INDEX job_runs_cluster_id_idx ON job_runs (cluster_id);
CREATE INDEX job_runs_requested_by_idx ON job_runs (requested_by);

INSERT INTO jobs (name, description, schedule) VALUES
    ('sync-nodes', 'Compares nodes and accelerators with what the clusters say.', '*/5 * * * *'),
    ('sync-workloads', 'Compares workloads and pods with what the clusters say.', '*/5 * * * *'),
    ('roll-up-usage', 'Sums up the samples of the last hour as gpu_usage_hours.', '7 * * * *'),
    ('check-components', 'Compares what runs with what was installed.', '*/15 * * * *'),
    ('maintain-partitions', 'Calls maintain_partitions().', '23 2 * * *');
