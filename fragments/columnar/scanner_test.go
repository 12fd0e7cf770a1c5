package columnar

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// everySchema has a column of each type, and one that is NOT NULL.
func everySchema() Schema {
	var s Schema
	for i, t := range allTypes() {
		s.Columns = append(s.Columns, Column{Name: fmt.Sprintf("c%d", i), Type: t})
	}
	s.Columns = append(s.Columns, Column{Name: "must", Type: Type{Kind: Int32}, NotNull: true})
	return s
}

// scanned is all that a scan gives, in the order of the stream.
type scanned struct {
	rows    []string // offset and values
	rejects []string // offset, length and reason
	offset  int64
	batches int
	err     error
}

func scan(r io.Reader, o ScanOptions) scanned {
	s := NewScanner(r, o)
	var out scanned
	for {
		batch, rejects, err := s.Next()
		out.offset = s.Offset()
		if err != nil {
			out.err = err
			return out
		}
		out.batches++
		for i := range batch.Len {
			row := []string{fmt.Sprint(batch.Journal, "@", batch.Offsets[i])}
			for c := range batch.Cols {
				row = append(row, strings.ReplaceAll(values(&batch.Cols[c])[i], "|", `\x7c`))
			}
			out.rows = append(out.rows, strings.Join(row, " | "))
		}
		for _, r := range rejects {
			out.rejects = append(out.rejects, fmt.Sprintf("%s@%d+%d %s %s", r.Journal, r.Offset, r.Length, r.Bytes, r.Reason))
		}
	}
}

func textSchema() Schema {
	return Schema{Columns: []Column{{Name: "a", Type: Type{Kind: Int32}}, {Name: "b", Type: Type{Kind: Text}}}}
}

func TestScan(t *testing.T) {
	content := `{"a":1,"b":"x"}` + "\n" + // 0
		"\n" + // 16
		" \t\r\n" + // 17
		`{"b":"y"}` + "\r\n" + // 21
		`nonsense` + "\n" + // 32
		`{"a":1.7}` + "\n" + // 41
		`{}` + "\n" + // 51
		`{"a":9,"b":"torn"}` // 54
	got := scan(strings.NewReader(content), ScanOptions{Journal: "j/", Begin: 1000, End: 1000 + int64(len(content)), Schema: textSchema()})
	require.Equal(t, scanned{
		rows: []string{"j/@1000 | 1 | x", "j/@1021 | NULL | y", "j/@1051 | NULL | NULL"},
		rejects: []string{
			"j/@1032+8 nonsense not valid JSON at byte 0: expected a value",
			`j/@1041+9 {"a":1.7} column "a": 1.7 is not an integer`,
		},
		offset: 1054, batches: 1, err: io.EOF,
	}, got)

	// A cut inside a line leaves it out, wherever it is.
	for end := range content {
		got := scan(strings.NewReader(content), ScanOptions{End: int64(end), Schema: textSchema()})
		require.Equal(t, int64(strings.LastIndexByte(content[:end], '\n')+1), got.offset)
		require.Equal(t, io.EOF, got.err)
	}
}

func TestScanNotNull(t *testing.T) {
	s := textSchema()
	s.Columns[1].NotNull = true
	got := scan(strings.NewReader(`{"a":1}`+"\n"+`{"b":null}`+"\n"+`{"b":""}`+"\n"), ScanOptions{End: -1, Schema: s})
	require.Equal(t, []string{
		`@0+7 {"a":1} column "b" is NULL but NOT NULL`,
		`@8+10 {"b":null} column "b" is NULL but NOT NULL`,
	}, got.rejects)
	require.Equal(t, []string{"@19 | NULL | "}, got.rows)
}

// genContent is lines right and wrong for everySchema, with blank ones among them, and
// perhaps a torn one at the end.
func genContent(t *rapid.T, schema Schema) []byte {
	var content []byte
	w := NewRowWriter(schema, nil)
	for range rapid.IntRange(0, 6).Draw(t, "lines") {
		b := &Batch{Len: 1}
		for _, c := range schema.Columns {
			into := NewVectorBuilder(c.Type)
			if c.NotNull {
				genValue(t, c.Type, into)
			} else {
				genRows(t, into, 1)
			}
			b.Cols = append(b.Cols, into.Vector())
		}
		line, err := w.AppendRow(nil, b, 0)
		if err != nil {
			t.Fatalf("writing a row: %v", err)
		}
		switch rapid.IntRange(0, 9).Draw(t, "damage") {
		case 0:
			line = line[:rapid.IntRange(0, len(line)).Draw(t, "cut")]
		case 1:
			at := rapid.IntRange(0, len(line)-1).Draw(t, "at")
			line[at] = rapid.SampledFrom([]byte("\n\x00\"\\{}[],:x0 ")).Draw(t, "byte")
		case 2:
			line = []byte(" \n")
		}
		content = append(content, line...)
	}
	return content
}

// slowReader gives the content in pieces of the given sizes, round and round.
type slowReader struct {
	content []byte
	sizes   []int
	n       int
}

