package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lib/pq"
)

func pqSteps() error {
	ctx := context.Background()
	db, err := sql.Open("postgres", "")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	step("connect", pqConnect(ctx, conn))
	step("browse", pqBrowse(ctx, conn))
	step("describe", pqDescribe(ctx, conn))
	step("read", errors.Join(pqRead(ctx, conn), pqReadBinary(ctx)))
	step("write", pqWrite(ctx, conn))
	step("copy", pqCopy(ctx, conn))
	step("cancel", pqCancel(ctx, db, conn))
	step("transaction", pqTransaction(ctx, conn))
	_, err = conn.ExecContext(ctx, "SELECT * FROM shop.nowhere")
	_, zero := conn.ExecContext(ctx, "SELECT 1 / $1::integer", 0)
	step("error", errors.Join(fails(err, "42P01"), fails(zero, "22012"), conn.PingContext(ctx)))
	if secure {
		step("tls", errors.Join(says(pqOpen(ctx, "sslmode=disable"), "no encryption"),
			says(pqOpen(ctx, "sslrootcert="+os.Getenv("CLIENT_OTHER_CA")), "certificate signed by unknown authority")))
		step("scram", fails(pqOpen(ctx, "password=wrong"), "28P01"))
	}
	return nil
}

// pqOpen tells how a connection went.
func pqOpen(ctx context.Context, said string) error {
	db, err := sql.Open("postgres", said)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.PingContext(ctx)
}

func pqConnect(ctx context.Context, conn *sql.Conn) error {
	var one int
	err := conn.QueryRowContext(ctx, "SELECT 1").Scan(&one)
	return errors.Join(err, same(one, 1))
}

func pqBrowse(ctx context.Context, conn *sql.Conn) error {
	var names []string
	err := conn.QueryRowContext(ctx, "SELECT array_agg(table_name::text) FROM information_schema.tables WHERE table_schema = $1 AND table_name = ANY($2)", "shop", pq.Array([]string{"kinds", "nowhere"})).Scan(pq.Array(&names))
	return errors.Join(err, same(names, []string{"kinds"}))
}

func pqDescribe(ctx context.Context, conn *sql.Conn) error {
	rows, err := conn.QueryContext(ctx, "SELECT id, a_numeric, a_varchar, a_texts FROM shop.kinds WHERE id < $1", 0)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	var got []string
	for _, t := range types {
		precision, scale, _ := t.DecimalSize()
		length, _ := t.Length()
		got = append(got, fmt.Sprint(t.Name(), " ", t.DatabaseTypeName(), " ", precision, " ", scale, " ", length))
	}
	return errors.Join(rows.Err(), same(got, []string{"id INT4 0 0 0", "a_numeric NUMERIC 20 4 0", "a_varchar VARCHAR 0 0 40", "a_texts _TEXT 0 0 0"}))
}

// kindsAsText is shop.kinds as lib/pq has it.
var kindsAsText = []string{
	`1|true|32767|9223372036854775807|1.5|0.1|"1234567890123456.7891"|plain|varying|abc|"\x00\xff\x10"|2026-01-02 00:00:00 +0000 +0000|0000-01-01 03:04:05.678901 +0000 UTC|2026-01-02 03:04:05.678901 +0000 +0000|2026-01-02 03:04:05.678901 +0000 UTC|"1 year 2 mons 3 days 04:05:06.789"|"00112233-4455-6677-8899-aabbccddeeff"|"{\"a\":[1,null]}"|"{\"b\": {\"c\": 2}}"|"{1,NULL,-3}"|"{\"a b\",NULL,\"c\\\"d\"}"`,
	"2|false|-32768|-9223372036854775808|-1.5|1e+300|\"-0.0001\"|q'uote\ttab\nline ü 漢||x  |\"\"|1969-12-31 00:00:00 +0000 +0000|0000-01-01 00:00:00 +0000 UTC|1969-12-31 23:59:59 +0000 +0000|1969-12-31 23:59:59 +0000 UTC|\"-1 days\"|\"ffffffff-ffff-ffff-ffff-ffffffffffff\"|\"\\\"text\\\"\"|\"[]\"|\"{}\"|\"{}\"",
	"3" + strings.Repeat("|NULL", 6) + "|none" + strings.Repeat("|NULL", 13),
}

