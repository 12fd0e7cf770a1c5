package atomic

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParseRecord: a line is a record that is written as it was read, or an error.
func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"v":1,"ack":"8a3b1f60-7c1a-11ee-8002-0b0203040506","journals":["a/b"]}`))
	f.Add([]byte(`{"v":1,"settled":7}`))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`{"v":1,"settled":-1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := ParseRecord(line)
		if err != nil {
			return
		}
		text, err := r.AppendLine(nil)
		require.NoError(t, err)
		require.Equal(t, 1, bytes.Count(text, []byte("\n")))
		again, err := ParseRecord(text[:len(text)-1])
		require.NoError(t, err)
		require.Equal(t, r.Ack, again.Ack)
		require.Equal(t, r.Checkpoint, again.Checkpoint)
		require.Len(t, again.Journals, len(r.Journals))
	})
}