func (r *slowReader) Read(p []byte) (int, error) {
	if len(r.content) == 0 {
		return 0, io.EOF
	}
	size := min(r.sizes[r.n%len(r.sizes)], len(p), len(r.content))
	r.n++
	copy(p, r.content[:size])
	r.content = r.content[size:]
	return size, nil
}

// TestScanDoesNotDependOnChunks reads the same content in any pieces, with batches and
// limits of any size.
func TestScanDoesNotDependOnChunks(t *testing.T) {
	schema := everySchema()
	rapid.Check(t, func(t *rapid.T) {
		content := genContent(t, schema)
		o := ScanOptions{
			Journal: "j", Begin: 5, End: 5 + int64(len(content)), Schema: schema,
			MaxLine: rapid.SampledFrom([]int{0, 10, 200, 1000}).Draw(t, "limit"),
		}
		want := scan(bytes.NewReader(content), o)
		require.ErrorIs(t, want.err, io.EOF)

		o.BatchRows = rapid.IntRange(1, 3).Draw(t, "batch")
		sizes := rapid.SliceOfN(rapid.IntRange(0, 100), 1, 5).Draw(t, "sizes")
		sizes[0]++
		got := scan(&slowReader{content: content, sizes: sizes}, o)
		want.batches, got.batches = 0, 0
		require.Equal(t, want, got)
		got = scan(iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(content))), o)
		got.batches = 0
		require.Equal(t, want, got)
	})
}

// TestRejectsDoNotDependOnProjection reads any columns, in any order, and finds the same
// lines to be rows and the same reasons for the others.
func TestRejectsDoNotDependOnProjection(t *testing.T) {
	schema := everySchema()
	rapid.Check(t, func(t *rapid.T) {
		content := genContent(t, schema)
		o := ScanOptions{End: -1, Schema: schema}
		all := scan(bytes.NewReader(content), o)
		o.Project = rapid.SliceOfN(rapid.IntRange(0, len(schema.Columns)-1), 0, 4).Draw(t, "columns")
		if o.Project == nil {
			o.Project = []int{}
		}
		some := scan(bytes.NewReader(content), o)
		require.Equal(t, all.rejects, some.rejects)
		require.Len(t, some.rows, len(all.rows))
		for i, row := range all.rows {
			from := strings.Split(row, " | ")
			want := []string{from[0]}
			for _, c := range o.Project {
				want = append(want, from[c+1])
			}
			require.Equal(t, strings.Join(want, " | "), some.rows[i])
		}
		proof, err := NewProver(schema).Prove(bytes.NewReader(content))
		require.NoError(t, err)
		require.EqualValues(t, len(all.rows), proof.Rows)
		require.EqualValues(t, len(all.rejects), proof.Rejects)
	})
}

// repeated reads the same content again and again, for as many bytes.
type repeated struct {
	content []byte
	at      int
	left    int64
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), len(r.content)-r.at, int(min(r.left, 1<<30)))
	copy(p, r.content[r.at:r.at+n])
	r.at = (r.at + n) % len(r.content)
	r.left -= int64(n)
	return n, nil
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestLongLine(t *testing.T) {
	const length = 1 << 30
	long := func() io.Reader {
		return io.MultiReader(
			strings.NewReader(`{"a":1}`+"\n"),
			&repeated{content: bytes.Repeat([]byte("xyz"), 1<<18), left: length},
			strings.NewReader("\n"+`{"a":2}`+"\n"))
	}
	const limit = 100 << 10
	var got scanned
	used := allocated(func() {
		got = scan(long(), ScanOptions{End: -1, Schema: textSchema(), MaxLine: limit})
	})
	require.Equal(t, []string{"@0 | 1 | NULL", fmt.Sprintf("@%d | 2 | NULL", length+9)}, got.rows)
	require.Equal(t, []string{fmt.Sprintf("@8+%d %s the line is longer than %d bytes", length, strings.Repeat("xyz", maxRejectBytes/3+1)[:maxRejectBytes], limit)}, got.rejects)
	require.EqualValues(t, length+9+8, got.offset)
	require.Less(t, used, uint64(2<<20), "the line must not be held")

	// A long line without its end isn't a reject, and the offset stays where it begins.
	got = scan(&repeated{content: []byte("xyz"), left: 1 << 20}, ScanOptions{Begin: 7, End: 7 + 1<<20, Schema: textSchema(), MaxLine: limit})
	require.Equal(t, scanned{offset: 7, err: io.EOF}, got)

	// A line at the limit is a row, one byte over it isn't.
	line := `{"b":"` + strings.Repeat("x", limit-8) + `"}`
	require.Len(t, line, limit)
	got = scan(strings.NewReader(line+"\n"+line+" \n"+line+"\n"), ScanOptions{End: -1, Schema: textSchema(), MaxLine: limit})
	require.Len(t, got.rows, 2)
	require.Len(t, got.rejects, 1)
}

