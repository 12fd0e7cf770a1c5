"""psqlODBC, by pyodbc and unixODBC's driver manager."""

import os

import pyodbc

from steps import KINDS, LONG, ROWS, SECURE, TABLE, canceled, fails, same, step


def connect(autocommit=False, **changed):
    """libpq, which the driver is built on, reads what isn't said here from the environment, as PGSSLROOTCERT."""
    s = {"Driver": "PostgreSQL Unicode", "Server": os.environ["PGHOST"], "Port": os.environ["PGPORT"], "Database": os.environ["PGDATABASE"], "Uid": os.environ["PGUSER"], "Pwd": os.environ.get("PGPASSWORD", ""), "SSLMode": os.environ["PGSSLMODE"]}
    return pyodbc.connect(";".join(f"{k}={v}" for k, v in (s | changed).items()), autocommit=autocommit)


conn = connect()
cur = conn.cursor()


def state(e):
    return e.args[0]


@step("connect")
def _():
    same(cur.execute("SELECT 1").fetchval(), 1)
    same(conn.getinfo(pyodbc.SQL_DBMS_NAME), "PostgreSQL")
    same(conn.getinfo(pyodbc.SQL_DBMS_VER)[:3], "15.")
    conn.rollback()


@step("browse")
def _():
    same([(r.table_schem, r.table_name, r.table_type) for r in cur.tables(schema="shop", table="kinds")], [("shop", "kinds", "TABLE")])
    columns = {r.column_name: (r.type_name, r.column_size, r.nullable) for r in cur.columns(schema="shop", table="kinds")}
    same(len(columns), 21, "number of columns")
    same((columns["id"], columns["a_numeric"], columns["a_varchar"]), (("int4", 10, 0), ("numeric", 20, 1), ("varchar", 40, 1)))
    same([r.column_name for r in cur.primaryKeys("kinds", schema="shop")], ["id"])
    same(cur.statistics("kinds", schema="shop").fetchall()[1:], [], "indexes")
    conn.rollback()


@step("describe")
def _():
    cur.execute("SELECT id, a_numeric, a_varchar, a_timestamptz FROM shop.kinds WHERE id < ?", 0)
    same([(c[0], c[1].__name__) for c in cur.description], [("id", "int"), ("a_numeric", "Decimal"), ("a_varchar", "str"), ("a_timestamptz", "datetime")])
    same((cur.description[1][4:6], cur.description[2][3]), ((20, 4), 40), "numeric(20,4), varchar(40)")
    conn.rollback()


@step("read")
def _():
    # ODBC has no intervals with months, no JSON, no arrays and no time zones: these are texts.
    cur.execute("SELECT * FROM shop.kinds ORDER BY id")
    texts = {1: ["1 year 2 mons 3 days 04:05:06.789", '{"a":[1,null]}', '{"b": {"c": 2}}', "{1,NULL,-3}", '{"a b",NULL,"c\\"d"}'], 2: ["-1 days", '"text"', "[]", "{}", "{}"], 3: 5 * [None]}
    for want in KINDS:
        want, text = list(want), texts[want[0]]
        want[15:16], want[17:21] = text[:1], text[1:]
        want[14] = want[14] and want[14].replace(tzinfo=None)
        want[16] = want[16] and str(want[16])
        want[1] = want[1] if want[1] is None else "01"[want[1]]
        same([v.lower() if i == 16 and v else v for i, v in enumerate(cur.fetchone())], want)
    conn.rollback()


@step("write")
def _():
    conn.autocommit = True
    cur.execute(f"CREATE TABLE {TABLE} (id integer, name text, price numeric(12,2), at timestamptz)")
    conn.autocommit = False
    cur.execute(f"INSERT INTO {TABLE} VALUES (?, ?, ?, ?)", *ROWS[0])
    same(cur.rowcount, 1)
    cur.executemany(f"INSERT INTO {TABLE} VALUES (?, ?, ?, ?)", ROWS[1:])
    conn.commit()


@step("cancel")
def _():
    other = connect(autocommit=True)
    pid = cur.execute("SELECT pg_backend_pid()").fetchval()
    fails(lambda: canceled(pid, lambda q: other.execute(q).fetchval(), cur.cancel, lambda: cur.execute(LONG)), pyodbc.Error, state, "57014")
    conn.rollback()
    same(cur.execute("SELECT 1").fetchval(), 1)
    conn.rollback()
    other.close()


@step("transaction")
def _():
    cur.execute(f"INSERT INTO {TABLE} (id) VALUES (20)")
    same(cur.execute(f"SELECT count(*) FROM {TABLE} WHERE id = 20").fetchval(), 1)
    conn.rollback()
    cur.execute(f"INSERT INTO {TABLE} (id) VALUES (21)")
    conn.commit()


@step("error")
def _():
    # The driver puts a savepoint before each statement of a block, and goes back to it.
    fails(lambda: cur.execute("SELECT * FROM shop.nowhere"), pyodbc.Error, state, "42P01")
    fails(lambda: cur.execute("SELECT 1 / ?", 0), pyodbc.Error, state, "22012")
    conn.rollback()


if SECURE:
    @step("tls")
    def _():
        fails(lambda: connect(SSLMode="disable"), pyodbc.Error, lambda e: "no encryption" in str(e), True)

    @step("scram")
    def _():
        fails(lambda: connect(Pwd="wrong"), pyodbc.Error, lambda e: "password authentication failed" in str(e), True)
