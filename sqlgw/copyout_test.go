package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// copyResult notes the messages of a COPY TO STDOUT. Only those methods are called.
type copyResult struct {
	pgwire.ResultWriter
	out  strings.Builder
	full error
}

func (r *copyResult) CopyData(p []byte) error {
	if text := string(p); utf8.ValidString(text) && !strings.Contains(text, "\x00") {
		r.out.WriteString(strings.NewReplacer("\t", "^I", "\r", "^M").Replace(text) + "|\n")
	} else {
		fmt.Fprintf(&r.out, "%q|\n", text)
	}
	return r.full
}

func (r *copyResult) EndCopyOut() error {
	r.out.WriteString("done\n")
	return nil
}

func (r *copyResult) Complete(tag string) { r.out.WriteString(tag + "\n") }
func (r *copyResult) Flush() error        { return nil }

// fixedRows is an execution of these batches.
type fixedRows []*columnar.Batch

func (f fixedRows) told() presenter { return presenter{} }

func (f fixedRows) stream(_ context.Context, write func(*columnar.Batch) error, _ func() error) error {
	for _, b := range f {
		if err := write(b); err != nil {
			return err
		}
	}
	return nil
}

// TestCopyOut runs testdata/copyout: the options of a COPY (query) TO STDOUT, then rows whose
// columns are apart by ";", in which "NULL" is one and Go's escapes stand for characters. The
// answer has a "|" at the end of each message.
func TestCopyOut(t *testing.T) {
	datadriven.RunTest(t, "testdata/copyout", func(t *testing.T, d *datadriven.TestData) string {
		options, input, _ := strings.Cut(d.Input, "\n")
		pieces, err := parse.Split("COPY (SELECT 1) TO STDOUT " + options)
		require.NoError(t, err)
		parsed, err := parse.Parse(pieces[0])
		if err != nil {
			return errorText(parseError(err))
		}
		names, rest, _ := strings.Cut(input, "\n")
		cols := textColumns(strings.Split(names, ";")...)
		p := parsed.(*parse.CopyTo)
		quoted, err := (&session{}).forceQuote(t.Context(), p, cols)
		if err != nil {
			return errorText(err)
		}
		c := &copyWriter{columns: cols, format: newCopyEncoder(p.Options, quoted, presenter{})}
		var rows fixedRows
		for line := range strings.Lines(rest) {
			rows = append(rows, textBatch(t, strings.TrimSuffix(line, "\n"), len(cols)))
		}
		out := &copyResult{}
		require.NoError(t, c.copy(t.Context(), out, rows))
		return out.out.String()
	})
}

func textBatch(t *testing.T, line string, n int) *columnar.Batch {
	t.Helper()
	b := &columnar.Batch{Len: 1}
	fields := strings.Split(line, ";")
	require.Len(t, fields, n)
	for _, f := range fields {
		v := columnar.NewVectorBuilder(columnar.Type{Kind: columnar.Text})
		if f == "NULL" {
			v.AppendNull()
		} else {
			v.AppendString(strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r", `\t`, "\t", `\b`, "\b").Replace(f))
		}
		b.Cols = append(b.Cols, v.Vector())
	}
	return b
}

// TestCopyOutEndsWithTheClient: a client that is gone ends it, without more rows.
func TestCopyOutEndsWithTheClient(t *testing.T) {
	gone := errors.New("the client is gone")
	c := &copyWriter{columns: textColumns("a"), format: newCopyEncoder(parse.CopyOptions{Delimiter: '\t', Null: `\N`}, []bool{false}, presenter{})}
	out := &copyResult{full: gone}
	require.ErrorIs(t, c.copy(t.Context(), out, fixedRows{textBatch(t, "x", 1), textBatch(t, "y", 1)}), gone)
	require.Equal(t, "x\n|\n", out.out.String())
}
