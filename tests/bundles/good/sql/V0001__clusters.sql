CREATE TABLE clusters (name text PRIMARY KEY);
