package broker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// TestRollTriggers: what closes the open fragment before an append, and what doesn't.
func TestRollTriggers(t *testing.T) {
	at := func(clock string) time.Time {
		when, err := time.Parse(time.DateTime, "2026-01-02 "+clock)
		require.NoError(t, err)
		return when
	}
	spec := specWith(func(f *protocol.JournalSpec_Fragment) {
		f.Length, f.FlushInterval = 1024, durationpb.New(time.Hour)
	})
	// A fragment [1000, 1100) of a journal that begins at 0.
	view := headView{
		openBegin: 1000, end: 1100, indexEnd: 1100, codec: protocol.CompressionCodec_NONE,
		first: at("10:01:00"), now: at("10:59:59"),
	}
	for name, c := range map[string]struct {
		change func(*headView)
		due    bool
	}{
		"none":                       {change: func(*headView) {}},
		"as long as is wanted":       {change: func(v *headView) { v.end = 2024 }},
		"longer":                     {change: func(v *headView) { v.end = 2025 }, due: true},
		"the journal's first":        {change: func(v *headView) { v.indexBegin = 1000 }, due: true},
		"a multiple of the hour":     {change: func(v *headView) { v.now = at("11:00:00") }, due: true},
		"which is not an hour's age": {change: func(v *headView) { v.first, v.now = at("10:59:59"), at("11:00:00") }, due: true},
		"empty":                      {change: func(v *headView) { v.openBegin, v.indexBegin, v.now = 1100, 1100, at("12:00:00") }},
		"another codec":              {change: func(v *headView) { v.codec = protocol.CompressionCodec_GZIP }},
	} {
		v := view
		c.change(&v)
		require.Equal(t, c.due, rollIsDue(spec, v), name)
	}
}

// TestPeersStoreInThePrimarysPlace: a completed fragment is left to the primary for some minutes, and
// then stored by another member.
func TestPeersStoreInThePrimarysPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLone(t, specWith(func(*protocol.JournalSpec_Fragment) {}))
		l.append("hello")
		synctest.Wait()
		l.env.directories.(*loneDirectories).change(func(e *entry) {
			e.route = &protocol.Route{Members: []*protocol.ProcessSpec_ID{{Zone: "zone", Suffix: "other"}, l.env.self}}
		})

		n, err := l.acquire(t.Context())
		require.NoError(t, err)
		require.NoError(t, l.spool.Roll(spool.RollOptions{Codec: protocol.CompressionCodec_NONE, Begin: 5}))
		l.release(n)
		notify(l.full)
		require.NoError(t, wait(t.Context(), minBackup-time.Second))
		synctest.Wait()
		require.Empty(t, l.stored(), "it is the primary's turn")
		require.NoError(t, wait(t.Context(), maxBackup-minBackup+2*time.Second))
		synctest.Wait()
		require.Len(t, l.stored(), 1)
		require.NoError(t, l.close())
	})
}
