"""SQLAlchemy 1.4, over psycopg2."""

import os

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql as pg

from steps import KINDS, LONG, ROWS, SECURE, TABLE, canceled, fails, same, step

URL = "postgresql+psycopg2://"  # libpq reads the environment
engine = sa.create_engine(URL, future=True)
schema, name = TABLE.split(".")
table = sa.Table(name, sa.MetaData(), sa.Column("id", sa.Integer, autoincrement=False), sa.Column("name", sa.Text), sa.Column("price", sa.Numeric(12, 2)), sa.Column("at", sa.DateTime(timezone=True)), schema=schema)


@step("connect")
def _():
    with engine.connect() as c:
        same(c.execute(sa.text("SELECT 1")).scalar(), 1)
        same(engine.dialect.server_version_info[0], 15)
        same(c.get_isolation_level(), "READ COMMITTED")


@step("browse")
def _():
    i = sa.inspect(engine)
    same("shop" in i.get_schema_names(), True, "schema shop")
    same("kinds" in i.get_table_names("shop"), True, "table shop.kinds")
    same(i.has_table("kinds", "shop"), True)
    same(i.get_pk_constraint("kinds", "shop")["constrained_columns"], ["id"])
    same(i.get_table_comment("kinds", "shop"), {"text": "one column of each type"})
    same((i.get_foreign_keys("kinds", "shop"), i.get_unique_constraints("kinds", "shop"), i.get_check_constraints("kinds", "shop"), i.get_indexes("kinds", "shop")), ([], [], [], []))
    same(i.get_view_names("shop"), [])


@step("describe")
def _():
    kinds = sa.Table("kinds", sa.MetaData(), autoload_with=engine, schema="shop")
    same([type(c.type) for c in kinds.columns], [sa.INTEGER, sa.BOOLEAN, sa.SMALLINT, sa.BIGINT, sa.REAL, pg.DOUBLE_PRECISION, sa.NUMERIC, sa.TEXT, sa.VARCHAR, sa.CHAR, pg.BYTEA, sa.DATE, pg.TIME, pg.TIMESTAMP, pg.TIMESTAMP, pg.INTERVAL, pg.UUID, pg.JSON, pg.JSONB, pg.ARRAY, pg.ARRAY])
    same((kinds.c.a_numeric.type.precision, kinds.c.a_numeric.type.scale, kinds.c.a_varchar.type.length, kinds.c.a_timestamptz.type.timezone), (20, 4, 40, True))
    same((kinds.c.id.nullable, kinds.c.a_text.nullable, kinds.c.a_bool.nullable, kinds.c.a_numeric.comment), (False, False, True, "money"))
    same([c.name for c in kinds.primary_key], ["id"])


@step("read")
def _():
    kinds = sa.Table("kinds", sa.MetaData(), autoload_with=engine, schema="shop")
    with engine.connect() as c:
        rows = c.execute(sa.select(kinds).order_by(kinds.c.id)).all()
        for got, want in zip(rows, KINDS, strict=True):
            want = [str(v) if type(v).__name__ == "UUID" else v for v in want]
            same([bytes(v) if isinstance(v, memoryview) else v for v in got], want)
        same(c.execute(sa.select(kinds.c.id).where(kinds.c.a_ints[1] == 1)).scalars().all(), [1])
        rows = c.execution_options(stream_results=True, max_row_buffer=2).execute(sa.select(kinds.c.id).order_by(kinds.c.id))
        same(rows.scalars().all(), [1, 2, 3], "read in parts")


@step("write")
def _():
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
        table.create(c)
    with engine.begin() as c:
        c.execute(sa.insert(table), [dict(zip(("id", "name", "price", "at"), r)) for r in ROWS])
        same(c.execute(sa.select(sa.func.count()).select_from(table)).scalar(), 3)


@step("cancel")
def _():
    with engine.connect() as c, engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
        raw = c.connection.dbapi_connection

        def watch(query):
            return other.execute(sa.text(query)).scalar()
        fails(lambda: canceled(raw.info.backend_pid, watch, raw.cancel, lambda: c.execute(sa.text(LONG))), exc.DBAPIError, lambda e: e.orig.pgcode, "57014")
        c.rollback()
        same(c.execute(sa.text("SELECT 1")).scalar(), 1)


@step("transaction")
def _():
    with engine.connect() as c:
        c.execute(sa.insert(table), {"id": 20})
        same(c.execute(sa.select(sa.func.count()).where(table.c.id == 20)).scalar(), 1)
        c.rollback()
        c.execute(sa.insert(table), {"id": 21})
        with c.begin_nested() as savepoint:
            c.execute(sa.insert(table), {"id": 22})
            savepoint.rollback()
        c.commit()


@step("error")
def _():
    with engine.connect() as c:
        fails(lambda: c.execute(sa.text("SELECT * FROM shop.nowhere")), exc.ProgrammingError, lambda e: e.orig.pgcode, "42P01")
        c.rollback()
        fails(lambda: c.execute(sa.text("SELECT 1 / :n"), {"n": 0}), exc.DataError, lambda e: e.orig.pgcode, "22012")


if SECURE:
    def connect(**settings):
        with sa.create_engine(URL, connect_args=settings).connect() as c:
            return c.connection.dbapi_connection.info.ssl_in_use

    @step("tls")
    def _():
        same(connect(), True)
        fails(lambda: connect(sslmode="disable"), exc.OperationalError, lambda e: "no encryption" in str(e), True)
        fails(lambda: connect(sslrootcert=os.environ["CLIENT_OTHER_CA"]), exc.OperationalError, lambda e: "certificate verify failed" in str(e), True)

    @step("scram")
    def _():
        connect(channel_binding="require")
        fails(lambda: connect(password="wrong"), exc.OperationalError, lambda e: "password authentication failed" in str(e), True)
