package score

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
)

// Replayer runs statements against a server.
type Replayer struct {
	// URL of the server.
	URL string
	// oids of relations and functions by the names that statements have for them.
	oids map[string]string
}

// clock is the server's time of today.
var clock = regexp.MustCompile(`20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9:.]+\+00`)

var place = regexp.MustCompile(`\{([a-z0-9_.]+)\}`)

// Schema makes the schema, one statement at a time. It returns an error for each that failed.
func (r *Replayer) Schema(ctx context.Context, text string) []error {
	conn, err := pgconn.Connect(ctx, r.URL)
	if err != nil {
		return []error{err}
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var failed []error
	for sql := range strings.SplitSeq(text, ";\n") {
		if strings.TrimSpace(sql) == "" {
			continue
		}
		if _, err := conn.Exec(ctx, sql).ReadAll(); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", sql, err))
		}
	}
	r.oids = map[string]string{}
	for name, sql := range map[string]string{
		"journal.orders": "", "journal.v_orders": "", "public.s1": "",
		"f1": "SELECT oid FROM pg_proc WHERE proname = 'f1'",
	} {
		if sql == "" {
			schema, relation, _ := strings.Cut(name, ".")
			sql = "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = '" + schema + "' AND relname = '" + relation + "'"
		}
		r.oids[name] = "0"
		result := conn.ExecParams(ctx, sql, nil, nil, nil, nil).Read()
		if len(result.Rows) == 1 {
			r.oids[name] = string(result.Rows[0][0])
		}
	}
	return failed
}

// Run asks for the answer to a statement, in a session of its own.
func (r *Replayer) Run(ctx context.Context, s *Statement) (*Answer, error) {
	conn, err := pgconn.Connect(ctx, r.URL)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	a := &Answer{Name: s.Name}
	for _, sql := range s.Before {
		if _, err := conn.Exec(ctx, sql).ReadAll(); err != nil {
			return a, a.failed(err)
		}
	}
	sql := place.ReplaceAllStringFunc(s.SQL, func(p string) string {
		if oid, ok := r.oids[p[1:len(p)-1]]; ok {
			return oid
		}
		return p
	})
	switch {
	case s.Copy != "" || s.CopyOut:
		err = a.copy(ctx, conn, s, sql)
	case s.Simple:
		err = a.simple(ctx, conn, sql)
	default:
		err = a.extended(ctx, conn, s, sql)
	}
	if err := a.failed(err); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	a.Status = string(rune(conn.TxStatus()))
	return a, nil
}

// failed notes an error of the server's; any other is returned.
func (a *Answer) failed(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		*a = Answer{Name: a.Name, Error: e.Code, Message: e.Message}
		return nil
	}
	return err
}

// simple takes the answer to the last of the statements in the text.
func (a *Answer) simple(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	results := conn.Exec(ctx, sql)
	for results.NextResult() {
		reader := results.ResultReader()
		fields := slices.Clone(reader.FieldDescriptions()) // which Read leaves out where there are no rows
		result := reader.Read()
		result.FieldDescriptions = fields
		if result.Err == nil {
			a.result(result)
		}
	}
	return results.Close()
}

func (a *Answer) extended(ctx context.Context, conn *pgconn.PgConn, s *Statement, sql string) error {
	prepared, err := conn.Prepare(ctx, "", sql, nil)
	if err != nil {
		return err
	}
	a.Params = prepared.ParamOIDs
	a.columns(prepared.Fields)
	if s.Described {
		return nil
	}
	var params [][]byte
	for _, p := range s.Args {
		params = append(params, []byte(p))
	}
	result := conn.ExecPrepared(ctx, "", params, nil, nil).Read()
	if result.Err != nil {
		return result.Err
	}
	if len(result.FieldDescriptions) == 0 {
		result.FieldDescriptions = prepared.Fields
	}
	a.result(result)
	return nil
}

func (a *Answer) copy(ctx context.Context, conn *pgconn.PgConn, s *Statement, sql string) error {
	var tag pgconn.CommandTag
	var err error
	if s.CopyOut {
		var out bytes.Buffer
		tag, err = conn.CopyTo(ctx, &out, sql)
		if utf8.Valid(out.Bytes()) {
			text := clock.ReplaceAllString(strings.TrimSuffix(out.String(), "\n"), "a time")
			a.rows(strings.Split(text, "\n"))
		} else {
			a.rows([]string{hex.EncodeToString(out.Bytes())})
		}
	} else {
		var in []byte
		if in, err = hex.DecodeString(s.Copy); err != nil {
			return err
		}
		tag, err = conn.CopyFrom(ctx, bytes.NewReader(in), sql)
	}
	a.Tag = tag.String()
	return err
}

func (a *Answer) columns(fields []pgconn.FieldDescription) {
	a.Columns = nil
	for _, f := range fields {
		a.Columns = append(a.Columns, Column{Name: f.Name, OID: f.DataTypeOID})
	}
}

// firstUserOID is where the OIDs begin that differ from server to server.
const firstUserOID = 16000

func (a *Answer) result(r *pgconn.Result) {
	a.Columns = nil
	if len(r.FieldDescriptions) > 0 {
		a.columns(r.FieldDescriptions)
	}
	a.Tag = r.CommandTag.String()
	rows := make([]string, len(r.Rows))
	for i, row := range r.Rows {
		cells := make([]string, len(row))
		for j, value := range row {
			cells[j] = cell(value, a.Columns[j].OID)
		}
		rows[i] = strings.Join(cells, "|")
	}
	a.rows(rows)
}

const oidOID = 26

// cell is a value as answers have it.
func cell(value []byte, oid uint32) string {
	if value == nil {
		return "NULL"
	}
	if oid == oidOID {
		if n, err := strconv.ParseInt(string(value), 10, 64); err == nil && n >= firstUserOID {
			return "oid"
		}
	}
	return clock.ReplaceAllString(string(value), "a time")
}

func (a *Answer) rows(rows []string) {
	slices.Sort(rows)
	a.Count = len(rows)
	a.Rows = rows[:min(len(rows), maxRows)]
}
