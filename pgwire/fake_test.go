package pgwire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// fakeBackend opens sessions that know some statements of PostgreSQL by heart (fakesql_test.go),
// and verbs that do what no statement of PostgreSQL does (fakeverbs_test.go).
type fakeBackend struct {
	events   events
	known    []known // statements
	bulletin bulletin
	plain    bool // sessions know no verbs
	// settings are reported when a session opens.
	settings [][2]string
	open     func(ctx context.Context) error // delays Open
	closing  func()                          // delays Close
	peer     func(Peer)                      // is told of whom sessions are for
}

func (b *fakeBackend) Open(ctx context.Context, s Startup) (Session, error) {
	b.events.add("open user=%s database=%s %v", s.User, s.Database, s.Parameters)
	if b.peer != nil {
		b.peer(s.Peer)
	}
	if b.open != nil {
		if err := b.open(ctx); err != nil {
			return nil, err
		}
	}
	if b.plain {
		s.Parameters = nil
	}
	if s.Parameters["refuse"] != "" {
		return nil, &Error{Code: "3D000", Message: "database \"" + s.Database + "\" does not exist"}
	}
	if s.Parameters["panic"] != "" {
		panic(s.Parameters["panic"])
	}
	for _, kv := range b.settings {
		s.Params.SetParameter(kv[0], kv[1])
	}
	f := &fakeSession{pid: s.PID, names: s.Names, line: s.Line, events: &b.events, params: s.Params, backend: b, tx: 'I', application: s.Parameters["application_name"], parameters: s.Parameters}
	s.Params.SetParameter("application_name", f.application)
	return f, nil
}

// events are what sessions tell tests of, in order.
type events struct {
	mu      sync.Mutex
	list    []string
	changed chan struct{}
}

func (e *events) add(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, fmt.Sprintf(format, args...))
	if e.changed != nil {
		close(e.changed)
		e.changed = nil
	}
}

// take waits for an event that begins with prefix and removes it and those before.
func (e *events) take(ctx context.Context, prefix string) (string, error) {
	for {
		e.mu.Lock()
		for i, x := range e.list {
			if strings.HasPrefix(x, prefix) {
				e.list = e.list[i+1:]
				e.mu.Unlock()
				return x, nil
			}
		}
		if e.changed == nil {
			e.changed = make(chan struct{})
		}
		changed := e.changed
		all := fmt.Sprint(e.list)
		e.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("no event %q in %s: %w", prefix, all, ctx.Err())
		}
	}
}

// rest removes all events and returns them.
func (e *events) rest() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.list
	e.list = nil
	return list
}

// fakeSession is a session of a fakeBackend.
type fakeSession struct {
	backend     *fakeBackend
	pid         uint32
	names       Names
	line        Line
	events      *events
	params      ParameterSink
	parameters  map[string]string
	application string
	tx          byte
	calls       int // running, to see that none overlap
	table       int // rows of table t
}

func (s *fakeSession) enter() func() {
	if s.calls++; s.calls > 1 {
		panic("calls overlap")
	}
	return func() { s.calls-- }
}

func (s *fakeSession) TxStatus() byte { return s.tx }

func (s *fakeSession) Sync(context.Context) error {
	defer s.enter()()
	if s.parameters["failing"] == "sync" {
		return &Error{Code: "40001", Message: "could not serialize access"}
	}
	return nil
}

func (s *fakeSession) Close() {
	s.listen(false)
	if s.parameters["failing"] == "close" {
		panic("closing")
	}
	if s.backend.closing != nil {
		s.backend.closing()
	}
	s.events.add("session closed")
}

var errAborted = &Error{Code: "25P02", Message: "current transaction is aborted, commands ignored until end of transaction block"}

// fail puts a transaction block into its failed state.
func (s *fakeSession) fail(err error) error {
	if err != nil && s.tx == 'T' {
		s.tx = 'E'
	}
	return err
}

// allowed fails in a failed transaction block.
func (s *fakeSession) allowed(sql string) error {
	if s.tx == 'E' && sql != "rollback" && sql != "commit" {
		return errAborted
	}
	return nil
}

func (s *fakeSession) Parse(ctx context.Context, sql string, oids []uint32) ([]Statement, error) {
	defer s.enter()()
	var out []Statement
	for _, text := range splitSQL(sql) {
		do, err := s.backend.compile(text)
		if err != nil {
			return nil, s.fail(err)
		}
		if err := s.allowed(text); err != nil {
			return nil, err
		}
		if strings.HasPrefix(text, "!parse-") {
			if _, err := do.run(ctx, &fakePortal{session: s}, nil, 0); err != nil {
				return nil, err
			}
		}
		out = append(out, &fakeStatement{session: s, sql: text, does: do, oids: oids})
	}
	return out, nil
}

// splitSQL cuts a text at semicolons outside of dollar quotes, and drops comments.
func splitSQL(sql string) []string {
	var out []string
	var lines []string
	for line := range strings.SplitSeq(sql, "\n") {
		line, _, _ = strings.Cut(line, "--")
		lines = append(lines, line)
	}
	for i, part := range strings.Split(strings.Join(lines, "\n"), "$$") {
		if i%2 == 1 {
			out[len(out)-1] += "$$" + part + "$$"
			continue
		}
		for j, piece := range strings.Split(part, ";") {
			if j == 0 && i > 0 {
				out[len(out)-1] += piece
				continue
			}
			out = append(out, piece)
		}
	}
	var some []string
	for _, text := range out {
		if text = strings.TrimSpace(text); text != "" {
			some = append(some, text)
		}
	}
	return some
}

