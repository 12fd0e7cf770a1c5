// pgjdbc.

import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.time.*;
import java.util.*;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.postgresql.PGConnection;

class Jdbc {
    static final String TABLE = System.getenv("CLIENT_TABLE");
    static final boolean SECURE = !System.getenv("PGSSLMODE").equals("disable");
    static final String LONG = "SELECT count(*) FROM generate_series(1, 1000000) a(n), generate_series(1, 1000000) b(n) WHERE a.n::bigint * b.n % 7 = 3";
    static final String COPIED = "10\ttab\\tnew\\nline\\\\\t10.00\t2026-01-02 03:04:05+00\n11\t\\N\t\\N\t\\N\n";
    static final OffsetDateTime AT = OffsetDateTime.parse("2026-01-02T03:04:05.678901Z"), EVE = OffsetDateTime.parse("1969-12-31T23:59:59Z");

    interface Code { void run() throws Exception; }

    static void step(String name, Code code) {
        String said = "ok";
        try {
            code.run();
        } catch (Exception e) {
            said = e.toString().replaceAll("\\s+", " ");
        }
        System.out.println(name + ": " + said);
    }

    static void same(Object got, Object want) {
        if (!Objects.deepEquals(got, want)) {
            throw new AssertionException("it is " + told(got) + ", not " + told(want));
        }
    }

    static String told(Object o) { return o instanceof Object[] a ? Arrays.deepToString(a) : String.valueOf(o); }

    static class AssertionException extends RuntimeException {
        AssertionException(String what) { super(what); }
    }

    static void fails(String state, Code code) throws Exception {
        try {
            code.run();
        } catch (SQLException e) {
            same(e.getSQLState(), state);
            return;
        }
        throw new AssertionException("nothing failed with " + state);
    }

    // pgjdbc doesn't read libpq's environment.
    static Connection opened(String... changed) throws SQLException {
        Properties p = new Properties();
        p.put("user", System.getenv("PGUSER"));
        p.put("sslmode", System.getenv("PGSSLMODE"));
        if (SECURE) {
            p.put("password", System.getenv("PGPASSWORD"));
            p.put("sslrootcert", System.getenv("PGSSLROOTCERT"));
        }
        for (int i = 0; i < changed.length; i += 2) {
            p.put(changed[i], changed[i + 1]);
        }
        return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE"), p);
    }

    static Object one(Connection c, String query) throws SQLException {
        try (Statement s = c.createStatement(); ResultSet r = s.executeQuery(query)) {
            r.next();
            return r.getObject(1);
        }
    }

    static List<List<Object>> rows(ResultSet r, String... columns) throws SQLException {
        List<List<Object>> all = new ArrayList<>();
        while (r.next()) {
            List<Object> row = new ArrayList<>();
            for (String c : columns) {
                row.add(r.getObject(c));
            }
            all.add(row);
        }
        return all;
    }

    public static void main(String[] args) throws Exception {
        TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
        Connection c = opened();
        step("connect", () -> {
            same(one(c, "SELECT 1"), 1);
            same(c.isValid(10), true);
            same(c.getMetaData().getDatabaseMajorVersion(), 15);
            same(c.getTransactionIsolation(), Connection.TRANSACTION_READ_COMMITTED);
        });
        step("browse", () -> browse(c.getMetaData()));
        step("describe", () -> describe(c));
        step("read", () -> {
            read(c, "text");
            try (Connection binary = opened("prepareThreshold", "-1")) {
                read(binary, "binary");
            }
            readInParts(c);
        });
        step("write", () -> write(c));
        step("copy", () -> {
            var copy = c.unwrap(PGConnection.class).getCopyAPI();
            same(copy.copyIn("COPY " + TABLE + " FROM STDIN", new StringReader(COPIED)), 2L);
            StringWriter out = new StringWriter();
            copy.copyOut("COPY (SELECT * FROM " + TABLE + " WHERE id >= 10 ORDER BY id) TO STDOUT", out);
            same(out.toString(), COPIED);
        });
        step("cancel", () -> cancel(c));
        step("transaction", () -> transaction(c));
        step("error", () -> {
            fails("42P01", () -> one(c, "SELECT * FROM shop.nowhere"));
            try (PreparedStatement s = c.prepareStatement("SELECT 1 / ?")) {
                s.setInt(1, 0);
                fails("22012", s::executeQuery);
            }
            same(one(c, "SELECT 1"), 1);
        });
        if (SECURE) {
            step("tls", () -> {
                fails("28000", () -> opened("sslmode", "disable"));
                fails("08006", () -> opened("sslrootcert", System.getenv("CLIENT_OTHER_CA")));
            });
            step("scram", () -> fails("28P01", () -> opened("password", "wrong")));
        }
    }

