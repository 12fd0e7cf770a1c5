"""psycopg 3, in text and in binary."""

import os

import psycopg

from steps import COPIED, KINDS, LONG, ROWS, SECURE, TABLE, canceled, fails, same, step

conn = psycopg.connect("")  # libpq reads the environment
cur = conn.cursor()


@step("connect")
def _():
    same(conn.execute("SELECT 1").fetchone(), (1,))
    same(conn.info.encoding, "utf-8")
    conn.rollback()


@step("browse")
def _():
    got = conn.execute("SELECT c.relname, obj_description(c.oid) FROM pg_class c WHERE c.relnamespace = 'shop'::regnamespace AND c.relname = %s", ("kinds",))
    same(got.fetchall(), [("kinds", "one column of each type")])
    got = conn.execute("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'shop.kinds'::regclass AND attnum > 6 AND attnum < 10 ORDER BY attnum")
    same(got.fetchall(), [("a_numeric", "numeric(20,4)"), ("a_text", "text"), ("a_varchar", "character varying(40)")])
    conn.rollback()


@step("describe")
def _():
    cur.execute("SELECT id, a_numeric, a_varchar, a_texts FROM shop.kinds LIMIT 0")
    same([(c.name, c.type_code) for c in cur.description], [("id", 23), ("a_numeric", 1700), ("a_varchar", 1043), ("a_texts", 1009)])
    same((cur.description[1].precision, cur.description[1].scale, cur.description[2].display_size), (20, 4, 40), "numeric(20,4), varchar(40)")
    conn.rollback()


@step("read")
def _():
    for binary in False, True:
        c = conn.cursor(binary=binary)
        c.execute("SELECT * FROM shop.kinds WHERE id >= %s ORDER BY id", (1,))
        same([list(r) for r in c], KINDS, f"binary={binary}")
        for _ in range(7):  # the sixth time it prepares the statement
            same(conn.execute("SELECT a_text FROM shop.kinds WHERE id = %s", (3,), binary=binary).fetchone(), ("none",))
    conn.rollback()
    with conn.cursor("in_parts") as c:  # a cursor of the server
        c.itersize = 2
        c.execute("SELECT id FROM shop.kinds ORDER BY id")
        same([r[0] for r in c], [1, 2, 3])
    conn.rollback()
    same([r[0] for r in conn.cursor().stream("SELECT id FROM shop.kinds ORDER BY id")], [1, 2, 3], "row by row")
    conn.rollback()


@step("write")
def _():
    cur.execute("SELECT 1")
    conn.rollback()
    conn.autocommit = True
    conn.execute(f"CREATE TABLE {TABLE} (id integer, name text, price numeric(12,2), at timestamptz)")
    conn.autocommit = False
    cur.execute(f"INSERT INTO {TABLE} VALUES (%b, %b, %b, %b)", ROWS[0])
    same(cur.rowcount, 1)
    cur.executemany(f"INSERT INTO {TABLE} VALUES (%s, %s, %s, %s)", ROWS[1:])  # in a pipeline
    same(cur.rowcount, 2)
    conn.commit()


@step("copy")
def _():
    with cur.copy(f"COPY {TABLE} FROM STDIN") as c:
        c.write(COPIED)
    same(cur.rowcount, 2)
    conn.commit()
    with cur.copy(f"COPY (SELECT * FROM {TABLE} WHERE id >= 10 ORDER BY id) TO STDOUT") as c:
        same(b"".join(c).decode(), COPIED)
    conn.rollback()


@step("cancel")
def _():
    with psycopg.connect("", autocommit=True) as other:
        def watch(query):
            return other.execute(query).fetchone()[0]
        pid = conn.info.backend_pid
        fails(lambda: canceled(pid, watch, conn.cancel, lambda: cur.execute(LONG)), psycopg.errors.QueryCanceled, lambda e: e.sqlstate, "57014")
    conn.rollback()
    same(conn.execute("SELECT 1").fetchone(), (1,))
    conn.rollback()


@step("transaction")
def _():
    try:
        with conn.transaction():
            conn.execute(f"INSERT INTO {TABLE} (id) VALUES (20)")
            same(conn.execute(f"SELECT count(*) FROM {TABLE} WHERE id = 20").fetchone(), (1,))
            raise KeyError
    except KeyError:
        pass
    with conn.transaction():
        conn.execute(f"INSERT INTO {TABLE} (id) VALUES (21)")
        try:
            with conn.transaction():  # a savepoint
                conn.execute(f"INSERT INTO {TABLE} (id) VALUES (22)")
                raise KeyError
        except KeyError:
            pass


@step("error")
def _():
    fails(lambda: cur.execute("SELECT * FROM shop.nowhere"), psycopg.errors.UndefinedTable, lambda e: (e.sqlstate, e.diag.statement_position), ("42P01", "15"))
    fails(lambda: cur.execute("SELECT 1"), psycopg.Error, lambda e: e.sqlstate, "25P02")
    conn.rollback()
    fails(lambda: cur.execute("SELECT 1 / %s", (0,)), psycopg.errors.DivisionByZero, lambda e: e.sqlstate, "22012")
    conn.rollback()


@step("copy binary")
def _():
    try:
        with cur.copy(f"COPY (SELECT id, name FROM {TABLE} WHERE id IN (10, 11) ORDER BY id) TO STDOUT (FORMAT binary)") as c:
            c.set_types(["int4", "text"])
            same(list(c.rows()), [(10, "tab\tnew\nline\\"), (11, None)])
    finally:
        conn.rollback()


if SECURE:
    @step("tls")
    def _():
        same(conn.pgconn.ssl_in_use, True)
        fails(lambda: psycopg.connect("", sslmode="disable"), psycopg.OperationalError, lambda e: "no encryption" in str(e), True)
        fails(lambda: psycopg.connect("", sslrootcert=os.environ["CLIENT_OTHER_CA"]), psycopg.OperationalError, lambda e: "certificate verify failed" in str(e), True)

    @step("scram")
    def _():
        psycopg.connect("", channel_binding="require").close()
        fails(lambda: psycopg.connect("", password="wrong"), psycopg.OperationalError, lambda e: "password authentication failed" in str(e), True)
