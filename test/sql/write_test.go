package sql_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// everyType lists a value of each type as a literal, and as PostgreSQL prints it.
func everyType() []struct{ ty, literal, text string } {
	return []struct{ ty, literal, text string }{
		{"boolean", "true", "t"},
		{"smallint", "-32768", "-32768"},
		{"integer", "2147483647", "2147483647"},
		{"bigint", "9223372036854775807", "9223372036854775807"},
		{"real", "1.5", "1.5"},
		{"double precision", "'-Infinity'", "-Infinity"},
		{"numeric(12,2)", "1234567890.125", "1234567890.13"},
		{"numeric(38,0)", "99999999999999999999999999999999999999", "99999999999999999999999999999999999999"},
		{"text", `'a "b" \ é'`, `a "b" \ é`},
		{"varchar(3)", "'abc'", "abc"},
		{"char(4)", "'ab'", "ab  "},
		{"bytea", `'\x00ff'`, `\x00ff`},
		{"date", "'2026-02-28'", "2026-02-28"},
		{"time", "'12:34:56.789'", "12:34:56.789"},
		{"timestamp", "'2026-02-28 12:34:56.000001'", "2026-02-28 12:34:56.000001"},
		{"timestamptz", "'2026-02-28 12:34:56+02'", "2026-02-28 10:34:56+00"},
		{"interval", "'1 year 2 days 03:04:05'", "1 year 2 days 03:04:05"},
		{"uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{"jsonb", `'{"b": 1, "a": [true, null]}'`, `{"a": [true, null], "b": 1}`},
	}
}

// TestEveryType writes each type by a literal, a text parameter and COPY, and reads it back in
// both formats; NULL too.
func TestEveryType(t *testing.T) {
	for _, c := range everyType() {
		t.Run(strings.NewReplacer("(", "_", ")", "", ",", "_", " ", "_").Replace(c.ty), func(t *testing.T) {
			conn := connect(t)
			name := table(t, conn, "(v "+c.ty+")")
			exec(t, conn, "INSERT INTO "+name+" VALUES ("+c.literal+")")
			exec(t, conn, "INSERT INTO "+name+" VALUES (NULL)")
			exec(t, conn, "INSERT INTO "+name+" SELECT v FROM "+name)
			copied := strings.ReplaceAll(strings.Trim(c.literal, "'"), `\`, `\\`)
			_, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader(copied+"\n"), "COPY "+name+" FROM STDIN")
			require.NoError(t, err)
			require.Equal(t, []string{c.text, c.text, c.text, "NULL", "NULL"}, rows(t, conn, "SELECT v FROM "+name+" ORDER BY _offset IS NULL, v::text"), "simple protocol, text")
			// The binary format, decoded by pgx.
			var text *string
			err = conn.QueryRow(t.Context(), "SELECT v::text FROM "+name+" WHERE v IS NOT NULL LIMIT 1").Scan(&text)
			require.NoError(t, err)
			r, err := conn.Query(t.Context(), "SELECT v FROM "+name)
			require.NoError(t, err)
			n := 0
			for r.Next() {
				_, err := r.Values()
				require.NoError(t, err)
				n++
			}
			require.NoError(t, r.Err())
			require.Equal(t, 5, n)
			require.Empty(t, rows(t, conn, `SELECT reason FROM bs_catalog.rejects WHERE table_name = '`+name+`'`))
		})
	}
}

func TestBadInputLeavesNothingBehind(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id INTEGER NOT NULL, v VARCHAR(3), n NUMERIC(4,2))")
	for sql, want := range map[string]string{
		"INSERT INTO nowhere VALUES (1)":                                              "42P01",
		"INSERT INTO " + name + " (id, w) VALUES (1, 2)":                              "42703",
		"INSERT INTO " + name + " VALUES (1, 'abcd')":                                 "22001",
		"INSERT INTO " + name + " VALUES (1), (NULL)":                                 "23502",
		"INSERT INTO " + name + " (v) VALUES ('a')":                                   "23502",
		"INSERT INTO " + name + " VALUES (2147483648)":                                "22003",
		"INSERT INTO " + name + " VALUES (1, 'a', 100)":                               "22003",
		"INSERT INTO " + name + " VALUES ('x')":                                       "22P02",
		"INSERT INTO " + name + " VALUES (1, 'a', 1, 2)":                              "42601",
		"INSERT INTO " + name + " VALUES (1, 2":                                       "42601",
		"INSERT INTO " + name + " SELECT 1/0, 'x' FROM nowhere":                       "42P01",
		"INSERT INTO " + name + " VALUES (1) RETURNING id / 0":                        "22012",
		"INSERT INTO " + name + " VALUES (1) ON CONFLICT DO NOTHING":                  "0A000",
		"UPDATE " + name + " SET id = 1":                                              "0A000",
		"DELETE FROM " + name:                                                         "0A000",
		"TRUNCATE " + name:                                                            "0A000",
		"INSERT INTO bs_catalog.rejects VALUES (1)":                                   "42501",
		"CREATE TABLE " + name + " (id INT)":                                          "42P07",
		"CREATE TABLE x (id INT) WITH (journals = 0)":                                 "22023",
		"CREATE TABLE x (id INT) WITH (replication = 3)":                              "0A000",
		"CREATE TABLE x (id INT) WITH (colour = 'blue')":                              "22023",
		"CREATE TABLE x (id INT DEFAULT nextval('s'))":                                "42501",
		"CREATE TABLE x (id INT DEFAULT count(*))":                                    "42803",
		"CREATE TABLE x (id INT DEFAULT unnest(ARRAY[1, 2]))":                         "42803",
		"CREATE TABLE x (id INT DEFAULT generate_series(1, 3))":                       "42803",
		"CREATE TABLE x (id INT[][])":                                                 "0A000",
		"CREATE TABLE nowhere.x (id INT)":                                             "3F000",
		"CREATE TABLE x (id INT) ON JOURNALS 'there/are/none/'":                       "42704",
		"DROP TABLE nowhere":                                                          "42P01",
		"DROP SCHEMA nowhere":                                                         "3F000",
		"SELECT * FROM nowhere":                                                       "42P01",
		"SELECT nothing FROM " + name:                                                 "42703",
		"SELECT * FROM " + name + " WHERE":                                            "42601",
		"SELECT 'x'::integer":                                                         "22P02",
		"SELECT nosuchfunction(1)":                                                    "42883",
		"SUBSCRIBE TO nowhere":                                                        "42P01",
		"SET colour = 'blue'":                                                         "42704",
		"SET TimeZone = 'Europe/Nowhere'":                                             "22023",
		"INSERT INTO " + name + " VALUES (1); INSERT INTO " + name + " VALUES (NULL)": "23502",
		"COPY " + name + " FROM '/etc/passwd'":                                        "42501",
		"SELECT * FROM read_text('/etc/passwd')":                                      "42501",
		"SELECT * FROM duckdb_settings()":                                             "42501",
		"ATTACH '/tmp/x.db'":                                                          "42501",
		"SELECT * FROM '/etc/passwd'":                                                 "42501",
		"SELECT current_setting('memory_limit')":                                      "42704",
		"CALL enable_logging()":                                                       "42501",
	} {
		var args []any
		if strings.Contains(sql, ";") {
			args = append(args, pgx.QueryExecModeSimpleProtocol)
		}
		if len(args) > 0 {
			_, err := conn.Exec(t.Context(), sql, args...)
			var e *pgconn.PgError
			require.ErrorAs(t, err, &e, sql)
			require.Equal(t, want, e.Code, sql)
			continue
		}
		require.Equal(t, want, code(t, conn, sql), sql)
	}
	require.Equal(t, []string{"0"}, rows(t, conn, "SELECT count(*) FROM "+name))
}

func TestTornCopyLeavesNothing(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id INTEGER, v TEXT)")
	// A bad value in line 3 names its place.
	_, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader("1\ta\n2\tb\nx\tc\n"), "COPY "+name+" FROM STDIN")
	var e *pgconn.PgError
	require.ErrorAs(t, err, &e)
	require.Equal(t, "22P02", e.Code)
	require.Equal(t, `COPY `+name+`, line 3, column id: "x"`, e.Where)
	// The client gives up.
	_, err = conn.PgConn().CopyFrom(t.Context(), io.MultiReader(strings.NewReader("1\ta\n"), failing{}), "COPY "+name+" FROM STDIN")
	require.Error(t, err)
	other := connect(t)
	// The client vanishes.
	torn := connect(t)
	_, err = torn.PgConn().CopyFrom(t.Context(), io.MultiReader(strings.NewReader("1\ta\n"), vanishing{torn}), "COPY "+name+" FROM STDIN")
	require.Error(t, err)
	require.Equal(t, []string{"0"}, rows(t, other, "SELECT count(*) FROM "+name))
	_, err = other.PgConn().CopyFrom(t.Context(), strings.NewReader("id,v\n7,\"a,b\"\n8,\n"), "COPY "+name+" (id, v) FROM STDIN (FORMAT csv, HEADER)")
	require.NoError(t, err)
	require.Equal(t, []string{"7|a,b", "8|NULL"}, rows(t, other, "SELECT id, v FROM "+name+" ORDER BY id"))
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the client's file ended") }

// vanishing closes the connection in the middle.
type vanishing struct{ conn *pgx.Conn }

func (v vanishing) Read([]byte) (int, error) {
	_ = v.conn.PgConn().Conn().Close()
	return 0, io.ErrUnexpectedEOF
}

// TestRejects: lines that don't fit never stop a query and are never lost.
func TestRejects(t *testing.T) {
	conn := connect(t)
	name := table(t, conn, "(id BIGINT NOT NULL, v TEXT)")
	j := journal(t, conn, name)
	body := `{"id":1,"v":"fits"}` + "\n" + `{"id":1.5}` + "\n" + `not json` + "\n\n" + `{"v":"no id"}` + "\n" + `{"id":2,"more":[1,{"x":null}]}` + "\n" + `{"id":3`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+server.Broker+"/"+j, strings.NewReader(body))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	require.Equal(t, []string{"1|fits", "2|NULL"}, rows(t, conn, "SELECT id, v FROM "+name+" ORDER BY id"), "the last line isn't whole yet")
	got := rows(t, conn, `SELECT "offset", length FROM bs_catalog.rejects WHERE table_name = '`+name+`' ORDER BY 1`)
	require.Equal(t, []string{"20|10", "31|8", "41|13"}, got)
	require.Equal(t, []string{`\x7b226964223a312e357d`}, rows(t, conn, `SELECT bytes FROM bs_catalog.rejects WHERE table_name = '`+name+`' AND "offset" = 20`))
	// They are for those only who may read the table.
	exec(t, conn, "CREATE ROLE rejects_reader LOGIN")
	reader := as(t, "rejects_reader")
	theirs := `SELECT count(*) FROM bs_catalog.rejects WHERE table_name = '` + name + `'`
	require.Equal(t, []string{"0"}, rows(t, reader, theirs))
	exec(t, conn, "GRANT SELECT ON "+name+" TO rejects_reader")
	require.Equal(t, []string{"3"}, rows(t, reader, theirs))
	exec(t, conn, "REVOKE SELECT ON "+name+" FROM rejects_reader")
	exec(t, conn, "DROP ROLE rejects_reader")
	// The rest of the torn line makes it a row.
	exec(t, conn, "SELECT 1")
	req, err = http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+server.Broker+"/"+j, strings.NewReader(`0}`+"\n"))
	require.NoError(t, err)
	resp, err = http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, []string{"1|0", "2|55", "30|86"}, rows(t, conn, "SELECT id, _offset FROM "+name+" ORDER BY id"))
}

// TestDropIsWhole: a DROP of several drops all of them or none, and once each.
func TestDropIsWhole(t *testing.T) {
	conn := connect(t)
	exec(t, conn, "CREATE TABLE twice (a INT)")
	exec(t, conn, "CREATE SCHEMA whole")
	require.Equal(t, "42P01", code(t, conn, "DROP TABLE twice, nowhere"))
	require.Empty(t, rows(t, conn, "SELECT * FROM twice"))
	require.Equal(t, "3F000", code(t, conn, "DROP SCHEMA whole, nowhere"))
	exec(t, conn, "CREATE TABLE whole.t (a INT)")
	exec(t, conn, "DROP TABLE twice, whole.t, public.twice")
	require.Equal(t, "42P01", code(t, conn, "SELECT * FROM twice"))
	exec(t, conn, "CREATE SCHEMA part")
	exec(t, conn, "CREATE TABLE part.i (a INT)")
	require.Equal(t, "2BP01", code(t, conn, "DROP SCHEMA whole, part"))
	exec(t, conn, "CREATE ROLE whole")
	exec(t, conn, "CREATE ROLE part")
	exec(t, conn, "GRANT SELECT ON part.i TO part")
	require.Equal(t, "2BP01", code(t, conn, "DROP ROLE whole, part"))
	exec(t, conn, "CREATE SEQUENCE part.s")
	exec(t, conn, "CREATE INDEX s1 ON part.i (a)")
	exec(t, conn, "CREATE INDEX s2 ON part.i (a)")
	require.Equal(t, "42P07", code(t, conn, "CREATE INDEX s ON part.i (a)"))
	exec(t, conn, "CREATE TABLE part.j (a INT)")
	require.Equal(t, "42P07", code(t, conn, "CREATE INDEX s1 ON part.j (a)"))
	exec(t, conn, "CREATE INDEX IF NOT EXISTS s1 ON part.j (a)")
	exec(t, conn, "SET ROLE whole")
	for _, sql := range []string{"DROP INDEX IF EXISTS part.s1", "DROP SEQUENCE IF EXISTS part.s", "DROP TABLE IF EXISTS part.i"} {
		require.Equal(t, "42501", code(t, conn, sql), "what isn't the session's is not missing")
	}
	exec(t, conn, "RESET ROLE")
	exec(t, conn, "DROP SEQUENCE part.s, part.s")
	exec(t, conn, "DROP INDEX part.s1, part.s2, part.s1")
	exec(t, conn, "DROP INDEX IF EXISTS part.s1")
	exec(t, conn, "DROP TABLE part.i, part.j")
	exec(t, conn, "DROP ROLE whole, part, whole")
	exec(t, conn, "DROP SCHEMA whole, part, whole")
	require.Equal(t, "3F000", code(t, conn, "DROP SCHEMA whole"))
}

func TestSchemas(t *testing.T) {
	conn := connect(t)
	exec(t, conn, `CREATE SCHEMA "Odd name/%"`)
	exec(t, conn, `CREATE SCHEMA IF NOT EXISTS "Odd name/%"`)
	exec(t, conn, `CREATE TABLE "Odd name/%"."T.1" ("a b" BIGINT)`)
	exec(t, conn, `INSERT INTO "Odd name/%"."T.1" VALUES (5)`)
	require.Equal(t, []string{"5"}, rows(t, conn, `SELECT "a b" FROM "Odd name/%"."T.1"`))
	require.Equal(t, "2BP01", code(t, conn, `DROP SCHEMA "Odd name/%"`))
	exec(t, conn, `SET search_path = "Odd name/%", public`)
	require.Equal(t, []string{"5"}, rows(t, conn, `SELECT * FROM "T.1"`))
	exec(t, conn, `DROP TABLE "T.1"`)
	exec(t, conn, `CREATE TABLE "T.1" (x TEXT)`)
	require.Empty(t, rows(t, conn, `SELECT * FROM "T.1"`), "a table that is made again is another")
	exec(t, conn, `DROP TABLE "Odd name/%"."T.1"`)
	exec(t, conn, `DROP SCHEMA "Odd name/%"`)
}
