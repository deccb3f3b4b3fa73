GRANT USAGE ON SCHEMA public TO ${api_role};
COMMENT ON SCHEMA public IS ${region};
