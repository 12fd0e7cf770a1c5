package message_test

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/message"
)

// committedOf a journal, by the rules, from a list that holds everything: the indices of
// messages in the order of their delivery.
func committedOf(notes []*note) []int {
	var out []int
	acked := map[message.Producer]message.Clock{}
	pending := map[message.Producer][]int{}
	clock := func(i int) message.Clock { return notes[i].UUID.Clock() }
	for i, n := range notes {
		p := n.UUID.Producer()
		if n.UUID.Clock() == 0 {
			out = append(out, i)
			continue
		}
		if _, known := acked[p]; !known {
			acked[p] = clock(i) - 1
		}
		if clock(i) <= acked[p] {
			continue // it was decided
		}
		switch n.UUID.Flags() {
		case message.ContinueTxn:
			if !slices.ContainsFunc(pending[p], func(k int) bool { return clock(k) >= clock(i) }) {
				pending[p] = append(pending[p], i)
			}
			continue
		case message.AckTxn:
			for _, k := range pending[p] {
				if clock(k) <= clock(i) {
					out = append(out, k)
				}
			}
		default:
		}
		out = append(out, i)
		acked[p], pending[p] = clock(i), nil
	}
	return out
}

// reader of a log that restarts now and then, and reports what it was given.
type reader struct {
	t   *rapid.T
	log *log
	got []int
}

// read a journal to its end, restarting from checkpoints where it is drawn, and giving messages back so.
func (r *reader) read() {
	const journal = "a/journal"
	all := r.log.journals[journal]
	for at := int(r.log.seq.Checkpoint()[journal].ReadThrough / size); at < len(all); at++ {
		r.log.seq.Push(all[at])
		for {
			if rapid.IntRange(0, 19).Draw(r.t, "restart") == 0 {
				r.restart(r.log.seq.Checkpoint())
				at = int(r.log.seq.Checkpoint()[journal].ReadThrough/size) - 1
				break
			}
			env, err := r.log.seq.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if errors.Is(err, message.ErrReplay) {
				from, needed := r.log.seq.ReplayRange()
				require.True(r.t, needed)
				r.log.seq.StartReplay(r.log.replay(from))
				continue
			}
			require.NoError(r.t, err)
			if rapid.IntRange(0, 19).Draw(r.t, "give back") == 0 {
				r.restart(r.log.seq.CheckpointBefore())
				at = int(r.log.seq.Checkpoint()[journal].ReadThrough/size) - 1
				break
			}
			r.got = append(r.got, int(env.Begin/size))
		}
	}
}

func (r *reader) restart(states map[string]message.JournalState) {
	if rapid.Bool().Draw(r.t, "as a shard's") {
		for _, s := range states {
			for i := range s.Producers {
				s.Producers[i].Seen = 0
			}
		}
	}
	var err error
	r.log.seq, err = message.NewSequencer(r.log.cfg)
	require.NoError(r.t, err)
	require.NoError(r.t, r.log.seq.Restore(states))
}

// sequence the notes with a ring of a drawn size.
func sequence(t *rapid.T, notes []*note) []int {
	cfg := message.SequencerConfig{Messages: rapid.IntRange(1, 8).Draw(t, "ring"), Bytes: rapid.Int64Range(1, 12*size).Draw(t, "bytes")}
	seq, err := message.NewSequencer(cfg)
	require.NoError(t, err)
	l := &log{cfg: cfg, seq: seq, journals: make(map[string][]message.Envelope)}
	for _, n := range notes {
		l.append("a/journal", n)
	}
	r := &reader{t: t, log: l}
	r.read()
	return r.got
}

// sequencerMeetsModel for any messages whatever.
func sequencerMeetsModel(t *rapid.T) {
	notes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *note {
		p := named("ABC"[rapid.IntRange(0, 2).Draw(t, "producer")])
		flags := rapid.SampledFrom([]message.Flags{0, 1, 1, 1, 2, 2, 3}).Draw(t, "flags")
		clock := message.Clock(2 * rapid.IntRange(0, 8).Draw(t, "clock"))
		if flags == message.AckTxn {
			clock++ // beyond that of the message before it, as producers must
		}
		return &note{UUID: message.NewUUID(p, clock, flags)}
	}), 0, 60).Draw(t, "notes")
	require.Equal(t, committedOf(notes), sequence(t, notes))
}

