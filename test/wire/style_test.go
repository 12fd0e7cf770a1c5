package wire_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// styles are settings under which the same is asked.
func styles() []string {
	return []string{
		"SET TimeZone = 'Europe/Berlin'", "SET TIME ZONE 'Asia/Kolkata'", "SET TIME ZONE 'America/New_York'", "SET TIME ZONE -7",
		"SET TIME ZONE INTERVAL '+05:00' HOUR TO MINUTE", "SET TimeZone = 'UTC+3'", "SET TimeZone = 'Australia/Lord_Howe'",
		"SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Europe/Berlin'", "SET DateStyle = 'SQL, MDY'; SET TimeZone = 'America/New_York'",
		"SET DateStyle = 'Postgres, MDY'", "SET DateStyle = 'Postgres, DMY'; SET TimeZone = 'Asia/Kolkata'", "SET DateStyle = German; SET TimeZone = 'Europe/Berlin'",
		"SET DateStyle = YMD", "SET IntervalStyle = postgres_verbose", "SET IntervalStyle = sql_standard", "SET IntervalStyle = iso_8601",
		"SET extra_float_digits = 0", "SET extra_float_digits = -3", "SET bytea_output = escape",
	}
}

// times are constants, of which each is written in every style.
func times() []string {
	return []string{
		"2024-07-01 12:00:00+00", "2024-01-01 23:59:59.999999+00", "2024-03-31 00:59:59+00", "2024-03-31 01:00:00+00", "2024-10-27 00:30:00+00", "2024-10-27 01:30:00+00",
		"1850-06-15 12:00:00+00", "1883-11-18 17:30:00+00", "0044-03-15 12:00:00+00 BC", "0001-01-01 00:30:00+00", "infinity", "-infinity", "1970-01-01 00:00:00.000001+00",
		"2044-07-01 12:00:00+00",
	}
}

