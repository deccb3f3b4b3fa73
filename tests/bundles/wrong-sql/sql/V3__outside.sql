-- firstlight: transaction=none
CREATE INDEX CONCURRENTLY ON t (id);
CREATE TEMP TABLE scratch ();
