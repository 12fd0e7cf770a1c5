package txn_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/consumer/txn"
)

// world is a shard that is driven by a Machine over a source of messages, with a store that outlives its crashes.
type world struct {
	t      *rapid.T
	source []bool // whether the message is consumed

	// What is durable.
	stored  []int        // messages whose effects are in the store
	through int          // messages that were read, by the store's checkpoint
	acked   map[int]bool // commits that are acknowledged
	commits int          // that the store has

	life
}

// life of a shard, from one crash to the next.
type life struct {
	m        *txn.Machine
	now      time.Time
	at       int   // next message to be read
	held     int   // message that is ready, or was just consumed; -1 is none
	effects  []int // of the present transaction
	begun    bool
	commit   *commit // under way, or not finished
	stopped  bool
	draining bool
}

// commit that was started.
type commit struct {
	txn, through int
	effects      []int
	id           int // once it is stored
	stored       bool
	acking       bool
}

// restart the shard from what is in the store.
func (w *world) restart() {
	m, err := txn.New(txn.Config{
		Min:        time.Duration(rapid.IntRange(0, 5).Draw(w.t, "min")),
		Max:        time.Duration(rapid.IntRange(1, 9).Draw(w.t, "max")),
		WaitForAck: rapid.Bool().Draw(w.t, "wait for ack"),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.life = life{m: m, now: epoch, at: w.through, held: -1}
}

// step does what the machine says.
func (w *world) step() {
	switch s := w.m.Next(w.now); s.Do {
	case txn.Read:
		w.check(w.held == -1, "read while a message is held")
		w.read()
	case txn.Begin:
		w.check(!w.begun && len(w.effects) == 0, "a transaction begins within another")
		w.begun = true
	case txn.Consume:
		w.consume()
	case txn.Commit:
		w.startCommit(s)
	case txn.Acknowledge:
		w.check(w.commit != nil && w.commit.stored && !w.commit.acking, "acknowledged without a commit, or twice")
		w.check(w.commit.txn == s.Txn, "another transaction is acknowledged")
		w.commit.acking = true
	case txn.Finish:
		w.check(w.commit != nil && w.acked[w.commit.id], "finished without acknowledgements")
		w.commit = nil
	case txn.Wait:
		w.wait(s)
	case txn.Stop:
		w.check(s.Err == nil && w.draining && w.commit == nil && !w.begun, "it stops with something under way")
		w.stopped = true
	}
}

func (w *world) check(ok bool, what string) {
	if !ok {
		w.t.Fatal(what)
	}
}

// read a message, if one is there by chance.
func (w *world) read() {
	if w.at == len(w.source) || rapid.IntRange(0, 3).Draw(w.t, "there") == 0 {
		w.m.Empty(rapid.Bool().Draw(w.t, "open"))
		return
	}
	w.at++
	if !w.source[w.at-1] {
		w.m.Passed(w.now)
		return
	}
	w.held = w.at - 1
	w.m.Ready(w.now)
}

func (w *world) consume() {
	w.check(w.begun && w.held != -1, "consumed without a message, or outside a transaction")
	if len(w.effects) > 0 && rapid.IntRange(0, 4).Draw(w.t, "defer") == 0 {
		if err := w.m.Deferred(); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	w.effects = append(w.effects, w.held)
	w.held = -1
}

func (w *world) startCommit(s txn.Step) {
	w.check(w.begun, "a transaction commits that wasn't begun")
	w.check(w.commit == nil, "two transactions commit")
	w.check(s.Holding == (w.held != -1), "whether a message is held is told wrongly")
	through := w.at
	if s.Holding {
		through = w.held
	}
	w.commit = &commit{txn: s.Txn, through: through, effects: w.effects}
	w.effects, w.begun = nil, false
}

// store the commit that is under way.
func (w *world) store() {
	c := w.commit
	w.stored = append(w.stored, c.effects...)
	w.through = c.through
	w.commits++
	c.id, c.stored = w.commits, true
}

// wait for one of the things that may happen.
func (w *world) wait(s txn.Step) {
	events := []func(){func() { w.now = w.now.Add(time.Duration(rapid.IntRange(1, 4).Draw(w.t, "time"))) }}
	if !s.Wake.IsZero() {
		w.check(s.Wake.After(w.now), "it is to be woken in the past")
		events = append(events, func() { w.now = s.Wake })
	}
	if s.Reading {
		w.check(!s.Stalled, "it reads while it is stalled")
		events = append(events, w.m.More)
	}
	if c := w.commit; c != nil && !c.stored {
		events = append(events, func() { w.store(); w.m.Committed() })
	} else if c != nil && c.acking && !w.acked[c.id] {
		events = append(events, func() { w.acked[c.id] = true; w.m.Acknowledged() })
	} else {
		w.check(!s.Stalled && (s.Reading || w.draining), "it waits for nothing")
	}
	if w.at == len(w.source) || rapid.IntRange(0, 30).Draw(w.t, "drain") == 0 {
		events = append(events, func() { w.draining = true; w.m.Drain() })
	}
	events[rapid.IntRange(0, len(events)-1).Draw(w.t, "event")]()
}

// TestRandomSchedules: of any messages, times and crashes, each message has its effect once, in order; and all commits
// that were finished are acknowledged.
func TestRandomSchedules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, source: rapid.SliceOfN(rapid.Bool(), 0, 30).Draw(t, "source"), acked: make(map[int]bool)}
		w.restart()
		for crashes := 0; w.through < len(w.source) || !w.stopped; {
			if w.stopped {
				w.restart() // It was handed over.
			}
			if crashes < 5 && rapid.IntRange(0, 15).Draw(t, "crash") == 0 {
				crashes++
				if w.commit != nil && !w.commit.stored && rapid.Bool().Draw(t, "stored") {
					w.store() // though nobody heard of it
				}
				if w.commits > 0 {
					w.acked[w.commits] = true // who recovers appends acknowledgements again
				}
				w.restart()
			}
			w.step()
		}
		var want []int
		for i, consumed := range w.source {
			if consumed {
				want = append(want, i)
			}
		}
		if len(w.stored) != len(want) {
			t.Fatalf("effects of %v (expected %v)", w.stored, want)
		}
		for i := range want {
			w.check(w.stored[i] == want[i], "effects aren't in order")
		}
		for i := range w.commits {
			w.check(w.acked[i+1], "a commit isn't acknowledged")
		}
	})
}
