-- What a file says of itself.
-- firstlight: transaction=maybe lock_timeot=3s statement_timeout=soon
SELECT 1;
