-- What the accelerators did, hour by hour. The samples themselves are in the metrics store, which
-- forgets them after weeks; reports ask about years.

CREATE TABLE gpu_usage_hours (
    device_id            bigint      NOT NULL,
    hour                 timestamptz NOT NULL,
    workload_id          bigint,
    samples              integer     NOT NULL,
    utilization_percent  real        NOT NULL,
    utilization_max      real        NOT NULL,
    memory_used_bytes    bigint      NOT NULL,
    energy_joules        bigint      NOT NULL DEFAULT 0,
    CONSTRAINT gpu_usage_hours_pkey PRIMARY KEY (device_id, hour),
    CONSTRAINT gpu_usage_hours_device_id_fkey FOREIGN KEY (device_id)
        REFERENCES gpu_devices (id) ON DELETE CASCADE,
    CONSTRAINT gpu_usage_hours_workload_id_fkey FOREIGN KEY (workload_id)
        REFERENCES workloads (id) ON DELETE SET NULL,
    CONSTRAINT gpu_usage_hours_hour_check CHECK (hour = date_trunc('hour', hour, 'UTC')),
    CONSTRAINT gpu_usage_hours_samples_check CHECK (samples > 0),
    CONSTRAINT gpu_usage_hours_utilization_check
        CHECK (utilization_percent BETWEEN 0 AND utilization_max AND utilization_max <= 100),
    CONSTRAINT gpu_usage_hours_used_check CHECK (memory_used_bytes >= 0 AND energy_joules >= 0)
) PARTITION BY RANGE (hour);

COMMENT ON TABLE gpu_usage_hours IS 'What an accelerator did in an hour. One part a month.';
COMMENT ON COLUMN gpu_usage_hours.device_id IS 'The accelerator.';
COMMENT ON COLUMN gpu_usage_hours.hour IS 'The start of the hour.';
COMMENT ON COLUMN gpu_usage_hours.workload_id IS 'Who had it for most of the hour; null for nobody, or one that is forgotten.';
COMMENT ON COLUMN gpu_usage_hours.samples IS 'How many samples are summed up here.';
COMMENT ON COLUMN gpu_usage_hours.utilization_percent IS 'Mean share of the time in which it was at work.';
COMMENT ON COLUMN gpu_usage_hours.utilization_max IS 'The greatest of the samples, in percent.';
COMMENT ON COLUMN gpu_usage_hours.memory_used_bytes IS 'The greatest use of its memory.';
COMMENT ON COLUMN gpu_usage_hours.energy_joules IS 'What it drew in all.';

CREATE TABLE gpu_usage_hours_default PARTITION OF gpu_usage_hours DEFAULT;
COMMENT ON TABLE gpu_usage_hours_default IS 'What is of a month that has no part.';

CREATE INDEX gpu_usage_hours_workload_id_idx ON gpu_usage_hours (workload_id, hour);
CREATE INDEX gpu_usage_hours_hour_idx ON gpu_usage_hours USING brin (hour);

INSERT INTO partition_policies (table_name, months_ahead, months_kept)
VALUES ('gpu_usage_hours', 3, NULL);

SELECT make_partition('gpu_usage_hours', now() + make_interval(months => ahead))
FROM generate_series(0, 3) AS ahead;
