"""psycopg2."""

import io
import os

import psycopg2
from psycopg2 import errorcodes, extras

from steps import COPIED, KINDS, LONG, ROWS, SECURE, TABLE, canceled, fails, same, step

extras.register_uuid()
conn = psycopg2.connect("")  # libpq reads the environment
cur = conn.cursor()


@step("connect")
def _():
    cur.execute("SELECT 1")
    same(cur.fetchone(), (1,))
    same(conn.info.parameter_status("server_encoding"), "UTF8")
    conn.rollback()


@step("browse")
def _():
    cur.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop' AND table_name = %s", ("kinds",))
    same(cur.fetchall(), [("kinds",)])
    cur.execute("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'kinds' AND ordinal_position <= 2 ORDER BY ordinal_position")
    same(cur.fetchall(), [("id", "integer"), ("a_bool", "boolean")])
    conn.rollback()


@step("describe")
def _():
    cur.execute("SELECT id, a_numeric, a_varchar, a_texts FROM shop.kinds LIMIT 0")
    same([(c.name, c.type_code) for c in cur.description], [("id", 23), ("a_numeric", 1700), ("a_varchar", 1043), ("a_texts", 1009)])
    same((cur.description[1].precision, cur.description[1].scale), (20, 4), "numeric(20,4)")
    conn.rollback()


@step("read")
def _():
    cur.execute("SELECT * FROM shop.kinds ORDER BY id")
    for want in KINDS:
        got = [bytes(v) if isinstance(v, memoryview) else v for v in cur.fetchone()]
        same(got, want)
    conn.rollback()
    with conn.cursor("in_parts") as c:  # a cursor of the server
        c.itersize = 2
        c.execute("SELECT id FROM shop.kinds ORDER BY id")
        same([r[0] for r in c], [1, 2, 3])
    conn.rollback()


@step("write")
def _():
    conn.autocommit = True
    cur.execute(f"CREATE TABLE {TABLE} (id integer, name text, price numeric(12,2), at timestamptz)")
    conn.autocommit = False
    cur.execute(f"INSERT INTO {TABLE} VALUES (%s, %s, %s, %s)", ROWS[0])
    same(cur.rowcount, 1)
    extras.execute_values(cur, f"INSERT INTO {TABLE} VALUES %s", ROWS[1:])
    same(cur.rowcount, 2)
    conn.commit()


@step("copy")
def _():
    cur.copy_expert(f"COPY {TABLE} FROM STDIN", io.StringIO(COPIED))
    same(cur.rowcount, 2)
    conn.commit()
    out = io.StringIO()
    cur.copy_expert(f"COPY (SELECT * FROM {TABLE} WHERE id >= 10 ORDER BY id) TO STDOUT", out)
    same(out.getvalue(), COPIED)
    conn.rollback()


@step("cancel")
def _():
    with psycopg2.connect("") as other, other.cursor() as watching:
        other.autocommit = True

        def watch(query):
            watching.execute(query)
            return watching.fetchone()[0]
        pid = conn.info.backend_pid
        fails(lambda: canceled(pid, watch, conn.cancel, lambda: cur.execute(LONG)), psycopg2.Error, lambda e: e.pgcode, errorcodes.QUERY_CANCELED)
    conn.rollback()
    cur.execute("SELECT 1")
    same(cur.fetchone(), (1,))
    conn.rollback()


@step("transaction")
def _():
    cur.execute(f"INSERT INTO {TABLE} (id) VALUES (20)")
    cur.execute(f"SELECT count(*) FROM {TABLE} WHERE id = 20")
    same(cur.fetchone(), (1,))
    conn.rollback()
    cur.execute(f"INSERT INTO {TABLE} (id) VALUES (21)")
    conn.commit()


@step("error")
def _():
    fails(lambda: cur.execute("SELECT * FROM shop.nowhere"), psycopg2.errors.UndefinedTable, lambda e: e.pgcode, "42P01")
    fails(lambda: cur.execute("SELECT 1"), psycopg2.Error, lambda e: e.pgcode, "25P02")
    conn.rollback()
    fails(lambda: cur.execute("SELECT 1 / %s", (0,)), psycopg2.errors.DivisionByZero, lambda e: e.pgcode, "22012")
    conn.rollback()


if SECURE:
    @step("tls")
    def _():
        same(conn.info.ssl_in_use, True)
        same(conn.info.ssl_attribute("protocol"), "TLSv1.3")
        fails(lambda: psycopg2.connect("", sslmode="disable"), psycopg2.OperationalError, lambda e: "no encryption" in str(e), True)
        fails(lambda: psycopg2.connect("", sslrootcert=os.environ["CLIENT_OTHER_CA"]), psycopg2.OperationalError, lambda e: "certificate verify failed" in str(e), True)

    @step("scram")
    def _():
        psycopg2.connect("", channel_binding="require").close()
        fails(lambda: psycopg2.connect("", password="wrong"), psycopg2.OperationalError, lambda e: "password authentication failed" in str(e), True)
