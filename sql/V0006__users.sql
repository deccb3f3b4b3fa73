-- Who uses Lens: people, and programs that act in its name.

CREATE TABLE users (
    id            bigint      GENERATED ALWAYS AS IDENTITY,
    subject       text        NOT NULL,
    kind          text        NOT NULL DEFAULT 'person',
    email         text,
    display_name  text        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    last_seen_at  timestamptz,
    disabled_at   timestamptz,
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_subject_key UNIQUE (subject),
    CONSTRAINT users_subject_check CHECK (subject <> ''),
    CONSTRAINT users_kind_check CHECK (kind IN ('person', 'service')),
    CONSTRAINT users_email_check CHECK (email LIKE '%_@_%')
);

COMMENT ON TABLE users IS 'Somebody who may use Lens. Passwords are kept elsewhere.';
COMMENT ON COLUMN users.subject IS 'The name that the identity provider vouches for.';
COMMENT ON COLUMN users.kind IS 'person, or service for a program.';
COMMENT ON COLUMN users.email IS 'Where to reach a person, where that is known.';
COMMENT ON COLUMN users.display_name IS 'What to call them on a page.';
COMMENT ON COLUMN users.created_at IS 'When they were first let in.';
COMMENT ON COLUMN users.last_seen_at IS 'When they last asked for something; null for never.';
COMMENT ON COLUMN users.disabled_at IS 'Since when the user is locked out; null while allowed.';

-- However it is written, an address is one person's.
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

INSERT INTO users (subject, kind, display_name) VALUES
    ('firstlight', 'service', 'Firstlight'),
    ('lens-jobs', 'service', 'Lens jobs');