// styled are statements whose answers depend on the style.
func styled() []string {
	out := []string{
		"SELECT '2024-03-31 02:30'::timestamptz, '2024-10-27 02:30'::timestamptz, '1850-06-15 12:00'::timestamptz, '0044-03-15 12:00 BC'::timestamptz",
		"SELECT '2024-07-01 12:00 PST'::timestamptz, '2024-07-01 12:00 Europe/Paris'::timestamptz, 'Jan 5 2024 3:04 PM'::timestamptz, '20240105T030405'::timestamptz",
		"SELECT '01/02/2024'::date", "SELECT '1-2-99'::date", "SELECT '13/02/2024'::date", "SELECT '2024-02-30'::date", "SELECT '02.01.2024 12:00'::timestamptz", "SELECT 'Feb 29 2023'::date",
		"SELECT '5 January 2024'::date, '2024.060'::date, 'January 8, 99 BC'::date, '19990108'::date, '990108'::date, '1999-Jan-08'::date, '08-Jan-1999'::date, 'Jan-08-1999'::date",
		"SELECT '2024-01-01 12:00 Nowhere/Here'::timestamptz", "SELECT '2024-01-01 25:00'::timestamptz", "SELECT 'tomorrow'::date - 'yesterday'::date, 'epoch'::timestamptz, 'allballs'::time",
		"SELECT timestamptz '2024-07-01 22:30+00'::date, timestamptz '2024-07-01 22:30+00'::timestamp, timestamptz '2024-07-01 22:30+00'::time, date '2024-07-01'::timestamptz, timestamp '2024-07-01 12:00'::timestamptz",
		"SELECT date_trunc('day', timestamptz '2024-07-01 22:30+00'), date_trunc('hour', timestamptz '2024-07-01 22:45+00'), extract(hour FROM timestamptz '2024-07-01 22:30+00'), date_part('dow', timestamptz '2024-07-01 22:30+00')",
		"SELECT extract(timezone FROM timestamptz '2024-07-01 22:30+00'), extract(epoch FROM timestamptz '2024-07-01 22:30+00')",
		"SELECT timestamptz '2024-03-30 12:00+00' + interval '1 day', timestamptz '2024-03-30 12:00+00' + interval '24 hours', timestamptz '2024-01-31 12:00+00' + interval '1 month'",
		"SELECT timestamptz '2024-07-01 23:00+00' - timestamptz '2024-01-01 23:00+00', timestamptz '2024-07-01 23:00+00' - timestamp '2024-01-01', age(timestamptz '2024-07-01 23:00+00', timestamptz '2024-01-01 23:00+00')",
		"SELECT timestamptz '2024-07-01 12:00+00' AT TIME ZONE 'America/New_York', timestamp '2024-07-01 12:00' AT TIME ZONE 'PST', timestamp '2024-07-01 12:00' AT TIME ZONE INTERVAL '-03:00', timestamptz '2024-07-01 12:00+00' AT TIME ZONE 'UTC+3'",
		"SELECT timestamptz '2024-07-01 12:00+00' AT TIME ZONE 'nowhere'",
		"SELECT timestamptz '2024-07-01 12:00+00' = timestamp '2024-07-01 12:00', timestamptz '2024-07-01 00:00+02' > date '2024-07-01'",
		"SELECT to_char(timestamptz '2024-07-01 22:30:15.5+00', 'YYYY-MM-DD HH24:MI:SS.MS TZ tz OF TZH:TZM Day'), to_timestamp('2024-07-01 12:00', 'YYYY-MM-DD HH24:MI')",
		"SELECT (timestamptz '2024-07-01 22:30:15.5+00')::text, (date '2024-07-01')::text, (timestamp '2024-07-01 12:00')::text, (interval '1 year -2 days 03:04:05.6')::text, (0.1::float8 + 0.2)::text, '\\x00ff41'::bytea::text",
		"SELECT ARRAY[timestamptz '2024-07-01 22:30+00', NULL]::text, ARRAY[timestamptz '2024-07-01 22:30+00', NULL], ARRAY[date '2024-07-01'], ARRAY[interval '1 day -1 hour'], ARRAY['\\x00ff41'::bytea], ARRAY[0.1::float8 + 0.2]",
		"SELECT 0.1::float8 + 0.2, 1e15::float8, 1e-5::float8, 123456789012345678::float8, 0.1::float4, 'NaN'::float8, '-Infinity'::float8, 1e20::float8, 100::float8",
		"SELECT '\\x00ff415c27'::bytea, ''::bytea",
		"SELECT '-1 2:03:04'::interval, '1-2'::interval, '-1-2 +3 -4:05:06'::interval",
		"SELECT i::interval FROM (VALUES ('1 year 2 mons -3 days 04:05:06.789'), ('-1 days'), ('0'), ('-00:00:00.000001'), ('1 mon 1 sec'), ('-3 days -04:05:06'), ('3 days 04:05:06'), ('1 year 2 mons'), ('-1 year -2 mons'), ('1 year -1 sec'), ('100 hours')) AS v (i)",
		"SELECT d::date, d::timestamp FROM (VALUES ('2024-02-29'), ('0044-03-15 BC'), ('infinity'), ('-infinity'), ('0001-01-01'), ('10000-01-01')) AS v (d)",
		"SELECT sum(n) FROM generate_series(1, 3) AS g (n) WHERE now() > '2024-01-01'",
		"SHOW TimeZone", "SHOW DateStyle", "SHOW IntervalStyle", "SHOW extra_float_digits", "SHOW bytea_output", "SELECT current_setting('TimeZone')",
	}
	var values []string
	for _, x := range times() {
		values = append(values, "('"+x+"'::timestamptz)")
	}
	return append(out, "SELECT t, t::timestamp, t::date FROM (VALUES "+strings.Join(values, ", ")+") AS v (t)", "SELECT t::text FROM (VALUES "+strings.Join(values, ", ")+") AS v (t)")
}

// answered is a statement's answer, or its error.
func answered(t *testing.T, conn *pgconn.PgConn, sql string) string {
	t.Helper()
	results, err := conn.Exec(t.Context(), sql).ReadAll()
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Sprintf("%s %s\n", e.Code, e.Message)
	}
	require.NoError(t, err, sql)
	var out strings.Builder
	for _, r := range results {
		for _, row := range r.Rows {
			for _, cell := range row {
				fmt.Fprintf(&out, "[%s] ", cell)
			}
			out.WriteString("\n")
		}
	}
	return out.String()
}

