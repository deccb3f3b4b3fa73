-- firstlight: transaction=none
--
-- Pods and workloads are written all the time, and where Lens has run for a year they are many.
-- These are built beside the writers instead of before them, which no transaction may be around.

-- What runs on a node now, for the pages of nodes.
CREATE INDEX CONCURRENTLY pods_running_idx ON pods (node_id) WHERE ended_at IS NULL;

-- What ended lately, for the report of failures.
CREATE INDEX CONCURRENTLY workloads_ended_at_idx ON workloads (cluster_id, ended_at DESC)
    WHERE ended_at IS NOT NULL;
