package remote

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var errInjected = errors.New("injected")

// fake is a database that writes down statements. It has one row, of which it knows as much as a store asks for.
type fake struct {
	mu         sync.Mutex
	said       []string
	fence      int64 // of the row that is committed; 0 if there is none
	checkpoint string
	unchanged  bool // rows that don't change aren't counted
	failAt     int  // the statement that fails, from 1 on; 0 is none
}

func (f *fake) open(t *testing.T) *sql.DB {
	t.Helper()
	db := sql.OpenDB(f)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func (f *fake) Connect(context.Context) (driver.Conn, error) { return &fakeConn{f: f}, nil }

func (f *fake) Driver() driver.Driver { return nil }

// say a statement. The caller holds the mutex.
func (f *fake) say(query string, args []driver.NamedValue) error {
	said := []string{query}
	for _, a := range args {
		if b, ok := a.Value.([]byte); ok {
			said = append(said, fmt.Sprintf("%d bytes", len(b)))
		} else {
			said = append(said, fmt.Sprint(a.Value))
		}
	}
	f.said = append(f.said, strings.Join(said, " | "))
	if len(f.said) == f.failAt {
		return errInjected
	}
	return nil
}

func (f *fake) statements() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := strings.Join(f.said, "\n") + "\n"
	f.said = nil
	return out
}

// fakeConn has one transaction at most, whose row it keeps.
type fakeConn struct {
	f          *fake
	fence      int64
	checkpoint string
}

func (*fakeConn) Prepare(string) (driver.Stmt, error) { return nil, errors.New("not used") }

func (*fakeConn) Close() error { return nil }

func (*fakeConn) Begin() (driver.Tx, error) { return nil, errors.New("not used") }

func (c *fakeConn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.fence, c.checkpoint = c.f.fence, c.f.checkpoint
	return c, c.f.say("BEGIN", nil)
}

func (c *fakeConn) Commit() error {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	if err := c.f.say("COMMIT", nil); err != nil {
		return err
	}
	c.f.fence, c.f.checkpoint = c.fence, c.checkpoint
	return nil
}

func (c *fakeConn) Rollback() error {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.f.said = append(c.f.said, "ROLLBACK")
	return nil
}

func (c *fakeConn) ExecContext(_ context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	if err := c.f.say(query, args); err != nil {
		return nil, err
	}
	switch {
	case strings.HasPrefix(query, "INSERT"):
		c.fence, c.checkpoint = args[1].Value.(int64), string(args[2].Value.([]byte))
	case strings.Contains(query, "fence + 1") && c.fence != 0:
		c.fence++
	case strings.Contains(query, "SET checkpoint"):
		value := string(args[0].Value.([]byte))
		if c.fence != args[2].Value.(int64) || c.f.unchanged && c.checkpoint == value {
			return driver.RowsAffected(0), nil
		}
		c.checkpoint = value
	}
	return driver.RowsAffected(1), nil
}

func (c *fakeConn) QueryContext(_ context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	if err := c.f.say(query, args); err != nil {
		return nil, err
	}
	if c.fence == 0 || len(args) == 2 && args[1].Value.(int64) != c.fence {
		return &fakeRows{}, nil
	}
	if len(args) == 2 {
		return &fakeRows{row: []driver.Value{c.fence}}, nil
	}
	return &fakeRows{row: []driver.Value{c.fence, []byte(c.checkpoint)}}, nil
}

type fakeRows struct{ row []driver.Value }

func (r *fakeRows) Columns() []string { return []string{"fence", "checkpoint"}[:max(1, len(r.row))] }

func (*fakeRows) Close() error { return nil }

func (r *fakeRows) Next(dest []driver.Value) error {
	if r.row == nil {
		return io.EOF
	}
	copy(dest, r.row)
	r.row = nil
	return nil
}
