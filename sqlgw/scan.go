package sqlgw

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/message/committed"
	"broadsheet.dev/broadsheet/sqlgw/clock"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/staging"
)

// scanFunction is the table function by which DuckDB reads what is decoded here.
const scanFunction = "bs_scan"

// The metadata columns that every table has, hidden from "*".
const (
	metaJournal   = "_journal"
	metaOffset    = "_offset"
	metaTimestamp = "_timestamp"
)

func metaColumns() []columnar.Column {
	return []columnar.Column{
		{Name: metaJournal, Type: columnar.Type{Kind: columnar.Text}},
		{Name: metaOffset, Type: columnar.Type{Kind: columnar.Int64}},
		{Name: metaTimestamp, Type: columnar.Type{Kind: columnar.TimestampTZ}},
	}
}

// scanRegistry holds the scans of running statements. DuckDB names one by its token.
type scanRegistry struct {
	mu    sync.Mutex
	next  uint64
	scans map[string]duck.Scan
}

func newScanRegistry() *scanRegistry { return &scanRegistry{scans: map[string]duck.Scan{}} }

// add makes a scan known, and returns its token.
func (r *scanRegistry) add(s duck.Scan) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	token := strconv.FormatUint(r.next, 36)
	r.scans[token] = s
	return token
}

func (r *scanRegistry) remove(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.scans, token)
}

// bind is called by DuckDB.
func (r *scanRegistry) bind(token string) (duck.Scan, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.scans[token]
	if !ok {
		return duck.Scan{}, errors.New("the scan has ended")
	}
	return s, nil
}

// readScan is the trusted SQL that reads columns of a scan.
func readScan(token string, cols []columnar.Column) string {
	names := make([]string, len(cols))
	for i, c := range cols {
		names[i] = `"` + strings.ReplaceAll(c.Name, `"`, `""`) + `"`
	}
	return "SELECT " + strings.Join(names, ", ") + " FROM " + scanFunction + "('" + token + "')"
}

// tableScan reads the rows of a table's journals that are decoded, for one statement.
type tableScan struct {
	gateway *Gateway
	schema  columnar.Schema
	key     uint64 // fingerprint of schema
	ranges  []decodeRangeOf
	times   map[string][]clock.Point // of each journal, if rows need their times
	counts  *scanCounts              // nil if nobody wants to know
}

// decodeRangeOf is a range of a journal that is decoded. The newest may be in the cache.
type decodeRangeOf struct {
	journal    string
	begin, end int64
	newest     bool
	revision   int64             // at which the journal was created; 0 if that isn't known
	staged     *staging.Snapshot // of the session's transaction; nil for what is in the journal
	holes      committed.Holes   // with lines that aren't rows
	without    []int64           // offsets of rows that aren't wanted, ascending
}

// open begins a reading of the scan, with the columns that are wanted.
func (t *tableScan) open(_ context.Context, project []int) (duck.Source, error) {
	return &rangeSource{scan: t, project: project, left: t.ranges}, nil
}

// rangeSource yields the rows of a scan's ranges in turn.
type rangeSource struct {
	scan    *tableScan
	project []int
	left    []decodeRangeOf

	batches []*columnar.Batch // of the range that is being read, from the cache
	reader  io.ReadCloser     // of that range, if it isn't cached
	scanner *columnar.Scanner
	staged  bool // it isn't in its journal yet
	holes   committed.Holes
	at      decodeRangeOf
}

// Next returns rows, or io.EOF.
func (s *rangeSource) Next(ctx context.Context) (*columnar.Batch, error) {
	for {
		b, err := s.next(ctx)
		if err != nil || b != nil {
			return b, err
		}
	}
}

// next returns rows; nil if there may be more in another place.
func (s *rangeSource) next(ctx context.Context) (*columnar.Batch, error) {
	switch {
	case len(s.batches) > 0:
		b := s.batches[0]
		s.batches = s.batches[1:]
		s.scan.counts.cached(b.Len)
		return s.visible(s.shape(b)), nil
	case s.scanner != nil:
		b, _, err := s.scanner.Next()
		if errors.Is(err, io.EOF) {
			return nil, s.Close()
		}
		if err != nil {
			return nil, err
		}
		s.scan.counts.decoded(b.Len, s.scanner.Offset()-s.at.begin, s.staged)
		s.at.begin = s.scanner.Offset()
		if b.Len == 0 {
			return nil, nil
		}
		if s.staged {
			b.Offsets, b.Ends = nil, nil // nobody knows them yet
		}
		return s.visible(s.shape(b)), nil
	case len(s.left) == 0:
		return nil, io.EOF
	}
	r := s.left[0]
	s.left = s.left[1:]
	return nil, s.begin(ctx, r)
}