// behaviour is what a statement does.
type behaviour struct {
	params  []uint32
	columns []Column
	bind    func(*fakeSession) error
	// run goes on with a portal for at most limit rows.
	run func(ctx context.Context, p *fakePortal, w ResultWriter, limit int) (bool, error)
}

type fakeStatement struct {
	session *fakeSession
	sql     string
	does    behaviour
	oids    []uint32
	portals int
	closed  bool
}

func (s *fakeStatement) Params() []uint32  { return s.does.params }
func (s *fakeStatement) Columns() []Column { return s.does.columns }

func (s *fakeStatement) Close() {
	if s.portals > 0 || s.closed {
		panic("closed before its portals, or twice")
	}
	s.closed = true
	if strings.HasPrefix(s.sql, "!logged") {
		s.session.events.add("statement closed")
	}
	if s.sql == "!panic-close" {
		panic("in Close")
	}
}

func (s *fakeStatement) Bind(_ context.Context, args []Arg) (Portal, error) {
	defer s.session.enter()()
	if err := s.session.allowed(s.sql); err != nil {
		return nil, err
	}
	if s.does.bind != nil {
		if err := s.does.bind(s.session); err != nil {
			return nil, s.session.fail(err)
		}
	}
	p := &fakePortal{session: s.session, statement: s}
	for i, a := range args {
		v, err := decodeArg(s.does.params[i], a)
		if err != nil {
			return nil, s.session.fail(err)
		}
		p.args = append(p.args, v)
	}
	s.portals++
	return p, nil
}

// decodeArg makes text of a parameter; NULL is nil.
func decodeArg(oid uint32, a Arg) (*string, error) {
	if a.Data == nil {
		return nil, nil
	}
	text := string(a.Data)
	if oid == 23 && a.Binary {
		if len(a.Data) != 4 {
			return nil, &Error{Code: "22P03", Message: "incorrect binary data format in bind parameter 1"}
		}
		text = strconv.Itoa(int(int32(binary.BigEndian.Uint32(a.Data))))
	}
	if oid == 23 {
		if _, err := strconv.ParseInt(text, 10, 32); err != nil {
			return nil, &Error{Code: "22P02", Message: fmt.Sprintf("invalid input syntax for type integer: %q", text)}
		}
	}
	return &text, nil
}

type fakePortal struct {
	session   *fakeSession
	statement *fakeStatement
	args      []*string
	next      int // number of the next row
}

func (p *fakePortal) Close() {
	p.statement.portals--
	if strings.HasPrefix(p.statement.sql, "!logged") {
		p.session.events.add("portal closed")
	}
}

func (p *fakePortal) Execute(ctx context.Context, w ResultWriter, limit int) (bool, error) {
	defer p.session.enter()()
	if err := p.session.allowed(p.statement.sql); err != nil {
		return false, err
	}
	done, err := p.statement.does.run(ctx, p, w, limit)
	return done, p.session.fail(err)
}

// writeValues writes a row of int4 or text columns.
func writeValues(w RowSink, cols []Column, values ...*string) error {
	row := w.Row(len(values))
	for i, v := range values {
		switch {
		case v == nil:
			row.Null()
		case w.Binary(i) && cols[i].TypeOID == 23:
			n, err := strconv.ParseInt(*v, 10, 32)
			if err != nil {
				return err
			}
			row.Put(binary.BigEndian.AppendUint32(row.Begin(), uint32(int32(n))))
		default:
			row.Put(append(row.Begin(), *v...))
		}
	}
	return row.End()
}

func number(n int) *string {
	s := strconv.Itoa(n)
	return &s
}

// series writes rows 1 to n with the values that each gives.
func series(cols []Column, n int, tag string, value func(i int) (*string, error)) func(context.Context, *fakePortal, ResultWriter, int) (bool, error) {
	return func(_ context.Context, p *fakePortal, w ResultWriter, limit int) (bool, error) {
		for sent := 0; ; sent++ {
			if limit > 0 && sent == limit {
				return false, nil
			}
			if p.next == n {
				w.Complete(tag + " " + strconv.Itoa(sent))
				return true, nil
			}
			p.next++
			v, err := value(p.next)
			if err != nil {
				return false, err
			}
			if err := writeValues(w, cols, v); err != nil {
				return false, err
			}
		}
	}
}

// readCopy reads the lines of a COPY to its end.
func readCopy(r CopyReader, line func(string) error) (int, error) {
	var text strings.Builder
	buf := make([]byte, 7)
	n := 0
	for {
		got, err := r.Read(buf)
		text.Write(buf[:got])
		for {
			first, rest, ok := strings.Cut(text.String(), "\n")
			if !ok {
				break
			}
			text.Reset()
			text.WriteString(rest)
			n++
			if err := line(first); err != nil {
				return n, err
			}
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
