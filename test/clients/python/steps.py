"""Runs the steps of one client, and prints a line for each."""

import datetime
import decimal
import os
import sys
import threading
import uuid

TABLE = os.environ["CLIENT_TABLE"]
SECURE = os.environ["PGSSLMODE"] != "disable"
LONG = "SELECT count(*) FROM generate_series(1, 1000000) a(n), generate_series(1, 1000000) b(n) WHERE a.n::bigint * b.n % 7 = 3"

D, UTC = decimal.Decimal, datetime.timezone.utc
NOON = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901)
EVE = datetime.datetime(1969, 12, 31, 23, 59, 59)

# What stands in shop.kinds, as Python has it.
KINDS = [
    [1, True, 32767, 9223372036854775807, 1.5, 0.1, D("1234567890123456.7891"), "plain", "varying", "abc", b"\x00\xff\x10",
     NOON.date(), NOON.time(), NOON, NOON.replace(tzinfo=UTC), datetime.timedelta(days=365 + 60 + 3, hours=4, minutes=5, seconds=6.789),
     uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"), {"a": [1, None]}, {"b": {"c": 2}}, [1, None, -3], ["a b", None, 'c"d']],
    [2, False, -32768, -9223372036854775808, -1.5, 1e300, D("-0.0001"), "q'uote\ttab\nline ü 漢", "", "x  ", b"",
     EVE.date(), datetime.time(0), EVE, EVE.replace(tzinfo=UTC), datetime.timedelta(days=-1),
     uuid.UUID("ffffffff-ffff-ffff-ffff-ffffffffffff"), "text", [], [], []],
    [3] + 6 * [None] + ["none"] + 13 * [None],
]

# What each program writes to its table.
ROWS = [
    (1, "one", D("1.50"), NOON.replace(tzinfo=UTC)),
    (2, "it's \"two\" \\ ü", D("-2.25"), EVE.replace(tzinfo=UTC)),
    (3, None, None, None),
]

# What it copies: text with what COPY has to escape.
COPIED = "10\ttab\\tnew\\nline\\\\\t10.00\t2026-01-02 03:04:05+00\n11\t\\N\t\\N\t\\N\n"


def same(got, want, what="it"):
    if got != want:
        raise AssertionError(f"{what} is {got!r}, not {want!r}")


def fails(f, error, told, code):
    """f raises the error, of which told has the SQLSTATE."""
    try:
        f()
    except error as e:
        same(told(e), code, "SQLSTATE")
        return
    raise AssertionError(f"nothing failed with {code}")


def canceled(pid, watch, cancel, run):
    """run, which cancel ends once watch, a statement on another connection, sees that the session is active."""
    ended = threading.Event()

    def when_active():
        while not ended.is_set():
            if watch(f"SELECT count(*) FROM bs_catalog.sessions WHERE pid = {pid} AND state = 'active' AND query LIKE '%generate_series%'") == 1:
                cancel()
                ended.wait(5)  # PostgreSQL loses one that comes between the messages of a statement
    t = threading.Thread(target=when_active)
    t.start()
    try:
        run()
    finally:
        ended.set()
        t.join()


def step(name):
    """Runs the function that follows."""
    def now(f):
        try:
            f()
            print(f"{name}: ok", flush=True)
        except Exception as e:  # whatever a driver raises
            print(f"{name}: {type(e).__name__}: " + str(e).split("\n")[0], flush=True)
            if os.environ.get("CLIENT_TRACE"):
                import traceback
                traceback.print_exc(file=sys.stderr)
        return f
    return now