// TestStyles: what is written, read and computed under settings of styles and time zones.
func TestStyles(t *testing.T) {
	p := connect(t)
	for _, set := range styles() {
		p.both(t, set)
		for i, sql := range styled() {
			t.Run(fmt.Sprintf("%s/%d", set, i), func(t *testing.T) {
				p.same(t, func(conn *pgconn.PgConn) string { return sql + "\n" + answered(t, conn, sql) })
			})
		}
		p.both(t, "RESET ALL")
	}
}

// TestStyledTables: what parameters, COPY and INSERT read under settings, and what is told of the rows there and under other settings.
func TestStyledTables(t *testing.T) {
	p := connect(t)
	table := "styled_" + strings.ToLower(t.Name())
	p.both(t, "CREATE TABLE "+table+" (n int4, t timestamptz, l timestamp, d date, c text, a timestamptz[])")
	for n, set := range []string{
		"SET TimeZone = 'Europe/Berlin'", "SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Kolkata'", "SET DateStyle = German; SET TimeZone = 'America/New_York'", "SET TIME ZONE -7",
	} {
		p.both(t, set,
			fmt.Sprintf("INSERT INTO %s VALUES (%d, '2024-07-01 12:00', '2024-07-01 12:00', '2024-07-01', 'literals', '{2024-07-01 12:00,NULL}')", table, 10*n),
			fmt.Sprintf("INSERT INTO %s SELECT %d, x, x, x, x, ARRAY[x] FROM (VALUES (timestamptz '2024-07-01 22:30:00.25+00')) AS v (x)", table, 10*n+1),
			fmt.Sprintf("INSERT INTO %s SELECT %d, l, t, t FROM %s WHERE n = %d", table, 10*n+2, table, 10*n))
		for _, conn := range []*pgconn.PgConn{p.ours, p.postgres} {
			r := conn.ExecParams(t.Context(), "INSERT INTO "+table+" VALUES ($1, $2, $3, $4)", [][]byte{
				fmt.Append(nil, 10*n+3), []byte("1/2/2024 3:04 PM"), []byte("Jan 5 2024 15:04"), []byte("5 January 2024"),
			}, nil, nil, nil).Read()
			require.NoError(t, r.Err)
			_, err := conn.CopyFrom(t.Context(), strings.NewReader(fmt.Sprintf("%d\t2024-07-01 12:00\t2024-07-01 12:00\t2024-07-01\tcopied\t{\"2024-07-01 12:00\"}\n", 10*n+4)), "COPY "+table+" FROM STDIN")
			require.NoError(t, err)
		}
		for _, sql := range []string{"SELECT * FROM " + table + " ORDER BY n", "SELECT t::text, a::text, t::date FROM " + table + " ORDER BY n", "SELECT n FROM " + table + " WHERE t = '2024-07-01 12:00' ORDER BY n"} {
			t.Run(fmt.Sprintf("%d %.16s", n, sql[7:]), func(t *testing.T) {
				p.same(t, func(conn *pgconn.PgConn) string { return answered(t, conn, sql) })
			})
		}
		for _, options := range []string{"", " WITH (FORMAT csv)"} {
			t.Run(fmt.Sprintf("%d copy%s", n, options), func(t *testing.T) {
				p.same(t, func(conn *pgconn.PgConn) string {
					return copied(t, conn, "COPY (SELECT * FROM "+table+" ORDER BY n) TO STDOUT"+options)
				})
			})
		}
		p.both(t, "RESET ALL")
	}
	t.Run("in UTC", func(t *testing.T) {
		p.same(t, func(conn *pgconn.PgConn) string { return rows(t, conn, "SELECT * FROM "+table+" ORDER BY n") })
	})
}

