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
	code char(4),
	raw bytea,
	u uuid,
	f4 real,
	f8 double precision,
	small smallint,
	day time,
	stamp timestamp,
	span interval,
	PRIMARY KEY (person, nr)
);
CREATE TABLE store.lines (
	person bigint,
	nr integer,
	pos smallint,
	what text,
	CONSTRAINT lines_order FOREIGN KEY (person, nr) REFERENCES store.orders (person, nr) ON UPDATE CASCADE ON DELETE SET NULL
);
CREATE INDEX people_name ON store.people (name, born DESC);
CREATE UNIQUE INDEX orders_at ON store.orders (at);
CREATE VIEW store.grown AS SELECT id, name FROM store.people WHERE born < DATE '2008-01-01';
CREATE SEQUENCE store.numbers START WITH 100 INCREMENT BY 10;
CREATE FUNCTION store.twice(n integer) RETURNS integer LANGUAGE sql AS 'SELECT n * 2';
COMMENT ON TABLE store.people IS 'whoever bought';
COMMENT ON COLUMN store.people.email IS 'where they read';
COMMENT ON VIEW store.grown IS 'of age';
GRANT USAGE ON SCHEMA store TO open_door, guarded;
GRANT SELECT ON store.people, store.orders, store.lines, store.grown TO open_door, guarded;
GRANT INSERT ON store.people TO open_door, guarded;
