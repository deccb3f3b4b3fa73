-- Who may do what now: the API asks this and nothing else.

CREATE OR REPLACE VIEW effective_permissions AS
SELECT users.id AS user_id,
       users.subject,
       granted.permission,
       bindings.cluster_id,
       bindings.namespace,
       bindings.role
FROM api_role_bindings AS bindings
JOIN users ON users.id = bindings.user_id
JOIN api_role_permissions AS granted ON granted.role = bindings.role
WHERE users.disabled_at IS NULL
  AND (bindings.expires_at IS NULL OR bindings.expires_at > now());

COMMENT ON VIEW effective_permissions IS
    'What users may do now, and by which role. No cluster means all of them, no namespace as well.';

CREATE OR REPLACE FUNCTION may(subject text, permission text, cluster_id bigint DEFAULT NULL, namespace text DEFAULT NULL)
    RETURNS boolean
    LANGUAGE sql
    STABLE AS
$$
    SELECT EXISTS (
        SELECT FROM effective_permissions AS held
        WHERE held.subject = may.subject
          AND held.permission = may.permission
          AND (held.cluster_id IS NULL OR held.cluster_id = may.cluster_id)
          AND (held.namespace IS NULL OR held.namespace = may.namespace)
    );
$$;

COMMENT ON FUNCTION may(text, text, bigint, text) IS
    'Whether somebody may do something there; without a place: whether everywhere.';
