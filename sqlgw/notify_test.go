package sqlgw

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/pgwire"
)

// TestFullBoxEndsItsSession: what waits is bounded, and nobody hears a part and takes it for all.
func TestFullBoxEndsItsSession(t *testing.T) {
	office := newPostOffice()
	woken, ended := 0, 0
	deaf := newLetterBox(func() { woken++ }, func() { ended++ })
	fine := newLetterBox(func() {}, func() { t.Error("ended, though it takes all") })
	office.listen(deaf, "c")
	office.listen(fine, "c")
	n := pgwire.Notification{Channel: "c", Payload: strings.Repeat("x", maxPayload-1)}
	heard := 0
	for range 2 * maxWaiting / maxPayload {
		office.send([]pgwire.Notification{n})
		heard += len(office.take(fine))
	}
	require.Equal(t, 2*maxWaiting/maxPayload, heard)
	require.Equal(t, 1, ended)
	require.Less(t, woken, maxWaiting/maxPayload)
	require.Empty(t, office.take(deaf))
	office.unlisten(deaf, "")
	office.unlisten(fine, "c")
	require.Empty(t, office.boxes)
}

// TestSpeechIsRolledBack to a mark, and can be said again.
func TestSpeechIsRolledBack(t *testing.T) {
	var s speech
	require.NoError(t, s.notify("c", "1"))
	mark := s.mark()
	require.NoError(t, s.notify("c", "2"))
	require.NoError(t, s.notify("c", "1"))
	require.NoError(t, s.listen(ear{channel: "c", open: true}))
	s.rollback(mark)
	require.Empty(t, s.ears)
	require.NoError(t, s.notify("c", "2"))
	require.Equal(t, []utterance{{"c", "1"}, {"c", "2"}}, s.notes)
	require.Error(t, s.notify("", ""))
	require.Error(t, s.notify(strings.Repeat("c", 64), ""))
	require.Error(t, s.notify("c", strings.Repeat("x", maxPayload)))
	require.Equal(t, 4, s.bytes)
}