// TestSettingStatements: what a client is told of settings that change, and that a transaction takes back.
func TestSettingStatements(t *testing.T) {
	p := connect(t)
	for i, sql := range []string{
		"SET TIME ZONE 'europe/berlin'", "SHOW TimeZone", "BEGIN", "SET LOCAL TimeZone = 'Asia/Kolkata'", "SELECT '2024-07-01 12:00+00'::timestamptz", "COMMIT", "SHOW TimeZone",
		"BEGIN", "SET TimeZone = 'UTC'", "SET DateStyle = German", "ROLLBACK", "SHOW TimeZone", "SHOW DateStyle", "SELECT '2024-07-01 12:00+00'::timestamptz", "SET TIME ZONE LOCAL", "SHOW TimeZone",
		"SET TIME ZONE DEFAULT", "SET TIME ZONE 'Mars/Phobos'", "SET DateStyle = 'ISO, SQL'", "SET client_encoding = 'klingon'", "SET client_encoding = 'utf-8'",
		"SHOW client_encoding", "SET NAMES 'SQL_ASCII'", "SHOW client_encoding", "RESET client_encoding", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SHOW default_transaction_read_only", "DISCARD ALL",
		"SHOW default_transaction_read_only", "DISCARD PLANS", "DISCARD SEQUENCES", "DISCARD TEMP", "SET TimeZone = 'Asia/Tokyo'", "SELECT set_config('TimeZone', 'Europe/Paris', false)", "SHOW TimeZone", "RESET ALL", "SHOW TimeZone",
		"PREPARE p AS SELECT $1::timestamptz, $1::timestamptz::text", "SET TimeZone = 'Asia/Tokyo'", "EXECUTE p ('2024-07-01 12:00')", "DEALLOCATE p",
	} {
		t.Run(fmt.Sprint(i, " ", sql), func(t *testing.T) {
			p.same(t, func(conn *pgconn.PgConn) string {
				var out strings.Builder
				out.WriteString(sql + "\n" + answered(t, conn, sql))
				for _, name := range []string{"TimeZone", "DateStyle", "IntervalStyle", "client_encoding"} {
					out.WriteString(name + " is " + conn.ParameterStatus(name) + "\n")
				}
				return out.String()
			})
		})
	}
}

// TestStartupStyles: what drivers say of settings in the startup packet, as pgjdbc does of its JVM's zone.
func TestStartupStyles(t *testing.T) {
	p := connect(t)
	connections := []*pgconn.PgConn{p.ours, p.postgres}
	for i, url := range []string{server.URL(), p.url} {
		config, err := pgconn.ParseConfig(url)
		require.NoError(t, err)
		config.RuntimeParams = map[string]string{"TimeZone": "Europe/Berlin", "DateStyle": "ISO", "client_encoding": "UTF8", "extra_float_digits": "2", "options": "-c intervalstyle=iso_8601"}
		connections[i], err = pgconn.ConnectConfig(t.Context(), config)
		require.NoError(t, err)
		defer func() { _ = connections[i].Close(context.Background()) }()
	}
	p.ours, p.postgres = connections[0], connections[1]
	for _, sql := range []string{
		"SHOW TimeZone", "SHOW DateStyle", "SELECT '2024-07-01 12:00+00'::timestamptz, interval '1 day 2 hours'", "SET TimeZone = 'UTC'; RESET TimeZone; SHOW TimeZone",
		"DISCARD ALL; SHOW TimeZone",
	} {
		t.Run(sql, func(t *testing.T) {
			p.same(t, func(conn *pgconn.PgConn) string {
				var out strings.Builder
				for part := range strings.SplitSeq(sql, "; ") {
					out.WriteString(answered(t, conn, part) + conn.ParameterStatus("TimeZone") + " " + conn.ParameterStatus("IntervalStyle") + "\n")
				}
				return out.String()
			})
		})
	}
}

// TestShowAll: every setting with what it is for, also a few at a time.
func TestShowAll(t *testing.T) {
	p := connect(t)
	f := p.ours.Frontend()
	f.Send(&pgproto3.Parse{Query: "SHOW ALL"})
	f.Send(&pgproto3.Bind{})
	f.Send(&pgproto3.Execute{MaxRows: 7})
	f.Send(&pgproto3.Execute{})
	f.Send(&pgproto3.Sync{})
	require.NoError(t, f.Flush())
	rows, suspended := 0, 0
	for {
		m, err := f.Receive()
		require.NoError(t, err)
		switch m := m.(type) {
		case *pgproto3.DataRow:
			require.Len(t, m.Values, 3)
			require.NotEmpty(t, m.Values[2], "%s", m.Values[0])
			rows++
		case *pgproto3.PortalSuspended:
			suspended = rows
		case *pgproto3.CommandComplete:
			require.Equal(t, "SHOW", string(m.CommandTag))
		case *pgproto3.ErrorResponse:
			t.Fatal(m.Message)
		case *pgproto3.ReadyForQuery:
			require.Equal(t, 7, suspended)
			require.Greater(t, rows, 80)
			return
		}
	}
}
