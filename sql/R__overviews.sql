-- What people ask most, as views: the API and Grafana read these and need not know how to join.

CREATE OR REPLACE VIEW device_overview AS
SELECT devices.id AS device_id,
       clusters.id AS cluster_id,
       clusters.name AS cluster,
       nodes.id AS node_id,
       nodes.name AS node,
       devices.device_index,
       devices.uuid,
       devices.vendor,
       devices.model,
       devices.memory_bytes,
       devices.health,
       devices.last_seen_at,
       held.namespace,
       held.workload,
       held.pod,
       held.allocated_at
FROM gpu_devices AS devices
JOIN nodes ON nodes.id = devices.node_id
JOIN clusters ON clusters.id = nodes.cluster_id
LEFT JOIN LATERAL (
    SELECT workloads.namespace, workloads.name AS workload, pods.name AS pod, allocations.allocated_at
    FROM gpu_allocations AS allocations
    JOIN pods ON pods.id = allocations.pod_id
    JOIN workloads ON workloads.id = pods.workload_id
    WHERE allocations.device_id = devices.id AND allocations.released_at IS NULL
    ORDER BY allocations.allocated_at DESC
    LIMIT 1
) AS held ON true
WHERE devices.removed_at IS NULL;

COMMENT ON VIEW device_overview IS 'The accelerators that are there, and who has them now.';

CREATE OR REPLACE VIEW node_overview AS
SELECT nodes.id AS node_id,
       clusters.id AS cluster_id,
       clusters.name AS cluster,
       nodes.name AS node,
       nodes.status,
       nodes.unschedulable,
       nodes.cpu_millis,
       nodes.memory_bytes,
       nodes.gpu_count,
       devices.present AS gpus_present,
       devices.unhealthy AS gpus_unhealthy,
       devices.held AS gpus_held,
       nodes.last_seen_at,
       (SELECT string_agg(conditions.type, ', ' ORDER BY conditions.type)
        FROM node_conditions AS conditions
        WHERE conditions.node_id = nodes.id
          AND conditions.status <> CASE conditions.type WHEN 'Ready' THEN 'true' ELSE 'false' END
       ) AS trouble
FROM nodes
JOIN clusters ON clusters.id = nodes.cluster_id
CROSS JOIN LATERAL (
    SELECT count(*) AS present,
           count(*) FILTER (WHERE health IN ('degraded', 'failed')) AS unhealthy,
           count(*) FILTER (WHERE EXISTS (
               SELECT FROM gpu_allocations AS allocations
               WHERE allocations.device_id = gpu_devices.id AND allocations.released_at IS NULL
           )) AS held
    FROM gpu_devices
    WHERE gpu_devices.node_id = nodes.id AND gpu_devices.removed_at IS NULL
) AS devices
WHERE nodes.deleted_at IS NULL;

COMMENT ON VIEW node_overview IS 'The nodes that are there, with their accelerators and what is wrong with them.';

CREATE OR REPLACE VIEW workload_overview AS
SELECT workloads.id AS workload_id,
       clusters.id AS cluster_id,
       clusters.name AS cluster,
       workloads.namespace,
       workloads.kind,
       workloads.name,
       workloads.owner,
       workloads.phase,
       workloads.gpu_request,
       all_pods.gpus_held,
       all_pods.pods,
       all_pods.running,
       all_pods.restarts,
       workloads.created_at,
       workloads.started_at,
       workloads.ended_at
FROM workloads
JOIN clusters ON clusters.id = workloads.cluster_id
CROSS JOIN LATERAL (
    SELECT count(*) AS pods,
           count(*) FILTER (WHERE pods.phase = 'running') AS running,
           coalesce(sum(pods.restarts), 0) AS restarts,
           coalesce(sum((SELECT count(DISTINCT allocations.device_id)
                         FROM gpu_allocations AS allocations
                         WHERE allocations.pod_id = pods.id
                           AND allocations.released_at IS NULL)), 0) AS gpus_held
    FROM pods
    WHERE pods.workload_id = workloads.id
) AS all_pods;

COMMENT ON VIEW workload_overview IS 'Workloads with their pods and accelerators counted.';

CREATE OR REPLACE VIEW cluster_overview AS
SELECT clusters.id AS cluster_id,
       clusters.name AS cluster,
       count(nodes.node_id) AS nodes,
       count(nodes.node_id) FILTER (WHERE nodes.status <> 'ready') AS nodes_in_trouble,
       coalesce(sum(nodes.gpus_present), 0) AS gpus,
       coalesce(sum(nodes.gpus_unhealthy), 0) AS gpus_unhealthy,
       coalesce(sum(nodes.gpus_held), 0) AS gpus_held,
       (SELECT count(*) FROM workloads
        WHERE workloads.cluster_id = clusters.id AND workloads.phase = 'running') AS workloads_running,
       (SELECT count(*) FROM component_releases AS releases
        WHERE releases.cluster_id = clusters.id AND releases.replaced_at IS NULL
          AND releases.seen_image <> releases.image) AS components_strayed
FROM clusters
LEFT JOIN node_overview AS nodes ON nodes.cluster_id = clusters.id
GROUP BY clusters.id;

COMMENT ON VIEW cluster_overview IS 'One line for each cluster.';

CREATE OR REPLACE VIEW gpu_usage_days AS
SELECT clusters.id AS cluster_id,
       clusters.name AS cluster,
       devices.model,
       workloads.namespace,
       date_trunc('day', usage.hour AT TIME ZONE 'UTC')::date AS day,
       count(*) AS device_hours,
       count(*) FILTER (WHERE usage.workload_id IS NOT NULL) AS device_hours_held,
       avg(usage.utilization_percent) AS utilization_percent,
       sum(usage.energy_joules) / 3600000.0 AS energy_kwh
FROM gpu_usage_hours AS usage
JOIN gpu_devices AS devices ON devices.id = usage.device_id
JOIN nodes ON nodes.id = devices.node_id
JOIN clusters ON clusters.id = nodes.cluster_id
LEFT JOIN workloads ON workloads.id = usage.workload_id
GROUP BY clusters.id, devices.model, workloads.namespace,
         date_trunc('day', usage.hour AT TIME ZONE 'UTC')::date;

COMMENT ON VIEW gpu_usage_days IS 'What accelerators did in a day of UTC, by cluster, model and namespace.';