// TestSequencerMeetsModel: with a ring of any size, and over any restarts, what is delivered
// is what a list that holds everything says.
func TestSequencerMeetsModel(t *testing.T) { rapid.Check(t, sequencerMeetsModel) }

func FuzzSequencer(f *testing.F) { f.Fuzz(rapid.MakeFuzz(sequencerMeetsModel)) }

// writer is a process that publishes transactions to the journal, and may crash.
type writer struct {
	id      message.Producer
	clock   message.Clock
	pending []*note // appended, and not acknowledged
	history []*note // all that was appended, for repetitions
	lastAck *note
	unsent  *note // an acknowledgement that is decided, and wasn't appended
	dead    bool
}

func (w *writer) next(f message.Flags) *note {
	w.clock++
	return &note{UUID: message.NewUUID(w.id, w.clock, f)}
}

// TestTransactionsAreDeliveredExactlyOnce: of producers that do as docs/format/message.md
// says, whose appends are repeated at any later time, whose acknowledgements are sent again
// by who recovers, and who crash: every message of every committed transaction is
// delivered once, in its producer's order, and no other.
func TestTransactionsAreDeliveredExactlyOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var journal, want []*note
		var writers []*writer
		add := func(w *writer, n *note) {
			journal = append(journal, n)
			w.history = append(w.history, n)
		}
		send := func(w *writer) { // the acknowledgement, for the first time or once more
			if w.unsent != nil {
				want = append(append(want, w.pending...), w.unsent)
				w.lastAck, w.unsent, w.pending = w.unsent, nil, nil
			}
			if w.lastAck != nil {
				add(w, w.lastAck)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"start": func(t *rapid.T) {
				if len(writers) >= 3 && !writers[len(writers)-3].dead {
					t.Skip("there are enough")
				}
				w := &writer{id: message.Producer{1, 2, 3, 4, byte(len(writers) >> 8), byte(len(writers))}}
				writers = append(writers, w)
				add(w, w.next(message.OutsideTxn))
				want = append(want, w.history...)
			},
			"publish": func(t *rapid.T) {
				w := pick(t, writers, true)
				for range rapid.IntRange(1, 5).Draw(t, "messages") {
					n := w.next(message.ContinueTxn)
					w.pending = append(w.pending, n)
					add(w, n)
				}
			},
			"commit": func(t *rapid.T) {
				w := pick(t, writers, true)
				w.unsent = w.next(message.AckTxn)
				send(w)
			},
			"crash": func(t *rapid.T) { pick(t, writers, true).dead = true },
			"crash after the commit": func(t *rapid.T) {
				w := pick(t, writers, true)
				w.dead, w.unsent = true, w.next(message.AckTxn)
				for range rapid.IntRange(0, 2).Draw(t, "of the next transaction") {
					add(w, w.next(message.ContinueTxn))
				}
			},
			"recover": func(t *rapid.T) { send(pick(t, writers, false)) },
			"repeat": func(t *rapid.T) { // an append that was delayed is applied once more
				w := pick(t, writers, false)
				from := rapid.IntRange(0, len(w.history)-1).Draw(t, "from")
				to := rapid.IntRange(from, min(len(w.history)-1, from+6)).Draw(t, "to")
				journal = append(journal, w.history[from:to+1]...)
			},
		})
		var got []*note
		for _, i := range sequence(t, journal) {
			got = append(got, journal[i])
		}
		for _, list := range [][]*note{got, want} { // of each producer, in its order
			slices.SortStableFunc(list, func(a, b *note) int {
				x, y := a.UUID.Producer(), b.UUID.Producer()
				return slices.Compare(x[:], y[:])
			})
		}
		require.Len(t, got, len(want))
		for i := range want {
			require.Same(t, want[i], got[i])
		}
	})
}

// pick a writer, or one that lives.
func pick(t *rapid.T, writers []*writer, lives bool) *writer {
	if lives {
		writers = slices.DeleteFunc(slices.Clone(writers), func(w *writer) bool { return w.dead })
	}
	if len(writers) == 0 {
		t.Skip("there is none")
	}
	return rapid.SampledFrom(writers).Draw(t, "writer")
}