// begin reads a range, from the cache if it may be there.
func (s *rangeSource) begin(ctx context.Context, r decodeRangeOf) error {
	g := s.scan.gateway
	s.holes, s.at = r.holes, r
	if s.staged = r.staged != nil; s.staged {
		s.read(r, r.staged.Open())
		return nil
	}
	if r.newest && r.revision > 0 && s.scan.times == nil { // the cache has no ends of rows
		key := headKey{journal: r.journal, revision: r.revision, schema: s.scan.key}
		hit := g.heads.has(key, r.begin, r.end)
		batches, err := g.heads.read(ctx, key, s.scan.schema, r.begin, r.end)
		if !errors.Is(err, errTooLarge) {
			s.scan.counts.head(r.end-r.begin, hit)
			s.batches = batches
			return err
		}
	}
	reader, err := g.openRange(ctx, r.journal, r.begin, r.end)
	if err != nil {
		return err
	}
	s.read(r, reader)
	return nil
}

// read a range from what has its bytes.
func (s *rangeSource) read(r decodeRangeOf, from io.ReadCloser) {
	s.reader = from
	s.scanner = columnar.NewScanner(from, columnar.ScanOptions{
		Journal: r.journal, Begin: r.begin, End: r.end, Schema: s.scan.schema, Ends: s.scan.times != nil,
	})
}

// visible are the rows of a batch that are rows at the cut; nil if none are.
func (s *rangeSource) visible(b *columnar.Batch) *columnar.Batch {
	if b.Offsets != nil {
		b = rowsWithout(rowsBeside(b, s.holes), s.at.without)
	}
	if b.Len == 0 {
		return nil
	}
	return b
}

// shape picks the columns that are wanted, and makes those of metadata.
func (s *rangeSource) shape(b *columnar.Batch) *columnar.Batch {
	n := len(s.scan.schema.Columns)
	out := &columnar.Batch{Len: b.Len, Cols: make([]columnar.Vector, len(s.project)), Journal: b.Journal, Offsets: b.Offsets}
	for i, c := range s.project {
		if c < n {
			out.Cols[i] = b.Cols[c]
			continue
		}
		out.Cols[i] = metaVector(b, metaColumns()[c-n], s.scan.times[b.Journal])
	}
	return out
}

// metaVector makes a metadata column. The time of a message is that of its UUID; of another row that of the first mark that has it; one that is
// younger than all marks has none, nor has what isn't appended yet an offset.
func metaVector(b *columnar.Batch, c columnar.Column, marks []clock.Point) columnar.Vector {
	v := columnar.Vector{Type: c.Type}
	switch {
	case c.Name == metaJournal:
		v.Str.Bytes = []byte(strings.Repeat(b.Journal, b.Len))
		v.Str.Offsets = make([]uint32, b.Len+1)
		for i := range v.Str.Offsets {
			v.Str.Offsets[i] = uint32(i * len(b.Journal))
		}
	case c.Name == metaOffset && b.Offsets != nil:
		v.I64 = b.Offsets
	default:
		v.I64, v.Null = make([]int64, b.Len), make([]bool, b.Len)
		for i := range v.Null {
			v.Null[i] = true
			if c.Name == metaTimestamp && i < len(b.Clocks) && b.Clocks[i] != 0 {
				v.I64[i], v.Null[i] = b.Clocks[i].Time().UnixMicro(), false
			} else if c.Name == metaTimestamp && i < len(b.Ends) {
				if t, ok := clock.TimeOf(marks, b.Ends[i]); ok {
					v.I64[i], v.Null[i] = t.UnixMicro(), false
				}
			}
		}
	}
	return v
}

// Close ends the reading.
func (s *rangeSource) Close() error {
	r := s.reader
	s.reader, s.scanner = nil, nil
	if r == nil {
		return nil
	}
	return r.Close()
}