    static void browse(DatabaseMetaData m) throws SQLException {
        same(rows(m.getTables(null, "shop", "kinds", new String[] {"TABLE"}), "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE", "REMARKS"), List.of(List.of("shop", "kinds", "TABLE", "one column of each type")));
        var columns = rows(m.getColumns(null, "shop", "kinds", "%"), "COLUMN_NAME", "TYPE_NAME", "DATA_TYPE", "COLUMN_SIZE", "IS_NULLABLE");
        same(columns.size(), 21);
        same(columns.get(0), List.of("id", "int4", Types.INTEGER, 10, "NO"));
        same(columns.get(6), List.of("a_numeric", "numeric", Types.NUMERIC, 20, "YES"));
        same(columns.get(8), List.of("a_varchar", "varchar", Types.VARCHAR, 40, "YES"));
        same(columns.get(20), List.of("a_texts", "_text", Types.ARRAY, Integer.MAX_VALUE, "YES"));
        same(rows(m.getPrimaryKeys(null, "shop", "kinds"), "COLUMN_NAME", "KEY_SEQ"), List.of(List.of("id", 1)));
        same(rows(m.getImportedKeys(null, "shop", "kinds"), "FKCOLUMN_NAME"), List.of());
        same(rows(m.getSchemas(), "TABLE_SCHEM").contains(List.of("shop")), true);
        same(rows(m.getTypeInfo(), "TYPE_NAME").contains(List.of("int4")), true);
        same(rows(m.getFunctions(null, "shop", "%"), "FUNCTION_NAME"), List.of());
    }

    static void describe(Connection c) throws SQLException {
        try (PreparedStatement s = c.prepareStatement("SELECT id, a_numeric, a_varchar, a_texts FROM shop.kinds WHERE id < ?")) {
            ResultSetMetaData m = s.getMetaData();
            List<String> got = new ArrayList<>();
            for (int i = 1; i <= m.getColumnCount(); i++) {
                got.add(m.getColumnName(i) + " " + m.getColumnTypeName(i) + " " + m.getPrecision(i) + " " + m.getScale(i) + " " + m.isNullable(i) + " " + m.getTableName(i));
            }
            same(got, List.of("id int4 10 0 0 kinds", "a_numeric numeric 20 4 1 kinds", "a_varchar varchar 40 0 1 kinds", "a_texts _text 2147483647 0 1 kinds"));
            same(s.getParameterMetaData().getParameterTypeName(1), "int4");
        }
    }

    static void read(Connection c, String how) throws SQLException {
        try (PreparedStatement s = c.prepareStatement("SELECT * FROM shop.kinds WHERE id >= ? ORDER BY id")) {
            s.setInt(1, 1);
            ResultSet r = s.executeQuery();
            r.next();
            same(new Object[] {how, r.getInt(1), r.getBoolean(2), r.getShort(3), r.getLong(4), r.getFloat(5), r.getDouble(6), r.getBigDecimal(7), r.getString(8), r.getString(9), r.getString(10)},
                new Object[] {how, 1, true, Short.MAX_VALUE, Long.MAX_VALUE, 1.5f, 0.1, new BigDecimal("1234567890123456.7891"), "plain", "varying", "abc"});
            same(r.getBytes(11), new byte[] {0, -1, 16});
            same(new Object[] {r.getObject(12, LocalDate.class), r.getObject(13, LocalTime.class), r.getObject(14, LocalDateTime.class), r.getObject(15, OffsetDateTime.class), r.getObject(16).toString(), r.getObject(17), r.getString(18), r.getString(19)},
                new Object[] {AT.toLocalDate(), AT.toLocalTime(), AT.toLocalDateTime(), AT, "1 years 2 mons 3 days 4 hours 5 mins 6.789 secs", UUID.fromString("00112233-4455-6677-8899-aabbccddeeff"), "{\"a\":[1,null]}", "{\"b\": {\"c\": 2}}"});
            same(r.getArray(20).getArray(), new Integer[] {1, null, -3});
            same(r.getArray(21).getArray(), new String[] {"a b", null, "c\"d"});
            r.next();
            same(new Object[] {r.getBoolean(2), r.getShort(3), r.getLong(4), r.getFloat(5), r.getDouble(6), r.getBigDecimal(7), r.getString(8), r.getString(9), r.getString(10), r.getString(18)},
                new Object[] {false, Short.MIN_VALUE, Long.MIN_VALUE, -1.5f, 1e300, new BigDecimal("-0.0001"), "q'uote\ttab\nline ü 漢", "", "x  ", "\"text\""});
            same(new Object[] {r.getBytes(11), r.getObject(12, LocalDate.class), r.getObject(13, LocalTime.class), r.getObject(14, LocalDateTime.class), r.getObject(15, OffsetDateTime.class), r.getArray(20).getArray()},
                new Object[] {new byte[0], EVE.toLocalDate(), LocalTime.MIDNIGHT, EVE.toLocalDateTime(), EVE, new Integer[0]});
            r.next();
            for (int i = 1; i <= 21; i++) {
                same(r.getObject(i), i == 1 ? (Object) 3 : i == 8 ? "none" : null);
            }
            same(r.next(), false);
        }
    }

