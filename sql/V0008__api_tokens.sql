-- Keys to the API for programs. The token itself is shown once and never kept.

CREATE TABLE api_tokens (
    id            bigint      GENERATED ALWAYS AS IDENTITY,
    user_id       bigint      NOT NULL,
    name          text        NOT NULL,
    prefix        text        NOT NULL,
    hash          bytea       NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    last_used_at  timestamptz,
    revoked_at    timestamptz,
    CONSTRAINT api_tokens_pkey PRIMARY KEY (id),
    CONSTRAINT api_tokens_user_id_fkey FOREIGN KEY (user_id)
        REFERENCES users (id) ON DELETE CASCADE,
    -- Also the way a token is found.
    CONSTRAINT api_tokens_hash_key UNIQUE (hash),
    CONSTRAINT api_tokens_hash_check CHECK (octet_length(hash) = 32),
    CONSTRAINT api_tokens_prefix_check CHECK (prefix ~ '^[A-Za-z0-9]{8}$'),
    CONSTRAINT api_tokens_name_check CHECK (name <> ''),
    CONSTRAINT api_tokens_expires_check CHECK (expires_at > created_at)
);

COMMENT ON TABLE api_tokens IS 'A key to the API. Who reads this table cannot use it as one.';
COMMENT ON COLUMN api_tokens.user_id IS 'In whose name it acts.';
COMMENT ON COLUMN api_tokens.name IS 'What its owner calls it.';
COMMENT ON COLUMN api_tokens.prefix IS 'Its first eight characters, to tell it from others of the owner.';
COMMENT ON COLUMN api_tokens.hash IS 'SHA-256 of the token, which is long and random enough for that.';
COMMENT ON COLUMN api_tokens.created_at IS 'When it was made.';
COMMENT ON COLUMN api_tokens.expires_at IS 'When it ends by itself.';
COMMENT ON COLUMN api_tokens.last_used_at IS 'When it was last shown, to the minute; null for never.';
COMMENT ON COLUMN api_tokens.revoked_at IS 'Since when it is refused; null while it is good.';

-- Of the tokens of one user that are good, a name is unique.
CREATE UNIQUE INDEX api_tokens_user_id_name_key ON api_tokens (user_id, name)
    WHERE revoked_at IS NULL;
CREATE INDEX api_tokens_user_id_idx ON api_tokens (user_id);
