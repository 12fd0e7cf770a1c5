CREATE SCHEMA shop;
CREATE TABLE shop.kinds (
	id integer PRIMARY KEY,
	a_bool boolean,
	a_small smallint,
	a_big bigint,
	a_real real,
	a_double double precision,
	a_numeric numeric(20,4),
	a_text text NOT NULL,
	a_varchar varchar(40),
	a_char char(3),
	a_bytea bytea,
	a_date date,
	a_time time,
	a_timestamp timestamp,
	a_timestamptz timestamptz,
	a_interval interval,
	a_uuid uuid,
	a_json json,
	a_jsonb jsonb,
	a_ints integer[],
	a_texts text[]
);
COMMENT ON TABLE shop.kinds IS 'one column of each type';
COMMENT ON COLUMN shop.kinds.a_numeric IS 'money';
INSERT INTO shop.kinds VALUES
	(1, true, 32767, 9223372036854775807, 1.5, 0.1, 1234567890123456.7891, 'plain', 'varying', 'abc', '\x00ff10',
		'2026-01-02', '03:04:05.678901', '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.678901+00',
		'1 year 2 mons 3 days 04:05:06.789', '00112233-4455-6677-8899-aabbccddeeff',
		'{"a":[1,null]}', '{"b": {"c": 2}}', '{1,NULL,-3}', '{"a b",NULL,"c\"d"}'),
	(2, false, -32768, -9223372036854775808, -1.5, 1e300, -0.0001, E'q''uote\ttab\nline ü 漢', '', 'x', '',
		'1969-12-31', '00:00:00', '1969-12-31 23:59:59', '1969-12-31 23:59:59+00',
		'-1 days', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '"text"', '[]', '{}', '{}'),
	(3, NULL, NULL, NULL, NULL, NULL, NULL, 'none', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE USER open_door;
CREATE USER guarded PASSWORD 'pass wörd';
GRANT USAGE, CREATE ON SCHEMA shop TO open_door, guarded;
GRANT SELECT ON shop.kinds TO open_door, guarded;
