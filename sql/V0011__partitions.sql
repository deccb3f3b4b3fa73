-- Tables that only grow are kept in one part a month: an old part is dropped as a whole, which
-- costs nothing, and a question about yesterday reads one part.

CREATE TABLE partition_policies (
    table_name    text     NOT NULL,
    months_ahead  smallint NOT NULL DEFAULT 3,
    months_kept   smallint,
    CONSTRAINT partition_policies_pkey PRIMARY KEY (table_name),
    CONSTRAINT partition_policies_months_ahead_check CHECK (months_ahead BETWEEN 1 AND 24),
    CONSTRAINT partition_policies_months_kept_check CHECK (months_kept > 0)
);

COMMENT ON TABLE partition_policies IS 'Which tables have a part for each month, and for how long.';
COMMENT ON COLUMN partition_policies.table_name IS 'The table.';
COMMENT ON COLUMN partition_policies.months_ahead IS 'For how many months to come there are parts.';
COMMENT ON COLUMN partition_policies.months_kept IS 'How many whole months are kept; null for all of them.';

-- Months are those of UTC, whatever the time zone of the session is.
--
-- A part is made beside the table and then attached, which lets others read and write meanwhile;
-- PARTITION OF would wait for every reader of the table. Rows of that month which have gone into
-- the default part, because there was no other, are moved.
CREATE FUNCTION make_partition(parent regclass, moment timestamptz) RETURNS boolean
    LANGUAGE plpgsql
    SET timezone TO 'UTC'
    SET search_path TO pg_catalog, pg_temp AS
$$
DECLARE
    starts    timestamptz := date_trunc('month', moment);
    ends      timestamptz := date_trunc('month', moment) + interval '1 month';
    home      text;
    part      text;
    key       text;
    remainder regclass;
    waiting   boolean := false;
BEGIN
    SELECT nspname, relname || to_char(starts, '"_"YYYY"_"MM'), attname, nullif(partdefid, 0)::regclass
    INTO STRICT home, part, key, remainder
    FROM pg_partitioned_table
    JOIN pg_class ON pg_class.oid = partrelid
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
    WHERE partrelid = parent;
    -- Two at once make it once.
    PERFORM pg_advisory_xact_lock(parent::oid::bigint);
    IF to_regclass(format('%I.%I', home, part)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING ALL EXCLUDING IDENTITY)', home, part, parent);
    IF remainder IS NOT NULL THEN
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', remainder);
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %I >= %L AND %I < %L)',
                       remainder, key, starts, key, ends)
        INTO waiting;
    END IF;
    IF waiting THEN
        EXECUTE format('INSERT INTO %I.%I SELECT * FROM %s WHERE %I >= %L AND %I < %L',
                       home, part, remainder, key, starts, key, ends);
        -- Moving is not changing: what keeps the rows of a table from being changed lets this pass.
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', remainder);
        EXECUTE format('DELETE FROM %s WHERE %I >= %L AND %I < %L', remainder, key, starts, key, ends);
        EXECUTE format('ALTER TABLE %s ENABLE TRIGGER USER', remainder);
    END IF;
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
                   parent, home, part, starts, ends);
    RETURN true;
END;
$$;

COMMENT ON FUNCTION make_partition(regclass, timestamptz) IS
    'Makes the part of a table for the month of this time; false if it is there.';

-- Drops the parts that end before this time, and says how many they were.
CREATE FUNCTION drop_partitions(parent regclass, before timestamptz) RETURNS integer
    LANGUAGE plpgsql
    SET timezone TO 'UTC'
    SET search_path TO pg_catalog, pg_temp AS
$$
DECLARE
    part    regclass;
    dropped integer := 0;
BEGIN
    FOR part IN
        SELECT inhrelid::regclass
        FROM pg_inherits
        JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = parent
          AND relname ~ '_[0-9]{4}_[0-9]{2}$'
          AND to_date(right(relname, 7), 'YYYY_MM') + interval '1 month' <= before
        ORDER BY relname
    LOOP
        EXECUTE format('DROP TABLE %s', part);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END;
$$;

COMMENT ON FUNCTION drop_partitions(regclass, timestamptz) IS
    'Drops the parts of a table that end at this time or before it; says how many.';

-- Run by the job of this name, which need not own the tables for it.
CREATE FUNCTION maintain_partitions() RETURNS TABLE (table_name text, made integer, dropped integer)
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path TO public, pg_temp AS
$$
DECLARE
    policy partition_policies;
    parent regclass;
BEGIN
    FOR policy IN SELECT * FROM partition_policies ORDER BY partition_policies.table_name LOOP
        parent := policy.table_name::regclass;
        table_name := policy.table_name;
        SELECT count(*) INTO made
        FROM generate_series(0, policy.months_ahead) AS ahead
        WHERE make_partition(parent, now() + make_interval(months => ahead));
        dropped := 0;
        IF policy.months_kept IS NOT NULL THEN
            dropped := drop_partitions(
                parent,
                date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
                    - make_interval(months => policy.months_kept));
        END IF;
        RETURN NEXT;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION maintain_partitions() IS
    'Makes the parts that partition_policies asks for, and drops those that it no longer keeps.';

REVOKE ALL ON FUNCTION make_partition(regclass, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION drop_partitions(regclass, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION maintain_partitions() FROM PUBLIC;
