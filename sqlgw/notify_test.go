package sqlgw

import (
	"strconv"
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
	require.NoError(t, s.listen(ear{channel: "c", open: true}, nil))
	s.rollback(mark)
	require.Empty(t, s.ears)
	require.NoError(t, s.notify("c", "2"))
	require.Equal(t, []utterance{{"c", "1"}, {"c", "2"}}, s.notes)
	require.Error(t, s.notify("", ""))
	require.Error(t, s.notify(strings.Repeat("c", 64), ""))
	require.Error(t, s.notify("c", strings.Repeat("x", maxPayload)))
	require.Equal(t, 2*(letterCost+2), s.bytes)
}

// TestATransactionFillsNoBox: as many small notifications as it may send reach a listener that takes them.
func TestATransactionFillsNoBox(t *testing.T) {
	office := newPostOffice()
	box := newLetterBox(func() {}, func() { t.Error("ended, though it takes all") })
	office.listen(box, "c")
	for range 2 {
		var s speech
		var list []pgwire.Notification
		var err error
		for i := 0; ; i++ {
			n := utterance{"c", strconv.Itoa(i)}
			if err = s.notify(n.channel, n.payload); err != nil {
				break
			}
			list = append(list, pgwire.Notification{Channel: n.channel, Payload: n.payload})
		}
		requireCode(t, "54000", err)
		require.LessOrEqual(t, s.bytes, maxSpeech)
		require.NoError(t, s.notify("c", "0"), "what was said already")
		office.send(list)
	}
	require.NotEmpty(t, office.take(box))
}

// TestEarsAreBounded: the channels of a session, too.
func TestEarsAreBounded(t *testing.T) {
	heard := map[string]bool{}
	for i := range maxEars - 1 {
		heard[strconv.Itoa(i)] = true
	}
	var s speech
	require.NoError(t, s.listen(ear{channel: "last", open: true}, heard))
	requireCode(t, "54000", s.listen(ear{channel: "one more", open: true}, heard))
	require.NoError(t, s.listen(ear{channel: "0", open: true}, heard))
	require.NoError(t, s.listen(ear{channel: "0"}, heard))
}
