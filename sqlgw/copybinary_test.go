package sqlgw

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// copyTable is a table of an integer and texts.
func copyTable(texts int) copyTarget {
	t := copyTarget{table: catalog.Table{Name: "t", Columns: []catalog.Column{{Name: "n", Type: columnar.Type{Kind: columnar.Int32}}}}, cols: []int{0}}
	for i := range texts {
		t.table.Columns = append(t.table.Columns, catalog.Column{Name: string(rune('a' + i)), Type: columnar.Type{Kind: columnar.Text}})
		t.cols = append(t.cols, i+1)
	}
	return t
}

// readCopy reads rows to the end.
func readCopy(t copyTarget, source copyRows, data io.Reader) (*columnar.Batch, error) {
	source.from(data)
	var into []*columnar.VectorBuilder
	for i := range t.cols {
		into = append(into, columnar.NewVectorBuilder(t.column(i).Type))
	}
	b := &columnar.Batch{}
	for {
		if _, err := source.next(into); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		b.Len++
	}
	for _, v := range into {
		b.Cols = append(b.Cols, v.Vector())
	}
	return b, nil
}

// TestCopyThereAndBack: what COPY TO writes is what COPY FROM reads, in every format and with every option.
func TestCopyThereAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := parse.CopyOptions{
			Format:    rapid.SampledFrom([]parse.CopyFormat{parse.CopyText, parse.CopyCSV, parse.CopyBinary}).Draw(t, "format"),
			Delimiter: rapid.SampledFrom([]byte{',', '\t', '|', ';', 0x01}).Draw(t, "delimiter"),
			Null:      rapid.SampledFrom([]string{`\N`, "nil", "NULL"}).Draw(t, "null"),
			Header:    rapid.SampledFrom([]parse.Header{parse.HeaderNone, parse.HeaderLine, parse.HeaderMatch}).Draw(t, "header"),
			Quote:     rapid.SampledFrom([]byte{'"', '\''}).Draw(t, "quote"),
			Escape:    rapid.SampledFrom([]byte{'"', '!', '\\'}).Draw(t, "escape"),
		}
		if o.Format == parse.CopyText {
			o.Null = `\N` // another one can't be told from a value, in PostgreSQL neither
		}
		target := copyTable(rapid.IntRange(0, 3).Draw(t, "texts"))
		b := copyBatchOf(t, target)
		columns := textColumns()
		for i := range target.cols {
			columns = append(columns, pgwire.Column{Name: target.column(i).Name})
		}
		e := newCopyEncoder(o, rapid.SliceOfN(rapid.Bool(), len(target.cols), len(target.cols)).Draw(t, "quoted"), presenter{})
		data := e.begin(e.header(nil, columns))
		for row := range b.Len {
			data = e.row(data, b, row)
		}
		data = e.end(data)
		var source copyRows = &binaryRows{copyTarget: target}
		if o.Format != parse.CopyBinary {
			var err error
			source, err = newTextRows(target, &o, nil)
			require.NoError(t, err)
		}
		back, err := readCopy(target, source, iotest.HalfReader(bytes.NewReader(data)))
		require.NoError(t, err, "%q", data)
		require.Equal(t, b.Len, back.Len)
		for i := range b.Cols {
			for row := range b.Len {
				require.Equal(t, b.Cols[i].IsNull(row), back.Cols[i].IsNull(row))
				require.Equal(t, string(columnar.AppendText(nil, &b.Cols[i], row)), string(columnar.AppendText(nil, &back.Cols[i], row)))
			}
		}
	})
}

func copyBatchOf(t *rapid.T, target copyTarget) *columnar.Batch {
	b := &columnar.Batch{Len: rapid.IntRange(0, 4).Draw(t, "rows")}
	for i := range target.cols {
		v := columnar.NewVectorBuilder(target.column(i).Type)
		for range b.Len {
			switch {
			case rapid.IntRange(0, 4).Draw(t, "null") == 0:
				v.AppendNull()
			case i == 0:
				v.AppendInt32(rapid.Int32().Draw(t, "number"))
			default:
				v.AppendString(rapid.StringMatching(`([,|;!"'\\\t\n\r\x01]|a|é|nil|NULL|N|\\\.)*`).Draw(t, "text"))
			}
		}
		b.Cols = append(b.Cols, v.Vector())
	}
	return b
}

// TestCopyBinaryIsBounded: no memory is taken for what is announced, and a row has a bound.
func TestCopyBinaryIsBounded(t *testing.T) {
	head := copySignature + strings.Repeat("\x00", 8)
	target := copyTable(1)
	r := &binaryRows{copyTarget: target}
	_, err := readCopy(target, r, strings.NewReader(head+"\x00\x02\xff\xff\xff\xff\x00\xff\xff\xffabc"))
	require.ErrorContains(t, err, "unexpected EOF in COPY data")
	require.Less(t, cap(r.decoder.field), 128<<10)
	r = &binaryRows{copyTarget: target}
	_, err = readCopy(target, r, strings.NewReader(head+"\x00\x02\xff\xff\xff\xff\x40\x00\x00\x00abc"))
	require.Equal(t, "54000: row of COPY data is too long\n  hint: A row may have up to 16 MiB.\n", errorText(err))
	require.Equal(t, "COPY t, line 1, column a", r.place())
}

// FuzzCopyBinary: whatever comes is rows or an error, and what it is doesn't depend on its portions.
func FuzzCopyBinary(f *testing.F) {
	head := copySignature + strings.Repeat("\x00", 8)
	f.Add(head + "\x00\x02\x00\x00\x00\x04\x00\x00\x00\x01\x00\x00\x00\x01x\xff\xff")
	f.Add(head + "\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff")
	f.Add(head + "\xff\xffx")
	f.Add(copySignature)
	f.Fuzz(func(t *testing.T, data string) {
		target := copyTable(1)
		rows, err := readCopy(target, &binaryRows{copyTarget: target}, strings.NewReader(data))
		again, errAgain := readCopy(target, &binaryRows{copyTarget: target}, iotest.OneByteReader(strings.NewReader(data)))
		require.Equal(t, err, errAgain)
		require.Equal(t, rows, again)
		if err == nil {
			require.LessOrEqual(t, rows.Len, math.MaxUint16+len(data))
		}
	})
}
