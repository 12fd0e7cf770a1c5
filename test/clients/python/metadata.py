"""Every method of SQLAlchemy's inspector, and the reflection of whole tables: each prints what it answers."""

import re

import sqlalchemy as sa

SCHEMA = "store"
engine = sa.create_engine("postgresql+psycopg2://", future=True)  # libpq reads the environment


def told(value):
    """What is said of a value: of a type what it is made by, of a dictionary its parts in order."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {told(v)}" for k, v in sorted(value.items())) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(told, value)) + "]"
    if isinstance(value, sa.types.TypeEngine):
        return repr(value)
    return re.sub(r"\s+", " ", str(value)) if isinstance(value, str) else repr(value)


def show(what, ask):
    print(f"-- {what}")
    try:
        answer = ask()
    except Exception as e:  # whatever a driver raises
        answer = [f"{type(e).__name__}: {e}".split("\n")[0]]
    for part in answer if isinstance(answer, list) else [answer]:
        print(told(part))


def main():
    inspector = sa.inspect(engine)
    show("default_schema_name", lambda: inspector.default_schema_name)
    show("get_schema_names", lambda: [n for n in inspector.get_schema_names() if n in ("information_schema", "public", SCHEMA)])
    for method in ("get_table_names", "get_view_names", "get_foreign_table_names", "get_enums", "get_sequence_names", "get_sorted_table_and_fkc_names"):
        if hasattr(inspector, method):
            show(method, lambda: sorted(getattr(inspector, method)(schema=SCHEMA), key=str))
    show("get_view_names, materialized", lambda: inspector.get_view_names(SCHEMA, include=("materialized",)))
    show("get_temp_table_names", inspector.get_temp_table_names)
    show("get_temp_view_names", inspector.get_temp_view_names)
    for table in ("people", "orders", "lines", "grown", "nothing"):
        show(f"has_table {table}", lambda: inspector.has_table(table, SCHEMA))
    show("has_sequence", lambda: inspector.has_sequence("numbers", SCHEMA))
    for table in ("people", "orders", "lines", "grown"):
        for method in ("get_columns", "get_pk_constraint", "get_foreign_keys", "get_indexes", "get_unique_constraints", "get_check_constraints", "get_table_comment", "get_table_options"):
            show(f"{method} {table}", lambda: getattr(inspector, method)(table, SCHEMA))
    show("get_columns nothing", lambda: inspector.get_columns("nothing", SCHEMA))
    meta = sa.MetaData()
    meta.reflect(engine, schema=SCHEMA, views=True)
    for table in meta.sorted_tables:
        show(f"reflected {table.name}", lambda: re.sub(r"\s+", " ", str(sa.schema.CreateTable(table).compile(engine))))


main()
