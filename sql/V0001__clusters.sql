-- The clusters that Lens looks after. Everything else hangs on one of them.

CREATE TABLE clusters (
    id           bigint      GENERATED ALWAYS AS IDENTITY,
    name         text        NOT NULL,
    access_type  text        NOT NULL DEFAULT 'ssh-tunnel',
    domain       text,
    labels       jsonb       NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT clusters_pkey PRIMARY KEY (id),
    CONSTRAINT clusters_name_key UNIQUE (name),
    -- A label of a DNS name: the name becomes the host of the cluster's Ingress.
    CONSTRAINT clusters_name_check CHECK (name ~ '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'),
    CONSTRAINT clusters_access_type_check CHECK (access_type IN ('ssh-tunnel', 'ingress')),
    CONSTRAINT clusters_domain_check CHECK (access_type <> 'ingress' OR domain IS NOT NULL),
    CONSTRAINT clusters_labels_check CHECK (jsonb_typeof(labels) = 'object')
);

COMMENT ON TABLE clusters IS 'A Kubernetes cluster that reports to Lens.';
COMMENT ON COLUMN clusters.name IS 'What it is called in Lens; the host of its Ingress begins with it.';
COMMENT ON COLUMN clusters.access_type IS 'How people reach it: ssh-tunnel or ingress.';
COMMENT ON COLUMN clusters.domain IS 'The domain of its Ingress, without the cluster''s name.';
COMMENT ON COLUMN clusters.labels IS 'What people tell clusters apart by: region, owner, purpose.';
COMMENT ON COLUMN clusters.created_at IS 'When it was made known to Lens.';
COMMENT ON COLUMN clusters.updated_at IS 'When this row last changed.';

-- Sets updated_at by itself, so that no writer can forget it.
CREATE FUNCTION set_updated_at() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END;
$$;

COMMENT ON FUNCTION set_updated_at() IS 'Trigger: the row was changed now.';

CREATE TRIGGER clusters_set_updated_at
    BEFORE UPDATE ON clusters
    FOR EACH ROW
    WHEN (OLD.* IS DISTINCT FROM NEW.*)
EXECUTE FUNCTION set_updated_at();

-- The cluster that Lens itself runs in. Its name is set when it first reports.
INSERT INTO clusters (name) VALUES ('local');
