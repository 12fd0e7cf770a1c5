package columnar_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/fragments/columnar/columnartest"
)

// rewriteRows has the verdicts of the table written anew, to be read over before they
// are believed.
var rewriteRows = flag.Bool("rewrite-rows", false, "write what becomes of the cases into columnartest/rows")

// outcome is the last two fields of a case.
func outcome(t *testing.T, c columnartest.Case) (columnartest.Verdict, string) {
	t.Helper()
	s := columnar.NewScanner(strings.NewReader(c.Line+"\n"), columnar.ScanOptions{End: -1, Schema: c.Schema()})
	proof, err := columnar.NewProver(c.Schema()).Prove(strings.NewReader(c.Line + "\n"))
	require.NoError(t, err, c.Where)
	require.True(t, proof.EndsInNewline, c.Where)
	batch, rejects, err := s.Next()
	if errors.Is(err, io.EOF) {
		require.Zero(t, proof.Rows+proof.Rejects, c.Where)
		require.True(t, proof.Clean, c.Where)
		return columnartest.Blank, ""
	}
	require.NoError(t, err, c.Where)
	require.Equal(t, 1, batch.Len+len(rejects), c.Where)
	require.EqualValues(t, batch.Len, proof.Rows, c.Where)
	require.EqualValues(t, len(rejects), proof.Rejects, c.Where)
	if len(rejects) > 0 {
		require.False(t, proof.Clean, c.Where)
		return columnartest.Reject, rejects[0].Reason
	}
	verdict := columnartest.Row
	if proof.Clean {
		verdict = columnartest.Clean
	}
	if batch.Cols[0].IsNull(0) {
		return verdict, "NULL"
	}
	return verdict, strconv.Quote(string(columnar.AppendText(nil, &batch.Cols[0], 0)))
}

func cases(t *testing.T) []columnartest.Case {
	t.Helper()
	values, err := columnartest.Values()
	require.NoError(t, err)
	lines, err := columnartest.Lines()
	require.NoError(t, err)
	return slices.Concat(values, lines)
}

func TestRows(t *testing.T) {
	if *rewriteRows {
		rewriteTable(t)
		return
	}
	for _, c := range cases(t) {
		verdict, got := outcome(t, c)
		want := c.Want
		switch {
		case c.Null:
			want = "NULL"
		case c.Verdict == columnartest.Clean || c.Verdict == columnartest.Row:
			want = strconv.Quote(want)
		}
		require.Equal(t, fmt.Sprint(c.Verdict, " ", want), fmt.Sprint(verdict, " ", got), "%s: %s", c.Where, c.Line)
	}
}

func rewriteTable(t *testing.T) {
	t.Helper()
	files := map[string][]string{}
	for _, c := range cases(t) {
		name, at, _ := strings.Cut(c.Where, ":")
		if files[name] == nil {
			content, err := os.ReadFile(filepath.Join("columnartest", name))
			require.NoError(t, err)
			files[name] = strings.Split(string(content), "\n")
		}
		i, err := strconv.Atoi(at)
		require.NoError(t, err)
		verdict, want := outcome(t, c)
		f := strings.Split(files[name][i-1], "\t")
		files[name][i-1] = strings.Join(f[:2], "\t") + "\t" + string(verdict)
		if verdict != columnartest.Blank {
			files[name][i-1] += "\t" + want
		}
	}
	for name, lines := range files {
		require.NoError(t, os.WriteFile(filepath.Join("columnartest", name), []byte(strings.Join(lines, "\n")), 0o600))
	}
}
