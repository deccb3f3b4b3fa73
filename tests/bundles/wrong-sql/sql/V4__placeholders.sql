GRANT USAGE ON SCHEMA public TO ${role};
SELECT '${api_role}'; -- ${comment}
