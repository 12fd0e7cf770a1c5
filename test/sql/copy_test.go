package sql_test

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

// tornTable has several journals, so that what is torn would be in some of them.
const tornTable = "(id INTEGER, v TEXT) WITH (journals = 3, partition_by = 'id')"

// long repeats a piece until there are n bytes of it, then has an end.
type long struct {
	piece, rest string
	n           int
	end         io.Reader
}

func (l *long) Read(p []byte) (int, error) {
	if l.rest == "" && l.n > 0 {
		l.rest, l.n = l.piece, l.n-len(l.piece)
	}
	if l.rest == "" {
		return l.end.Read(p)
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// many are lines with these lengths together, of many keys.
func many(n int, end io.Reader) io.Reader {
	var piece strings.Builder
	for i := range 100 {
		piece.WriteString(string(rune('0'+i/10)) + string(rune('0'+i%10)) + "\t" + strings.Repeat("x", 1000) + "\n")
	}
	return &long{piece: piece.String(), n: n, end: end}
}

// then does something in the middle of the data, once, which goes on if there is no error.
type then struct {
	do   func() error
	done chan struct{} // closed when it was done
	once bool
}

func (r *then) Read(p []byte) (int, error) {
	if !r.once {
		r.once = true
		err := r.do()
		close(r.done)
		if err != nil {
			return 0, err
		}
	}
	return copy(p, "1\tgoes on\n"), nil
}

// TestTornCopyOfManyLeavesNothing: a table of several journals and data that was sent to them has no row of
// a COPY that failed, however it did.
func TestTornCopyOfManyLeavesNothing(t *testing.T) {
	const size, large = 8 << 20, 100 << 20
	conn := connect(t)
	name := table(t, conn, tornTable)
	into := "COPY " + name + " FROM STDIN"
	for what, c := range map[string]struct {
		size int
		end  func(t *testing.T, torn *pgx.Conn) io.Reader
		code string
	}{
		"a bad row at the end": {large, func(*testing.T, *pgx.Conn) io.Reader { return strings.NewReader("x\ty\n") }, "22P02"},
		"CopyFail":             {size, func(*testing.T, *pgx.Conn) io.Reader { return failing{} }, ""},
		"the connection is gone": {size, func(_ *testing.T, torn *pgx.Conn) io.Reader {
			return vanishing{torn}
		}, ""},
		"the session is ended": {size, func(t *testing.T, torn *pgx.Conn) io.Reader {
			return &then{done: make(chan struct{}), do: func() error {
				_, err := conn.Exec(t.Context(), "SELECT pg_terminate_backend("+pid(torn)+")")
				return err
			}}
		}, "57P01"},
		"it is canceled": {size, func(t *testing.T, torn *pgx.Conn) io.Reader {
			return &then{done: make(chan struct{}), do: func() error {
				_, err := conn.Exec(t.Context(), "SELECT pg_cancel_backend("+pid(torn)+")")
				return err
			}}
		}, "57014"},
	} {
		t.Run(what, func(t *testing.T) {
			torn := connect(t)
			end := c.end(t, torn)
			_, err := torn.PgConn().CopyFrom(t.Context(), many(c.size, end), into)
			require.Error(t, err)
			if d, ok := end.(*then); ok {
				<-d.done // What is done is of the connection that is used below.
			}
			if e, ok := errors.AsType[*pgconn.PgError](err); ok && c.code != "" {
				require.Equal(t, c.code, e.Code)
			}
			require.Equal(t, []string{"0"}, rows(t, conn, "SELECT count(*) FROM "+name))
		})
	}
	tag, err := conn.PgConn().CopyFrom(t.Context(), many(size, strings.NewReader("")), into)
	require.NoError(t, err)
	require.Equal(t, []string{strings.TrimPrefix(tag.String(), "COPY ")}, rows(t, conn, "SELECT count(*) FROM "+name))
}

func pid(conn *pgx.Conn) string { return strconv.FormatUint(uint64(conn.PgConn().PID()), 10) }

// TestKilledCopyLeavesNothing: nothing of a COPY is there after the server was killed in its middle.
func TestKilledCopyLeavesNothing(t *testing.T) {
	s, err := system.Start(t.Context(), t.TempDir()+"/data")
	require.NoError(t, err)
	defer s.Kill()
	conn, err := s.Connect(t.Context())
	require.NoError(t, err)
	exec(t, conn, "CREATE TABLE killed "+tornTable)
	exec(t, conn, "INSERT INTO killed VALUES (1, 'before')")
	_, err = conn.PgConn().CopyFrom(t.Context(), many(8<<20, &then{done: make(chan struct{}), do: func() error {
		s.Kill()
		return io.ErrUnexpectedEOF
	}}), "COPY killed FROM STDIN")
	require.Error(t, err)
	require.NoError(t, s.Restart(t.Context()))
	conn, err = s.Connect(t.Context())
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	require.Equal(t, []string{"1|before"}, rows(t, conn, "SELECT * FROM killed"))
}
