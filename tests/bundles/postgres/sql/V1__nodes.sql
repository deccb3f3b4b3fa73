CREATE TABLE lens.nodes (id bigint PRIMARY KEY);
