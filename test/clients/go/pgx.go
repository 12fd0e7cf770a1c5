package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// kinds is a row of shop.kinds.
type kinds struct {
	ID          int32
	Bool        *bool
	Small       *int16
	Big         *int64
	Real        *float32
	Double      *float64
	Numeric     pgtype.Numeric
	Text        string
	Varchar     *string
	Char        *string
	Bytea       []byte
	Date        pgtype.Date
	Time        pgtype.Time
	Timestamp   pgtype.Timestamp
	Timestamptz pgtype.Timestamptz
	Interval    pgtype.Interval
	UUID        pgtype.UUID
	JSON, JSONB any
	Ints        []*int32
	Texts       []*string
}

var (
	noon = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	eve  = time.Date(1969, 12, 31, 23, 59, 59, 0, time.UTC)
)

// stored is what stands in shop.kinds.
func stored() []kinds {
	day := func(t time.Time) pgtype.Date {
		return pgtype.Date{Time: t.Truncate(24 * time.Hour), Valid: true}
	}
	number := func(s string) (n pgtype.Numeric) {
		_ = n.Scan(s)
		return n
	}
	return []kinds{
		{
			1, new(true), new(int16(32767)), new(int64(9223372036854775807)), new(float32(1.5)), new(0.1), number("1234567890123456.7891"), "plain", new("varying"), new("abc"), []byte{0, 255, 16},
			day(noon), pgtype.Time{Microseconds: 11045678901, Valid: true}, pgtype.Timestamp{Time: noon, Valid: true}, pgtype.Timestamptz{Time: noon, Valid: true},
			pgtype.Interval{Months: 14, Days: 3, Microseconds: 14706789000, Valid: true},
			pgtype.UUID{Bytes: [16]byte{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}, Valid: true},
			map[string]any{"a": []any{1.0, nil}}, map[string]any{"b": map[string]any{"c": 2.0}}, []*int32{new(int32(1)), nil, new(int32(-3))}, []*string{new("a b"), nil, new(`c"d`)},
		},
		{
			2, new(false), new(int16(-32768)), new(int64(-9223372036854775808)), new(float32(-1.5)), new(1e300), number("-0.0001"), "q'uote\ttab\nline ü 漢", new(""), new("x  "), []byte{},
			day(eve), pgtype.Time{Valid: true}, pgtype.Timestamp{Time: eve, Valid: true}, pgtype.Timestamptz{Time: eve, Valid: true},
			pgtype.Interval{Days: -1, Valid: true}, pgtype.UUID{Bytes: [16]byte(bytes.Repeat([]byte{255}, 16)), Valid: true},
			"text", []any{}, []*int32{}, []*string{},
		},
		{ID: 3, Text: "none"},
	}
}

func pgxSteps() error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	conn.TypeMap().RegisterType(&pgtype.Type{Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC}})
	step("connect", pgxConnect(ctx, conn))
	step("browse", pgxBrowse(ctx, conn))
	step("describe", pgxDescribe(ctx, conn))
	step("read", pgxRead(ctx, conn))
	step("write", pgxWrite(ctx, conn))
	step("copy", pgxCopy(ctx, conn))
	step("cancel", pgxCancel(ctx, conn))
	step("transaction", pgxTransaction(ctx, conn))
	_, err = conn.Exec(ctx, "SELECT * FROM shop.nowhere")
	_, zero := conn.Exec(ctx, "SELECT 1 / $1::integer", 0)
	step("error", errors.Join(fails(err, "42P01"), fails(zero, "22012"), conn.Ping(ctx)))
	step("copy binary", pgxCopyBinary(ctx, conn))
	step("load type", pgxLoadType(ctx, conn))
	if secure {
		_, clear := pgx.Connect(ctx, "sslmode=disable")
		_, other := pgx.Connect(ctx, "sslrootcert="+os.Getenv("CLIENT_OTHER_CA"))
		step("tls", errors.Join(says(clear, "no encryption"), says(other, "certificate signed by unknown authority")))
		bound, err := pgx.Connect(ctx, "channel_binding=require")
		if err == nil {
			err = bound.Close(ctx)
		}
		_, wrong := pgx.Connect(ctx, "password=wrong")
		step("scram", errors.Join(err, fails(wrong, "28P01")))
	}
	return nil
}

func pgxConnect(ctx context.Context, conn *pgx.Conn) error {
	var one int
	err := conn.QueryRow(ctx, "SELECT 1").Scan(&one)
	return errors.Join(err, same(one, 1), same(conn.PgConn().ParameterStatus("server_encoding"), "UTF8"))
}

func pgxBrowse(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2 AND is_nullable = 'NO' ORDER BY 1", "shop", "kinds")
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return errors.Join(err, same(names, []string{"a_text", "id"}))
}

