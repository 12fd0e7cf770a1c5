package spool_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/spool"
)

// TestFormatDocument: the tables of docs/format/spool.md are the format. Each row has
// a field's offset, its size and its bytes in an example; together they are what the
// example is encoded as.
func TestFormatDocument(t *testing.T) {
	doc, err := os.ReadFile("../../docs/format/spool.md")
	require.NoError(t, err)
	encoded, err := spool.Encoded()
	require.NoError(t, err)

	row := regexp.MustCompile("^\\| *(\\d+) *\\| *(\\d+) *\\| *`([0-9a-f ]*)` *\\|")
	title := regexp.MustCompile("^### `(\\w+)`")
	var name string
	got := map[string][]byte{}
	for line := range strings.SplitSeq(string(doc), "\n") {
		if m := title.FindStringSubmatch(line); m != nil {
			name = m[1]
		}
		m := row.FindStringSubmatch(line)
		if m == nil || name == "" {
			continue
		}
		offset, _ := strconv.Atoi(m[1])
		size, _ := strconv.Atoi(m[2])
		b, err := hex.DecodeString(strings.ReplaceAll(m[3], " ", ""))
		require.NoError(t, err, line)
		require.Equal(t, len(got[name]), offset, "%s: %s", name, line)
		require.Len(t, b, size, "%s: %s", name, line)
		got[name] = append(got[name], b...)
	}
	for name, want := range encoded {
		require.Equal(t, hex.Dump(want), hex.Dump(got[name]), name)
	}
	require.Len(t, got, len(encoded))
}

// FuzzLog: no log makes the reader panic, loop, or take other memory than it may.
func FuzzLog(f *testing.F) {
	encoded, err := spool.Encoded()
	require.NoError(f, err)
	f.Add([]byte{})
	f.Add(encoded["header"])
	// The records of the examples are made for position 256.
	log := append(bytes.Clone(encoded["header"]), make([]byte, 256-len(encoded["header"]))...)
	for _, name := range []string{"commit", "opening", "mark", "complete", "clean", "dropped", "cut"} {
		f.Add(append(bytes.Clone(log), encoded[name]...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := spool.ReadLog(bytes.NewReader(b), int64(len(b)))
		if n > len(b)/48 {
			t.Fatalf("%d records in %d bytes", n, len(b))
		}
		_ = err
	})
}

// TestExampleRecordsAreRead: what is encoded is found again, at its position only.
func TestExampleRecordsAreRead(t *testing.T) {
	encoded, err := spool.Encoded()
	require.NoError(t, err)
	for _, name := range []string{"commit", "opening", "mark", "complete", "clean", "dropped", "cut"} {
		for _, shift := range []int{0, 8} {
			log := append(bytes.Clone(encoded["header"]), make([]byte, 256+shift-len(encoded["header"]))...)
			log = append(log, encoded[name]...)
			n, err := spool.ReadLog(bytes.NewReader(log), int64(len(log)))
			require.NoError(t, err)
			require.Equal(t, shift == 0, n == 1, "%s moved by %d", name, shift)
		}
	}
}
