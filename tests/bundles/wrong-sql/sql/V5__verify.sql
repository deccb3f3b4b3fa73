SELECT 1
-- firstlight: verify
SELECT 2;
-- firstlight: verify
DELETE FROM t;
