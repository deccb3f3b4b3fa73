-- {{ not a template }}
CREATE TABLE gpu_devices (uuid text PRIMARY KEY);
