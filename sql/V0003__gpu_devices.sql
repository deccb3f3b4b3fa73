-- The accelerators in the nodes, and what they last reported.

CREATE TABLE gpu_devices (
    id               bigint      GENERATED ALWAYS AS IDENTITY,
    node_id          bigint      NOT NULL,
    uuid             text        NOT NULL,
    device_index     smallint    NOT NULL,
    vendor           text        NOT NULL,
    model            text        NOT NULL,
    serial_number    text,
    pci_address      text,
    memory_bytes     bigint      NOT NULL,
    driver_version   text,
    health           text        NOT NULL DEFAULT 'unknown',
    first_seen_at    timestamptz NOT NULL DEFAULT now(),
    last_seen_at     timestamptz NOT NULL DEFAULT now(),
    removed_at       timestamptz,
    CONSTRAINT gpu_devices_pkey PRIMARY KEY (id),
    CONSTRAINT gpu_devices_node_id_fkey FOREIGN KEY (node_id)
        REFERENCES nodes (id) ON DELETE CASCADE,
    CONSTRAINT gpu_devices_device_index_check CHECK (device_index >= 0),
    CONSTRAINT gpu_devices_memory_bytes_check CHECK (memory_bytes > 0),
    CONSTRAINT gpu_devices_vendor_check CHECK (vendor IN ('amd', 'nvidia', 'intel')),
    CONSTRAINT gpu_devices_health_check CHECK (health IN ('healthy', 'degraded', 'failed', 'unknown')),
    CONSTRAINT gpu_devices_seen_check CHECK (last_seen_at >= first_seen_at)
);

COMMENT ON TABLE gpu_devices IS 'An accelerator in a node; a device that moves to another node is another row.';
COMMENT ON COLUMN gpu_devices.node_id IS 'The node that it is in.';
COMMENT ON COLUMN gpu_devices.uuid IS 'The vendor''s own identifier of the device.';
COMMENT ON COLUMN gpu_devices.device_index IS 'Its number on the node, from 0, as the driver counts.';
COMMENT ON COLUMN gpu_devices.vendor IS 'Who made it: amd, nvidia or intel.';
COMMENT ON COLUMN gpu_devices.model IS 'Its name by the vendor.';
COMMENT ON COLUMN gpu_devices.serial_number IS 'What is printed on it, where the driver can say.';
COMMENT ON COLUMN gpu_devices.pci_address IS 'Its place on the bus of the node: 0000:c1:00.0.';
COMMENT ON COLUMN gpu_devices.memory_bytes IS 'Memory of the device in bytes.';
COMMENT ON COLUMN gpu_devices.driver_version IS 'The driver that reported it.';
COMMENT ON COLUMN gpu_devices.health IS 'healthy, degraded, failed or unknown.';
COMMENT ON COLUMN gpu_devices.first_seen_at IS 'When it was first reported in this node.';
COMMENT ON COLUMN gpu_devices.last_seen_at IS 'When it was last reported in this node.';
COMMENT ON COLUMN gpu_devices.removed_at IS 'When it was no longer reported; null while it is there.';

-- At one time a device is in one place, and a place holds one device.
CREATE UNIQUE INDEX gpu_devices_uuid_key ON gpu_devices (uuid) WHERE removed_at IS NULL;
CREATE UNIQUE INDEX gpu_devices_node_id_device_index_key ON gpu_devices (node_id, device_index)
    WHERE removed_at IS NULL;
-- A node's history, and the foreign key when a node is deleted.
CREATE INDEX gpu_devices_node_id_idx ON gpu_devices (node_id);
CREATE INDEX gpu_devices_unhealthy_idx ON gpu_devices (health, last_seen_at)
    WHERE health IN ('degraded', 'failed') AND removed_at IS NULL;

-- What went wrong with a device, and when: the state alone forgets.
CREATE TABLE gpu_device_events (
    id           bigint      GENERATED ALWAYS AS IDENTITY,
    device_id    bigint      NOT NULL,
    occurred_at  timestamptz NOT NULL DEFAULT now(),
    kind         text        NOT NULL,
    detail       jsonb       NOT NULL DEFAULT '{}',
    CONSTRAINT gpu_device_events_pkey PRIMARY KEY (id),
    CONSTRAINT gpu_device_events_device_id_fkey FOREIGN KEY (device_id)
        REFERENCES gpu_devices (id) ON DELETE CASCADE,
    CONSTRAINT gpu_device_events_kind_check
        CHECK (kind IN ('health', 'ecc-error', 'throttled', 'reset', 'driver-changed')),
    CONSTRAINT gpu_device_events_detail_check CHECK (jsonb_typeof(detail) = 'object')
);

COMMENT ON TABLE gpu_device_events IS 'Something that happened to an accelerator.';
COMMENT ON COLUMN gpu_device_events.device_id IS 'The accelerator.';
COMMENT ON COLUMN gpu_device_events.occurred_at IS 'When it happened, by the clock of the node.';
COMMENT ON COLUMN gpu_device_events.kind IS 'health, ecc-error, throttled, reset or driver-changed.';
COMMENT ON COLUMN gpu_device_events.detail IS 'What the exporter said, in its own words.';

CREATE INDEX gpu_device_events_device_id_occurred_at_idx
    ON gpu_device_events (device_id, occurred_at DESC);
-- Rows arrive in the order of time, so this stays tiny however many they are.
CREATE INDEX gpu_device_events_occurred_at_idx ON gpu_device_events USING brin (occurred_at);
