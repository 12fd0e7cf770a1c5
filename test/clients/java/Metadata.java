// Every method of pgjdbc's DatabaseMetaData, and of ResultSetMetaData: each prints what it answers.

import java.lang.reflect.Method;
import java.sql.*;
import java.util.*;

class Metadata {
    static final Set<String> NOT_OURS = Set.of(
        // what is the connection's, the driver's or the server's own
        "getURL", "getUserName", "getDatabaseProductVersion", "getDatabaseMinorVersion", "getConnection", "getDriverVersion", "getDriverMajorVersion", "getDriverMinorVersion");

    // Of these there are so many that only those of the schema that is asked for, or of the types of its columns, are printed.
    static final Set<String> TYPES = Set.of(
        "bool", "bytea", "char", "int8", "int2", "int4", "text", "oid", "json", "jsonb", "float4", "float8", "bpchar", "varchar", "date", "time",
        "timestamp", "timestamptz", "interval", "numeric", "uuid", "name", "_text", "_int4");

    interface Rows { ResultSet ask() throws SQLException; }

    static void print(String what, Rows rows) {
        System.out.println("-- " + what);
        try (ResultSet r = rows.ask()) {
            if (r == null) {
                System.out.println("null");
                return;
            }
            ResultSetMetaData m = r.getMetaData();
            List<String> head = new ArrayList<>(), lines = new ArrayList<>();
            for (int i = 1; i <= m.getColumnCount(); i++) {
                head.add(m.getColumnLabel(i) + " " + m.getColumnTypeName(i));
            }
            System.out.println(String.join(", ", head));
            while (r.next()) {
                List<String> row = new ArrayList<>();
                for (int i = 1; i <= m.getColumnCount(); i++) {
                    String v = r.getString(i);
                    row.add(switch (m.getColumnLabel(i).toUpperCase()) {
                        case "SPECIFIC_NAME" -> v == null ? v : v.replaceAll("_[0-9]+$", "_oid");
                        case "CARDINALITY", "PAGES" -> "a guess"; // of an index that may never have been looked at
                        default -> v;
                    });
                }
                if (!what.equals("getTypeInfo") || TYPES.contains(row.get(0))) {
                    lines.add(String.join(" | ", row.stream().map(String::valueOf).toList()));
                }
            }
            lines.forEach(System.out::println);
        } catch (Throwable e) {
            System.out.println(told(e));
        }
    }

    static String told(Throwable e) {
        return e.getClass().getSimpleName() + (e instanceof SQLException s ? " " + s.getSQLState() : "") + ": " + String.valueOf(e.getMessage()).replaceAll("\\s+", " ");
    }

    // The methods that take nothing, or only types and modes: limits, modes, lists of words.
    static void plain(DatabaseMetaData d) throws Exception {
        Method[] all = DatabaseMetaData.class.getMethods();
        Arrays.sort(all, Comparator.comparing(Method::getName).thenComparing(m -> m.getParameterCount()));
        for (Method m : all) {
            if (NOT_OURS.contains(m.getName()) || m.getReturnType() == ResultSet.class || m.getDeclaringClass() != DatabaseMetaData.class) {
                continue;
            }
            List<Object[]> args = new ArrayList<>();
            Class<?>[] takes = m.getParameterTypes();
            if (takes.length == 0) {
                args.add(new Object[0]);
            } else if (takes.length == 1 && takes[0] == int.class) {
                for (int i : new int[] {ResultSet.TYPE_FORWARD_ONLY, ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.TYPE_SCROLL_SENSITIVE, 1, 2, 4, 8}) {
                    args.add(new Object[] {i});
                }
            } else if (takes.length == 2) {
                args.add(new Object[] {ResultSet.TYPE_FORWARD_ONLY, ResultSet.CONCUR_READ_ONLY});
                args.add(new Object[] {ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE});
                args.add(new Object[] {Types.INTEGER, Types.VARCHAR});
            }
            for (Object[] a : args) {
                String said;
                try {
                    said = String.valueOf(m.invoke(d, a));
                } catch (java.lang.reflect.InvocationTargetException e) {
                    said = told(e.getCause());
                }
                System.out.println(m.getName() + Arrays.toString(a).replace('[', '(').replace(']', ')') + " = " + said);
            }
        }
    }

