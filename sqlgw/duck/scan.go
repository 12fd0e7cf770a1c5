package duck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// Source hands out the rows of one scan. DuckDB's threads call it, one at a time. Next
// returns batches whose column i is the scan's column project[i], io.EOF at the end, and
// must return soon after its context has ended, which is when the statement is cancelled,
// fails or is closed. Close is called exactly once, at the end of the rows or of the
// statement, and must not wait for anything.
type Source interface {
	Next(ctx context.Context) (*columnar.Batch, error)
	Close() error
}

// Scan is what one mention of a registered function in a statement stands for.
type Scan struct {
	// Columns are what the function returns. NotNull isn't checked.
	Columns []columnar.Column
	// Open starts reading the columns project[0], project[1], ... of Columns. It is called
	// each time that the statement runs, more than once if the plan reads the scan more than
	// once. Where only the number of rows matters, as for count(*), DuckDB asks for column
	// 0: put the one first that costs least to read.
	Open func(ctx context.Context, project []int) (Source, error)
	// OpenParts may stand in Open's place: every row is in one of the sources, which
	// several threads read at the same time, in no order.
	OpenParts func(ctx context.Context, project []int) ([]Source, error)
	// Cardinality is about how many rows there are, for the planner; 0 if not known.
	Cardinality int64
}

// registration is a table function of an instance.
type registration struct {
	db   *DB
	name string
	bind func(token string) (Scan, error)
}

// RegisterScan makes SELECT ... FROM name('token') read what bind(token) describes. It
// holds for all connections and as long as the instance. bind is called when a statement
// is prepared, and again whenever DuckDB compiles it anew, with DuckDB's locks held: it
// looks something up and must not use the instance. The token is the only thing that SQL
// can say to a scan, so it must not be guessable where rights differ.
func (d *DB) RegisterScan(name string, bind func(token string) (Scan, error)) error {
	if !d.claim(strings.ToLower(name)) {
		return fmt.Errorf("duck: register scan %q: the name is taken", name)
	}
	c, err := d.Conn(context.Background())
	if err != nil {
		return err
	}
	f := mapping.CreateTableFunction()
	defer mapping.DestroyTableFunction(&f)
	mapping.TableFunctionSetName(f, name)
	text := mapping.CreateLogicalType(mapping.TypeVarchar)
	defer mapping.DestroyLogicalType(&text)
	mapping.TableFunctionAddParameter(f, text)
	mapping.TableFunctionSupportsProjectionPushdown(f, true)
	setCallbacks(f, d.hold(&registration{db: d, name: name, bind: bind}))
	if mapping.RegisterTableFunction(c.native, f) != mapping.StateSuccess {
		err = fmt.Errorf("duck: register scan %q: refused", name)
	}
	return errors.Join(err, c.Close())
}

func (*registration) drop() {}

// claim tells whether name is new. DuckDB ignores a second function of a name.
func (d *DB) claim(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.scans[name] {
		return false
	}
	d.scans[name] = true
	return true
}

// boundScan is a Scan in a compiled statement.
type boundScan struct {
	*registration
	scan Scan
	conn *Conn
}

func (*boundScan) drop() {}

// doBind describes the scan to DuckDB.
func (r *registration) doBind(info mapping.BindInfo) (*boundScan, error) {
	var client mapping.ClientContext
	mapping.TableFunctionGetClientContext(info, &client)
	id := uint64(mapping.ClientContextGetConnectionId(client))
	mapping.DestroyClientContext(&client)
	conn, ok := r.db.lookup(id)
	if !ok {
		return nil, fmt.Errorf("scan %q: used on a connection that isn't this package's", r.name)
	}
	parameter := mapping.BindGetParameter(info, 0)
	defer mapping.DestroyValue(&parameter)
	if mapping.IsNullValue(parameter) {
		return nil, fmt.Errorf("scan %q: the token is NULL", r.name)
	}
	var scan Scan
	err := guard(func() error {
		var err error
		scan, err = r.bind(mapping.GetVarchar(parameter))
		return err
	})
	if err != nil {
		return nil, conn.failed(fmt.Errorf("scan %q: %w", r.name, err))
	}
	if len(scan.Columns) == 0 || (scan.Open == nil) == (scan.OpenParts == nil) {
		return nil, fmt.Errorf("scan %q: needs columns and one of Open and OpenParts", r.name)
	}
	for _, column := range scan.Columns {
		lt, err := newLogicalType(column.Type)
		if err != nil {
			return nil, fmt.Errorf("scan %q: column %q: %w", r.name, column.Name, err)
		}
		mapping.BindAddResultColumn(info, column.Name, lt)
		mapping.DestroyLogicalType(&lt)
	}
	if scan.Cardinality > 0 {
		mapping.BindSetCardinality(info, mapping.IdxT(scan.Cardinality), false)
	}
	return &boundScan{registration: r, scan: scan, conn: conn}, nil
}