// TestRowAtTheLimit reads the longest line that there may be without a limit of the caller.
func TestRowAtTheLimit(t *testing.T) {
	line := `{"b":"` + strings.Repeat("é", (MaxLine-8)/2) + `"}`
	require.Len(t, line, MaxLine)
	proof, err := NewProver(textSchema()).Prove(strings.NewReader(line + "\n" + line + " \n"))
	require.NoError(t, err)
	require.Equal(t, []int64{1, 1}, []int64{proof.Rows, proof.Rejects})
	got := scan(strings.NewReader(line+"\n"+line+" \n"), ScanOptions{End: -1, Schema: textSchema()})
	require.Len(t, got.rows, 1)
	require.Len(t, got.rejects, 1)
}

// TestBatchesAreBounded checks that neither many rejects nor padded or normalised
// values make a batch grow without bounds.
func TestBatchesAreBounded(t *testing.T) {
	schema := Schema{Columns: []Column{{Name: "c", Type: Type{Kind: Char, Length: 1 << 20}}, {Name: "j", Type: Type{Kind: JSONB}}}}
	for _, line := range []string{`{"c":"x"}`, `{"j":[1e99999,1e99999,1e99999,1e99999,1e99999,1e99999,1e99999,1e99999]}`, strings.Repeat("x", 20000)} {
		s := NewScanner(&repeated{content: []byte(line + "\n"), left: int64(len(line)+1) * 80}, ScanOptions{End: -1, Schema: schema})
		lines := 0
		for {
			batch, rejects, err := s.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			require.Less(t, batch.Bytes(), int64(3*maxBatchBytes))
			kept := 0
			for _, r := range rejects {
				require.LessOrEqual(t, len(r.Bytes), maxRejectBytes)
				kept += len(r.Bytes)
			}
			require.Less(t, kept, maxRejectsBytes+maxRejectBytes)
			lines += batch.Len + len(rejects)
		}
		require.Equal(t, 80, lines)
	}
}

func TestScanErrors(t *testing.T) {
	broken := errors.New("broken")
	line := `{"a":1}` + "\n"
	s := NewScanner(io.MultiReader(strings.NewReader(line+"{"), iotest.ErrReader(broken)), ScanOptions{Begin: 10, End: -1, Schema: textSchema()})
	batch, _, err := s.Next()
	require.NoError(t, err)
	require.Equal(t, 1, batch.Len)
	for range 2 {
		_, _, err = s.Next()
		require.ErrorIs(t, err, broken)
		require.EqualError(t, err, "reading at offset 19: broken")
		require.EqualValues(t, 18, s.Offset())
	}

	// A reader that ends too soon is no end of the range.
	got := scan(strings.NewReader(line), ScanOptions{End: 20, Schema: textSchema()})
	require.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
	require.Len(t, got.rows, 1)
	got = scan(iotest.DataErrReader(strings.NewReader(line)), ScanOptions{End: 20, Schema: textSchema()})
	require.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
	// One that has more than the range isn't read further.
	got = scan(io.MultiReader(strings.NewReader(line), iotest.ErrReader(broken)), ScanOptions{End: 8, Schema: textSchema()})
	require.Equal(t, io.EOF, got.err)
	require.Len(t, got.rows, 1)
	// An empty range is empty, whatever the reader has.
	require.Equal(t, scanned{offset: 3, err: io.EOF}, scan(strings.NewReader(line), ScanOptions{Begin: 3, End: 3, Schema: textSchema()}))
	// A reader that gives nothing for ever is given up.
	got = scan(&slowReader{content: []byte("x"), sizes: []int{0}}, ScanOptions{End: -1, Schema: textSchema()})
	require.ErrorIs(t, got.err, io.ErrNoProgress)
	require.ErrorIs(t, scan(badReader{}, ScanOptions{End: -1, Schema: textSchema()}).err, errBadRead)
}

type badReader struct{}

func (badReader) Read(p []byte) (int, error) { return len(p) + 1, nil }

func TestScanOptions(t *testing.T) {
	for _, c := range []struct {
		change func(o *ScanOptions)
		want   string
	}{
		{func(o *ScanOptions) { o.MaxLine = -1 }, "MaxLine -1"},
		{func(o *ScanOptions) { o.MaxLine = MaxLine + 1 }, "MaxLine 16777217"},
		{func(o *ScanOptions) { o.BatchRows = -1 }, "BatchRows -1"},
		{func(o *ScanOptions) { o.Begin, o.End = 5, 4 }, "ends at 4"},
		{func(o *ScanOptions) { o.Project = []int{2} }, "column 2"},
		{func(o *ScanOptions) { o.Project = []int{-1} }, "column -1"},
		{func(o *ScanOptions) { o.Schema.Columns[0].Name = "b" }, `another "b"`},
	} {
		o := ScanOptions{End: -1, Schema: textSchema()}
		c.change(&o)
		require.ErrorContains(t, o.Validate(), c.want)
		require.ErrorContains(t, scan(strings.NewReader(""), o).err, c.want)
	}
	_, err := NewProver(Schema{Columns: []Column{{}}}).Prove(strings.NewReader(""))
	require.Error(t, err)
}

// TestNoColumns counts the rows of a schema without columns.
func TestNoColumns(t *testing.T) {
	got := scan(strings.NewReader("{}\n"+`{"a":1}`+"\nx\n"), ScanOptions{End: -1})
	require.Len(t, got.rows, 2)
	require.Len(t, got.rejects, 1)
}