// pgxLoadType asks the catalogs for a type.
func pgxLoadType(ctx context.Context, conn *pgx.Conn) error {
	t, err := conn.LoadType(ctx, "_int4")
	if err != nil {
		return err
	}
	return same(t.OID, uint32(pgtype.Int4ArrayOID))
}

func pgxDescribe(ctx context.Context, conn *pgx.Conn) error {
	d, err := conn.Prepare(ctx, "described", "SELECT id, a_numeric, a_varchar, a_texts FROM shop.kinds WHERE id < $1")
	if err != nil {
		return err
	}
	var got []string
	for _, f := range d.Fields {
		got = append(got, fmt.Sprint(f.Name, " ", f.DataTypeOID, " ", f.TypeModifier, " ", f.TableAttributeNumber))
	}
	return errors.Join(same(d.ParamOIDs, []uint32{pgtype.Int4OID}),
		same(got, []string{"id 23 -1 1", "a_numeric 1700 1310728 7", "a_varchar 1043 44 9", "a_texts 1009 -1 21"}))
}

func pgxRead(ctx context.Context, conn *pgx.Conn) error {
	const query = "SELECT * FROM shop.kinds WHERE id >= $1 ORDER BY id"
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		rows, err := conn.Query(ctx, query, mode, 1)
		if err != nil {
			return fmt.Errorf("%v: %w", mode, err)
		}
		got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[kinds])
		if err != nil {
			return fmt.Errorf("%v: %w", mode, err)
		}
		if err := same(got, stored()); err != nil {
			return fmt.Errorf("%v: %w", mode, err)
		}
	}
	return nil
}

func pgxWrite(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "CREATE TABLE "+table+" (id integer, name text, price numeric(12,2), at timestamptz)"); err != nil {
		return err
	}
	insert := "INSERT INTO " + table + " VALUES ($1, $2, $3, $4)"
	tag, err := conn.Exec(ctx, insert, 1, "one", "1.50", noon)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(insert, 2, `it's "two" \ ü`, "-2.25", eve)
	batch.Queue(insert, 3, nil, nil, nil)
	return errors.Join(same(tag.RowsAffected(), int64(1)), conn.SendBatch(ctx, batch).Close())
}

func pgxCopy(ctx context.Context, conn *pgx.Conn) error {
	const copied = "10\ttab\\tnew\\nline\\\\\t10.00\t2026-01-02 03:04:05+00\n11\t\\N\t\\N\t\\N\n"
	tag, err := conn.PgConn().CopyFrom(ctx, strings.NewReader(copied), "COPY "+table+" FROM STDIN")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	_, err = conn.PgConn().CopyTo(ctx, &out, "COPY (SELECT * FROM "+table+" WHERE id >= 10 ORDER BY id) TO STDOUT")
	return errors.Join(err, same(tag.RowsAffected(), int64(2)), same(out.String(), copied))
}

// pgxCopyBinary copies as pgx does by itself, and takes it back.
func pgxCopyBinary(ctx context.Context, conn *pgx.Conn) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	n, err := tx.CopyFrom(ctx, strings.Split(table, "."), []string{"id", "name", "price", "at"}, pgx.CopyFromRows([][]any{
		{30, "tab\tnew\nline\\", "10.00", noon}, {31, nil, nil, nil},
	}))
	if err != nil {
		return err
	}
	return same(n, int64(2))
}

func pgxCancel(ctx context.Context, conn *pgx.Conn) error {
	other, err := pgx.Connect(ctx, "")
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Exec(ctx, long, pgx.QueryExecModeSimpleProtocol) // one message, so that it runs once it is seen
		ended <- err
	}()
	for n := 0; n != 1 && len(ended) == 0; {
		if err := other.QueryRow(ctx, fmt.Sprintf(active, conn.PgConn().PID())).Scan(&n); err != nil {
			return err
		}
	}
	return errors.Join(conn.PgConn().CancelRequest(ctx), fails(<-ended, pgQueryCanceled), conn.Ping(ctx), other.Close(ctx))
}

// pgQueryCanceled is the SQLSTATE of what was canceled.
const pgQueryCanceled = "57014"

func pgxTransaction(ctx context.Context, conn *pgx.Conn) error {
	stop := errors.New("stop")
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var n int
		_, err := tx.Exec(ctx, "INSERT INTO "+table+" (id) VALUES (20)")
		return errors.Join(err, tx.QueryRow(ctx, "SELECT count(*) FROM "+table+" WHERE id = 20").Scan(&n), same(n, 1), stop)
	})
	if !errors.Is(err, stop) {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO "+table+" (id) VALUES (21)")
		inner := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { // a savepoint
			_, err := tx.Exec(ctx, "INSERT INTO "+table+" (id) VALUES (22)")
			return errors.Join(err, stop)
		})
		var failed *pgconn.PgError
		if errors.As(inner, &failed) {
			return inner
		}
		return err
	})
}