func pqRead(ctx context.Context, conn *sql.Conn) error {
	rows, err := conn.QueryContext(ctx, "SELECT * FROM shop.kinds WHERE id >= $1 ORDER BY id", 1)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var got []string
	for rows.Next() {
		row, into := make([]any, 21), make([]any, 21)
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		got = append(got, texts(row))
	}
	return errors.Join(rows.Err(), same(got, kindsAsText))
}

// pqReadBinary sends parameters, and takes what lib/pq has a form for, in binary.
func pqReadBinary(ctx context.Context) error {
	db, err := sql.Open("postgres", "binary_parameters=yes")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var id int
	var raw []byte
	err = db.QueryRowContext(ctx, "SELECT id, a_bytea FROM shop.kinds WHERE a_bytea = $1", []byte{0, 255, 16}).Scan(&id, &raw)
	return errors.Join(err, same(id, 1), same(raw, []byte{0, 255, 16}))
}

func pqWrite(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "CREATE TABLE "+table+" (id integer, name text, price numeric(12,2), at timestamptz)"); err != nil {
		return err
	}
	insert, err := conn.PrepareContext(ctx, "INSERT INTO "+table+" VALUES ($1, $2, $3, $4)")
	if err != nil {
		return err
	}
	for _, row := range [][]any{{1, "one", "1.50", noon}, {2, `it's "two" \ ü`, "-2.25", eve}, {3, nil, nil, nil}} {
		r, err := insert.ExecContext(ctx, row...)
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		if err := errors.Join(err, same(n, int64(1))); err != nil {
			return err
		}
	}
	return insert.Close()
}

func pqCopy(ctx context.Context, conn *sql.Conn) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	schema, name, _ := strings.Cut(table, ".")
	in, err := tx.PrepareContext(ctx, pq.CopyInSchema(schema, name, "id", "name", "price", "at"))
	if err != nil {
		return err
	}
	rows := [][]any{{10, "tab\tnew\nline\\", "10.00", "2026-01-02 03:04:05+00"}, {11, nil, nil, nil}, nil} // the last ends it
	for row := range slices.Values(rows) {
		if _, err := in.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	return errors.Join(in.Close(), tx.Commit())
}

func pqCancel(ctx context.Context, db *sql.DB, conn *sql.Conn) error {
	var pid int
	if err := conn.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		_, err := conn.ExecContext(ctx, long)
		ended <- err
	}()
	var err error
	for n := 0; n != 1 && len(ended) == 0 && err == nil; {
		err = db.QueryRowContext(ctx, fmt.Sprintf(active, pid)).Scan(&n)
	}
	// A canceled context sends a request to cancel, too, but lib/pq drops the connection then.
	_, asked := db.ExecContext(ctx, "SELECT pg_cancel_backend("+strconv.Itoa(pid)+")")
	return errors.Join(err, asked, fails(<-ended, pgQueryCanceled), conn.PingContext(ctx), pqContext(ctx, db))
}

// pqContext ends a statement by its context.
func pqContext(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, err := db.ExecContext(ctx, long)
	if err == nil || ctx.Err() == nil {
		return fmt.Errorf("it ended by itself: %v", err) //nolint:errorlint // it may be nil
	}
	return nil
}

func pqTransaction(ctx context.Context, conn *sql.Conn) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	var n int
	_, err = tx.ExecContext(ctx, "INSERT INTO "+table+" (id) VALUES (20)")
	if err := errors.Join(err, tx.QueryRowContext(ctx, "SELECT count(*) FROM "+table+" WHERE id = 20").Scan(&n), same(n, 1), tx.Rollback()); err != nil {
		return err
	}
	if tx, err = conn.BeginTx(ctx, nil); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO "+table+" (id) VALUES (21)")
	return errors.Join(err, tx.Commit())
}