    static void listed(DatabaseMetaData d, String s) {
        print("getCatalogs", d::getCatalogs);
        print("getTableTypes", d::getTableTypes);
        print("getTypeInfo", d::getTypeInfo);
        print("getClientInfoProperties", d::getClientInfoProperties);
        print("getSchemas", () -> d.getSchemas(null, "st%"));
        print("getTables, of all types", () -> d.getTables(null, s, "%", null));
        print("getTables, of pgjdbc's types", () -> d.getTables("postgres", s, "%", new String[] {"TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "PARTITIONED TABLE", "INDEX", "SEQUENCE", "TYPE", "TEMPORARY TABLE"}));
        print("getTables, of the system", () -> d.getTables(null, "pg_catalog", "pg\\_cl%", new String[] {"SYSTEM TABLE"}));
        print("getColumns", () -> d.getColumns(null, s, "%", "%"));
        print("getColumns, of one", () -> d.getColumns("postgres", s, "people", "e%"));
        print("getPrimaryKeys", () -> d.getPrimaryKeys(null, s, "orders"));
        print("getImportedKeys", () -> d.getImportedKeys(null, s, "lines"));
        print("getExportedKeys", () -> d.getExportedKeys(null, s, "people"));
        print("getCrossReference", () -> d.getCrossReference(null, s, "people", null, s, "orders"));
        print("getIndexInfo", () -> d.getIndexInfo(null, s, "people", false, false));
        print("getIndexInfo, unique", () -> d.getIndexInfo(null, s, "orders", true, true));
        print("getBestRowIdentifier", () -> d.getBestRowIdentifier(null, s, "orders", DatabaseMetaData.bestRowSession, true));
        print("getVersionColumns", () -> d.getVersionColumns(null, s, "orders"));
        print("getTablePrivileges", () -> d.getTablePrivileges(null, s, "%"));
        print("getColumnPrivileges", () -> d.getColumnPrivileges(null, s, "people", "%"));
        print("getFunctions", () -> d.getFunctions(null, s, "%"));
        print("getFunctionColumns", () -> d.getFunctionColumns(null, s, "%", "%"));
        print("getProcedures", () -> d.getProcedures(null, s, "%"));
        print("getProcedureColumns", () -> d.getProcedureColumns(null, s, "%", "%"));
        print("getUDTs", () -> d.getUDTs(null, s, "%", null));
        print("getAttributes", () -> d.getAttributes(null, s, "%", "%"));
        print("getSuperTypes", () -> d.getSuperTypes(null, s, "%"));
        print("getSuperTables", () -> d.getSuperTables(null, s, "%"));
        print("getPseudoColumns", () -> d.getPseudoColumns(null, s, "%", "%"));
    }

    // What a tool learns of the columns of a query.
    static void columns(Connection c, String query) throws SQLException {
        System.out.println("-- " + query);
        try (PreparedStatement p = c.prepareStatement(query)) {
            ParameterMetaData given = p.getParameterMetaData();
            for (int i = 1; i <= given.getParameterCount(); i++) {
                System.out.println("$" + i + " " + given.getParameterTypeName(i) + " " + given.getParameterClassName(i));
                p.setNull(i, given.getParameterType(i));
            }
            ResultSetMetaData m = p.executeQuery().getMetaData();
            for (int i = 1; i <= m.getColumnCount(); i++) {
                System.out.println(String.join(" | ", m.getColumnLabel(i), m.getColumnTypeName(i), m.getColumnClassName(i), "" + m.getColumnType(i),
                    "size " + m.getPrecision(i) + "," + m.getScale(i) + "," + m.getColumnDisplaySize(i), "signed " + m.isSigned(i), "case " + m.isCaseSensitive(i)));
            }
        }
    }

    // pgjdbc doesn't read libpq's environment.
    static Connection opened() throws SQLException {
        Properties p = new Properties();
        p.put("user", System.getenv("PGUSER"));
        p.put("sslmode", System.getenv("PGSSLMODE"));
        if (!System.getenv("PGSSLMODE").equals("disable")) {
            p.put("password", System.getenv("PGPASSWORD"));
            p.put("sslrootcert", System.getenv("PGSSLROOTCERT"));
        }
        return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE"), p);
    }

    public static void main(String[] args) throws Exception {
        try (Connection c = opened()) {
            DatabaseMetaData d = c.getMetaData();
            plain(d);
            listed(d, "store");
            columns(c, "SELECT * FROM store.people WHERE id = ?");
            columns(c, "SELECT * FROM store.orders WHERE at > ? AND ok = ? AND tags = ?");
            columns(c, "SELECT count(*) AS n, min(born), max(name), max(at) FROM store.people, store.orders");
        }
    }
}
