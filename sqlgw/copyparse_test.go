package sqlgw

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// TestCopyParse runs testdata/copy: the data of a COPY, in which "^J", "^M" and "^I" stand
// for a newline, a carriage return and a tab at places where a file like this can't have
// them; the answer is a line for each row, with its fields in brackets.
func TestCopyParse(t *testing.T) {
	datadriven.RunTest(t, "testdata/copy", func(t *testing.T, d *datadriven.TestData) string {
		f := copyFormat{CSV: d.Cmd == "csv", Delimiter: '\t', Null: `\N`, Quote: '"', Escape: '"'}
		if f.CSV {
			f.Delimiter, f.Null = ',', ""
		}
		f.Header = d.HasArg("header")
		if d.HasArg("delimiter") {
			var s string
			d.ScanArgs(t, "delimiter", &s)
			f.Delimiter = s[0]
		}
		if d.HasArg("null") {
			d.ScanArgs(t, "null", &f.Null)
		}
		in := strings.NewReplacer("^J", "\n", "^M", "\r", "^I", "\t").Replace(d.Input)
		if !d.HasArg("unterminated") {
			in += "\n"
		}
		whole := parseCopy(strings.NewReader(in), f)
		require.Equal(t, whole, parseCopy(iotest.OneByteReader(strings.NewReader(in)), f), "read in other portions")
		return whole
	})
}

func parseCopy(r io.Reader, f copyFormat) string {
	var out strings.Builder
	p := newCopyParser(r, f, 8)
	for {
		fields, err := p.row()
		if errors.Is(err, io.EOF) {
			return out.String()
		}
		if err != nil {
			fmt.Fprintf(&out, "line %d: %v\n", p.line, err)
			return out.String()
		}
		fmt.Fprintf(&out, "%d:", p.line)
		for _, x := range fields {
			if x.null {
				out.WriteString(" NULL")
			} else {
				fmt.Fprintf(&out, " [%s]", strings.NewReplacer("\n", "^J", "\r", "^M", "\t", "^I").Replace(x.text))
			}
		}
		out.WriteString("\n")
	}
}

func TestCopyLineIsBounded(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("a\n"), endlessReader{})
	p := newCopyParser(endless, copyFormat{Delimiter: '\t', Null: `\N`}, 1)
	_, err := p.row()
	require.NoError(t, err)
	_, err = p.row()
	require.ErrorContains(t, err, "too long")
	require.Less(t, cap(p.raw), 3*maxCopyLine)
}

// TestCopyFieldsAreBounded: a line of nothing but delimiters takes no more memory than its text,
// in both formats, and the line after it is where it was.
func TestCopyFieldsAreBounded(t *testing.T) {
	const n = 1 << 20
	for _, format := range []copyFormat{
		{Delimiter: ',', Null: `\N`},
		{CSV: true, Delimiter: ',', Quote: '"', Escape: '"'},
	} {
		p := newCopyParser(strings.NewReader(strings.Repeat(",", n)+"\n1,2\n"), format, 2)
		fields, err := p.row()
		require.NoError(t, err)
		require.Len(t, fields, 3, "one more than there are columns")
		require.Equal(t, n+1, len(fields)+p.beyond)
		require.Less(t, cap(p.fields), 10)
		fields, err = p.row()
		require.NoError(t, err)
		require.Equal(t, "12", fields[0].text+fields[1].text)
		require.Zero(t, p.beyond)
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// FuzzCopyParse: whatever comes, in whatever portions, is rows or an error, and the same ones.
func FuzzCopyParse(f *testing.F) {
	f.Add("a\tb\\n\n\\.\n", false, byte('"'))
	f.Add("a,\"b\"\"\nc\"\r\n", true, byte('"'))
	f.Add("a,\"b\\\"\\\\\"\r\\.\r", true, byte('\\'))
	f.Fuzz(func(t *testing.T, in string, csv bool, escape byte) {
		format := copyFormat{CSV: csv, Delimiter: ',', Null: "", Quote: '"', Escape: escape}
		whole := parseCopy(strings.NewReader(in), format)
		require.Equal(t, whole, parseCopy(iotest.OneByteReader(strings.NewReader(in)), format))
	})
}
