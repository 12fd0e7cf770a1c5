CREATE SCHEMA store;
COMMENT ON SCHEMA store IS 'what is sold';
CREATE TABLE store.people (
	id bigint PRIMARY KEY,
	name text NOT NULL,
	email varchar(80) CONSTRAINT people_email_key UNIQUE,
	born date,
	score numeric(10,2) DEFAULT 0,
	CONSTRAINT people_score CHECK (score >= 0.5)
);
CREATE TABLE store.orders (
	person bigint NOT NULL REFERENCES store.people (id),
	nr integer NOT NULL,
	at timestamptz NOT NULL DEFAULT now(),
	tags text[],
	body jsonb,
	ok boolean DEFAULT true,
	price numeric(12,2),
	amount double precision,
	u uuid,
	raw bytea,
	day date,
	stamp timestamp,
	small smallint,
	PRIMARY KEY (person, nr)
);
CREATE TABLE store.lines (
	person bigint,
	nr integer,
	pos smallint,
	what text,
	CONSTRAINT lines_order FOREIGN KEY (person, nr) REFERENCES store.orders (person, nr) ON UPDATE CASCADE ON DELETE SET NULL
);
CREATE TABLE public.notes (id integer, note text);
CREATE INDEX people_name ON store.people (name, born DESC);
CREATE UNIQUE INDEX orders_at ON store.orders (at);
CREATE VIEW store.grown AS SELECT id, name FROM store.people WHERE born < DATE '2008-01-01';
CREATE SEQUENCE store.numbers START WITH 100 INCREMENT BY 10;
CREATE FUNCTION store.twice(n integer) RETURNS integer LANGUAGE sql AS 'SELECT n * 2';
COMMENT ON TABLE store.people IS 'whoever bought';
COMMENT ON COLUMN store.people.email IS 'where they read';
COMMENT ON VIEW store.grown IS 'of age';
CREATE ROLE analyst LOGIN;
GRANT USAGE ON SCHEMA store TO analyst;
GRANT SELECT ON store.people, store.orders, store.grown TO analyst;
INSERT INTO store.people VALUES (1, 'Ada', 'ada@example.org', '1990-05-06', 1.5), (2, 'Bob', NULL, '2012-12-12', 2), (3, 'Cy', 'cy@example.org', NULL, 10);
INSERT INTO store.orders VALUES
	(1, 1, '2026-01-01 00:00:10+00', '{a,b}', '{"k": 1}', true, 10.50, 1.25, '00112233-4455-6677-8899-aabbccddeeff', '\x00ff', '2026-01-01', '2026-01-01 00:00:10', 1),
	(1, 2, '2026-01-01 00:04:00+00', NULL, NULL, false, 20.00, 2.5, NULL, NULL, '2026-01-01', '2026-01-01 00:04:00', 2),
	(2, 1, '2026-01-01 00:07:30.5+00', '{}', '[]', NULL, 0.10, NULL, NULL, NULL, '2026-01-01', '2026-01-01 00:07:30.5', NULL),
	(3, 1, '2026-01-02 12:00:00+00', '{c}', '{"k": 2}', true, 99.99, -1, NULL, NULL, '2026-01-02', '2026-01-02 12:00:00', 3);
INSERT INTO store.lines VALUES (1, 1, 1, 'tea'), (1, 1, 2, 'cups'), (3, 1, 1, 'tea');