    // readInParts reads through a portal that stays open: Execute has a row limit.
    static void readInParts(Connection c) throws SQLException {
        c.setAutoCommit(false);
        try (Statement s = c.createStatement()) {
            s.setFetchSize(2);
            same(rows(s.executeQuery("SELECT id FROM shop.kinds ORDER BY id"), "id"), List.of(List.of(1), List.of(2), List.of(3)));
        } finally {
            c.rollback();
            c.setAutoCommit(true);
        }
    }

    static void write(Connection c) throws SQLException {
        try (Statement s = c.createStatement()) {
            s.execute("CREATE TABLE " + TABLE + " (id integer, name text, price numeric(12,2), at timestamptz)");
        }
        c.setAutoCommit(false);
        try (PreparedStatement s = c.prepareStatement("INSERT INTO " + TABLE + " VALUES (?, ?, ?, ?)")) {
            Object[][] all = {{1, "one", new BigDecimal("1.50"), AT}, {2, "it's \"two\" \\ ü", new BigDecimal("-2.25"), EVE}, {3, null, null, null}};
            for (Object[] row : all) {
                s.setInt(1, (Integer) row[0]);
                s.setString(2, (String) row[1]);
                s.setBigDecimal(3, (BigDecimal) row[2]);
                s.setObject(4, row[3], Types.TIMESTAMP_WITH_TIMEZONE);
                s.addBatch();
            }
            same(s.executeBatch(), new int[] {1, 1, 1});
            c.commit();
        } finally {
            c.setAutoCommit(true);
        }
    }

    static void cancel(Connection c) throws Exception {
        int pid = c.unwrap(PGConnection.class).getBackendPID();
        try (Connection other = opened(); Statement s = c.createStatement()) {
            var ended = new CountDownLatch(1);
            Thread t = new Thread(() -> {
                try {
                    while (ended.getCount() > 0) {
                        if (one(other, "SELECT count(*) FROM bs_catalog.sessions WHERE pid = " + pid + " AND state = 'active' AND query LIKE '%generate_series%'").equals(1L)) {
                            s.cancel();
                            ended.await(5, TimeUnit.SECONDS); // PostgreSQL loses one that comes between the messages of a statement
                        }
                    }
                } catch (Exception e) {
                    throw new RuntimeException(e);
                }
            });
            t.start();
            try {
                fails("57014", () -> s.executeQuery(LONG));
            } finally {
                ended.countDown();
                t.join();
            }
            same(one(c, "SELECT 1"), 1);
        }
    }

    static void transaction(Connection c) throws SQLException {
        c.setAutoCommit(false);
        try (Statement s = c.createStatement()) {
            s.executeUpdate("INSERT INTO " + TABLE + " (id) VALUES (20)");
            same(one(c, "SELECT count(*) FROM " + TABLE + " WHERE id = 20"), 1L);
            c.rollback();
            s.executeUpdate("INSERT INTO " + TABLE + " (id) VALUES (21)");
            Savepoint point = c.setSavepoint();
            s.executeUpdate("INSERT INTO " + TABLE + " (id) VALUES (22)");
            c.rollback(point);
            c.commit();
        } finally {
            c.setAutoCommit(true);
        }
    }
}