// failed makes err what the connection's running call reports.
func (c *Conn) failed(err error) error {
	if running := c.active.Load(); running != nil {
		running.fail(err)
	}
	return err
}

// scanState is one run of a scan: the sources that no thread has taken yet.
type scanState struct {
	*boundScan
	call    *call
	project []int
	types   []columnar.Type

	mu      sync.Mutex
	waiting []Source
}

// doInit opens the sources.
func (b *boundScan) doInit(info mapping.InitInfo) (*scanState, error) {
	running := b.conn.active.Load()
	if running == nil {
		return nil, fmt.Errorf("scan %q: no statement runs", b.name)
	}
	s := &scanState{boundScan: b, call: running, project: []int{}}
	for i := range mapping.InitGetColumnCount(info) {
		// What is behind the columns is DuckDB's own row number or nothing, asked
		// for when only the number of rows matters.
		if index := mapping.InitGetColumnIndex(info, i); index < mapping.IdxT(len(b.scan.Columns)) {
			s.project = append(s.project, int(index))
			s.types = append(s.types, b.scan.Columns[index].Type)
		}
	}
	var err error
	if b.scan.OpenParts != nil {
		s.waiting, err = b.scan.OpenParts(running.ctx, s.project)
	} else {
		var source Source
		if source, err = b.scan.Open(running.ctx, s.project); err == nil {
			s.waiting = []Source{source}
		}
	}
	if err != nil {
		return nil, b.conn.failed(fmt.Errorf("scan %q: open: %w", b.name, err))
	}
	b.db.held.Add(int64(len(s.waiting)))
	mapping.InitSetMaxThreads(info, mapping.IdxT(max(1, len(s.waiting))))
	return s, nil
}

// take gives a source to the thread that asks.
func (s *scanState) take() Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return nil
	}
	source := s.waiting[0]
	s.waiting = s.waiting[1:]
	return source
}

// drop closes what no thread took.
func (s *scanState) drop() {
	for source := s.take(); source != nil; source = s.take() {
		s.closeSource(source)
	}
}

// closeSource closes a source; its error fails the statement, if that still runs.
func (s *scanState) closeSource(source Source) {
	s.db.held.Add(-1)
	if err := guard(source.Close); err != nil {
		_ = s.conn.failed(fmt.Errorf("scan %q: close: %w", s.name, err))
	}
}

// threadState is what one of DuckDB's threads reads.
//
// Invariant: source is this thread's alone and not closed yet; it is nil before the
// first and after the last. Rows of batch before at were handed out.
type threadState struct {
	*scanState
	source Source
	batch  *columnar.Batch
	at     int
}

func (t *threadState) drop() {
	if t.source != nil {
		source := t.source
		t.source, t.batch = nil, nil
		t.closeSource(source)
	}
}

// fill writes the next rows into chunk and returns how many; 0 is the end.
func (t *threadState) fill(chunk mapping.DataChunk) (int, error) {
	for t.batch == nil || t.at >= t.batch.Len {
		if err := t.advance(); err != nil {
			if errors.Is(err, io.EOF) {
				return 0, nil
			}
			return 0, t.conn.failed(fmt.Errorf("scan %q: %w", t.name, err))
		}
	}
	n := min(t.batch.Len-t.at, int(mapping.VectorSize()))
	for i := range t.project {
		w := vectorWriter{vector: mapping.DataChunkGetVector(chunk, mapping.IdxT(i)), from: t.at, n: n}
		if err := w.write(&t.batch.Cols[i]); err != nil {
			column := t.scan.Columns[t.project[i]].Name
			return 0, t.conn.failed(fmt.Errorf("scan %q: column %q: %w", t.name, column, err))
		}
	}
	t.at += n
	t.db.metrics.scanned.Add(float64(n))
	return n, nil
}

// advance gets the next batch, of the next source when one ends.
func (t *threadState) advance() error {
	if t.call.ctx.Err() != nil {
		return context.Cause(t.call.ctx)
	}
	if t.source == nil {
		if t.source = t.take(); t.source == nil {
			return io.EOF
		}
	}
	batch, err := t.source.Next(t.call.ctx)
	if errors.Is(err, io.EOF) {
		t.drop()
		return nil
	}
	if err != nil {
		return err
	}
	if len(batch.Cols) != len(t.project) {
		return fmt.Errorf("a batch has %d columns, %d were asked for", len(batch.Cols), len(t.project))
	}
	for i := range batch.Cols {
		if batch.Cols[i].Type != t.types[i] {
			return fmt.Errorf("a batch's column %q is of another type than the scan's", t.scan.Columns[t.project[i]].Name)
		}
		if err := checkLen(&batch.Cols[i], batch.Len); err != nil {
			return err
		}
	}
	t.batch, t.at = batch, 0
	return nil
}
