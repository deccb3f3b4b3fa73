-- What users may do by the API: permissions are bound in roles, roles are given to users, for all
-- clusters or for one, and there for all namespaces or for one.

CREATE TABLE api_permissions (
    name         text NOT NULL,
    description  text NOT NULL,
    CONSTRAINT api_permissions_pkey PRIMARY KEY (name),
    CONSTRAINT api_permissions_name_check CHECK (name ~ '^[a-z]+\.[a-z]+$')
);

COMMENT ON TABLE api_permissions IS 'Something that the API asks for before it does it.';
COMMENT ON COLUMN api_permissions.name IS 'What and how: workloads.read.';
COMMENT ON COLUMN api_permissions.description IS 'What whoever has it may do.';

CREATE TABLE api_roles (
    name         text        NOT NULL,
    description  text        NOT NULL,
    built_in     boolean     NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT api_roles_pkey PRIMARY KEY (name),
    CONSTRAINT api_roles_name_check CHECK (name ~ '^[a-z][-a-z0-9]{0,62}$')
);

COMMENT ON TABLE api_roles IS 'Permissions under one name, to be given together.';
COMMENT ON COLUMN api_roles.name IS 'What it is called: viewer.';
COMMENT ON COLUMN api_roles.description IS 'Whom it is for.';
COMMENT ON COLUMN api_roles.built_in IS 'Whether it comes with Lens; the API does not change those.';
COMMENT ON COLUMN api_roles.created_at IS 'When it was made.';

CREATE TABLE api_role_permissions (
    role        text NOT NULL,
    permission  text NOT NULL,
    CONSTRAINT api_role_permissions_pkey PRIMARY KEY (role, permission),
    CONSTRAINT api_role_permissions_role_fkey FOREIGN KEY (role)
        REFERENCES api_roles (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT api_role_permissions_permission_fkey FOREIGN KEY (permission)
        REFERENCES api_permissions (name) ON UPDATE CASCADE ON DELETE CASCADE
);

COMMENT ON TABLE api_role_permissions IS 'Which permissions a role binds together.';
COMMENT ON COLUMN api_role_permissions.role IS 'The role.';
COMMENT ON COLUMN api_role_permissions.permission IS 'A permission that it has.';

CREATE INDEX api_role_permissions_permission_idx ON api_role_permissions (permission);

CREATE TABLE api_role_bindings (
    id          bigint      GENERATED ALWAYS AS IDENTITY,
    user_id     bigint      NOT NULL,
    role        text        NOT NULL,
    cluster_id  bigint,
    namespace   text,
    granted_by  bigint,
    granted_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    CONSTRAINT api_role_bindings_pkey PRIMARY KEY (id),
    CONSTRAINT api_role_bindings_user_id_fkey FOREIGN KEY (user_id)
        REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT api_role_bindings_role_fkey FOREIGN KEY (role)
        REFERENCES api_roles (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT api_role_bindings_cluster_id_fkey FOREIGN KEY (cluster_id)
        REFERENCES clusters (id) ON DELETE CASCADE,
    -- Whoever gave it may leave; what was given stays.
    CONSTRAINT api_role_bindings_granted_by_fkey FOREIGN KEY (granted_by)
        REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT api_role_bindings_namespace_check CHECK (namespace IS NULL OR cluster_id IS NOT NULL),
    CONSTRAINT api_role_bindings_expires_check CHECK (expires_at > granted_at)
);

COMMENT ON TABLE api_role_bindings IS 'Who has which role, and where.';
COMMENT ON COLUMN api_role_bindings.user_id IS 'Who has it.';
COMMENT ON COLUMN api_role_bindings.role IS 'The role.';
COMMENT ON COLUMN api_role_bindings.cluster_id IS 'In which cluster; null for all of them.';
COMMENT ON COLUMN api_role_bindings.namespace IS 'In which namespace of the cluster; null for all of them.';
COMMENT ON COLUMN api_role_bindings.granted_by IS 'Who gave it; null for the installation, or somebody who has left.';
COMMENT ON COLUMN api_role_bindings.granted_at IS 'Since when.';
COMMENT ON COLUMN api_role_bindings.expires_at IS 'Until when; null for as long as nobody takes it away.';

-- One role in one place is given once; null is a place too.
CREATE UNIQUE INDEX api_role_bindings_once_key
    ON api_role_bindings (user_id, role, coalesce(cluster_id, 0), coalesce(namespace, ''));
CREATE INDEX api_role_bindings_role_idx ON api_role_bindings (role);
CREATE INDEX api_role_bindings_cluster_id_idx ON api_role_bindings (cluster_id);
CREATE INDEX api_role_bindings_granted_by_idx ON api_role_bindings (granted_by);

INSERT INTO api_permissions (name, description) VALUES
    ('clusters.read', 'See clusters, their nodes and accelerators.'),
    ('clusters.write', 'Add, change and remove clusters.'),
    ('workloads.read', 'See workloads, their pods and what these use.'),
    ('workloads.stop', 'End a workload.'),
    ('metrics.read', 'Ask the metrics store.'),
    ('dashboards.read', 'See dashboards, and keep them at hand.'),
    ('dashboards.write', 'Add, change and remove dashboards.'),
    ('jobs.read', 'See the jobs of Lens and how they went.'),
    ('jobs.run', 'Start a job of Lens, or switch it off.'),
    ('users.read', 'See users and their roles.'),
    ('users.write', 'Give and take roles, lock users out.'),
    ('audit.read', 'See who did what.');

INSERT INTO api_roles (name, description, built_in) VALUES
    ('viewer', 'For whoever only looks.', true),
    ('editor', 'For whoever works with it.', true),
    ('admin', 'For whoever runs it: everything.', true),
    ('auditor', 'For whoever checks what others did.', true);

INSERT INTO api_role_permissions (role, permission)
SELECT 'viewer', name FROM api_permissions
WHERE name IN ('clusters.read', 'workloads.read', 'metrics.read', 'dashboards.read')
UNION ALL
SELECT 'editor', name FROM api_permissions
WHERE name IN ('clusters.read', 'workloads.read', 'workloads.stop', 'metrics.read',
               'dashboards.read', 'dashboards.write', 'jobs.read')
UNION ALL
SELECT 'admin', name FROM api_permissions
UNION ALL
SELECT 'auditor', name FROM api_permissions
WHERE name IN ('users.read', 'audit.read');
