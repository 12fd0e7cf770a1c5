package async

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
)

func TestWritesBecomeOneAppendWhileAnotherIsSent(t *testing.T) {
	b := newBrokers()
	b.gate = make(chan struct{})
	r := newService(t, b, Config{}).NewRun(FailUnknown)
	first := put(t, r, to("a/journal"), "one,")
	b.gate <- struct{}{}
	require.NoError(t, first.Err())
	// The next is held up by an operation, and others join it.
	hold := newOperation()
	second := put(t, r, to("a/journal"), "two,", hold)
	third := put(t, r, to("a/journal"), "three,", hold)
	fourth := put(t, r, to("a/journal"), "four,")
	require.Len(t, r.Pending(""), 1, "they're one append")
	require.Empty(t, r.Pending("a/journal"))
	hold.finish(nil)
	b.gate <- struct{}{}
	require.NoError(t, r.Wait(t.Context()))
	require.Equal(t, "one,two,three,four,", b.content("a/journal"))
	require.Len(t, b.calls, 2)

	for f, want := range map[*Future][2]int64{first: {0, 4}, second: {4, 8}, third: {8, 14}, fourth: {14, 19}} {
		begin, end := f.Range()
		require.Equal(t, want, [2]int64{begin, end})
		require.NotNil(t, f.Response())
		require.Equal(t, "a/journal", f.Journal())
	}
	require.NoError(t, r.service.Close()) // waits for the task that cleans up
	require.Empty(t, r.queues, "nothing stays of a journal that isn't used")
}

// TestAnOpenWriteHoldsUpNoEarlierAppend: whenever the task looks at the first append, it is
// sent once its own writes are released.
func TestAnOpenWriteHoldsUpNoEarlierAppend(t *testing.T) {
	r := newService(t, newBrokers(), Config{}).NewRun(FailUnknown)
	for range 500 {
		first := put(t, r, to("a/journal"), "first")
		w, err := r.Start(t.Context(), to("a/journal"), first)
		require.NoError(t, err)
		require.NoError(t, first.Err(), "while the second write is open")
		w.Discard()
	}
}

// TestWritesThatDifferAreAppendsOfTheirOwn: parameters, and what is waited for.
func TestWritesThatDifferAreAppendsOfTheirOwn(t *testing.T) {
	check, err := protocol.ParseLabelSelector("author=one")
	require.NoError(t, err)
	hold, other := newOperation(), newOperation()
	for name, c := range map[string]struct {
		first, second client.AppendParams
		waitFor       []Operation
		want          int
	}{
		"same":        {to("a/journal"), to("a/journal"), nil, 1},
		"same check":  {client.AppendParams{Journal: "a/journal", Check: check}, client.AppendParams{Journal: "a/journal", Check: check}, nil, 1},
		"other check": {to("a/journal"), client.AppendParams{Journal: "a/journal", Check: check}, nil, 2},
		"empty check": {to("a/journal"), client.AppendParams{Journal: "a/journal", Check: new(protocol.LabelSelector)}, nil, 2},
		"suspend":     {to("a/journal"), client.AppendParams{Journal: "a/journal", Suspend: protocol.AppendRequest_SUSPEND_KEEP}, nil, 2},
		"meta":        {to("a/journal"), to("a/journal;meta"), nil, 2},
		"offset":      {client.AppendParams{Journal: "a/journal", Offset: 9}, client.AppendParams{Journal: "a/journal", Offset: 9}, nil, 2},
		"registers": {
			client.AppendParams{Journal: "a/journal", Union: protocol.MustLabelSet("author", "one")},
			client.AppendParams{Journal: "a/journal", Union: protocol.MustLabelSet("author", "one")},
			nil, 2,
		},
		"waits for what the first does":   {to("a/journal"), to("a/journal"), []Operation{hold}, 1},
		"waits for what the first doesnt": {to("a/journal"), to("a/journal"), []Operation{hold, other}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBrokers()
			b.gate = make(chan struct{}, 2)
			r := newService(t, b, Config{}).NewRun(FailUnknown)
			first := put(t, r, c.first, "x", hold)
			put(t, r, c.second, "y", c.waitFor...)
			require.Len(t, r.Pending(""), c.want)
			if c.want == 2 {
				put(t, r, c.second, "z", first) // waits for what it is behind anyway
			}
		})
	}
	_, err = newService(t, newBrokers(), Config{}).NewRun(FailUnknown).Start(t.Context(), to("a/journal"), incomparable{})
	require.ErrorContains(t, err, "can't wait for an operation of type async.incomparable")
}

type incomparable struct{ _ []int }

func (incomparable) Done() <-chan struct{} { return nil }
func (incomparable) Err() error            { return nil }

func TestAnAppendTakesNoMoreBeyondTheCutOff(t *testing.T) {
	b, hold := newBrokers(), newOperation()
	r := newService(t, b, Config{CutOff: 10}).NewRun(FailUnknown)
	for range 5 {
		put(t, r, to("a/journal"), "123456", hold)
	}
	hold.finish(nil)
	require.NoError(t, r.Wait(t.Context()))
	require.Equal(t, []int{12, 12, 6}, b.sizes)
}

// TestAFailureIsOfTheRunAndTheJournalUntilItIsSeen is the whole life of one.
func TestAFailureIsOfTheRunAndTheJournalUntilItIsSeen(t *testing.T) {
	b, hold := newBrokers(), newOperation()
	b.plans["a/journal"] = []outcomeKind{refuses}
	s := newService(t, b, Config{CutOff: 1})
	r, other := s.NewRun(FailUnknown), s.NewRun(FailUnknown)

	refused := put(t, r, to("a/journal"), "refused,", hold)
	behind := put(t, r, to("a/journal"), "behind,", hold)
	elsewhere := put(t, r, to("another/journal"), "elsewhere", hold)
	dependent := put(t, r, to("a/third"), "dependent", behind)
	hold.finish(nil)

	require.ErrorIs(t, refused.Err(), errRefused)
	var not *NotAppliedError
	require.ErrorAs(t, behind.Err(), &not)
	require.EqualError(t, not, "append to a/journal: not applied: an earlier append of its run failed: FRAGMENT_STORE_UNHEALTHY")
	require.NotErrorIs(t, not, errRefused, "what happened to the other didn't happen to it")
	require.NoError(t, elsewhere.Err(), "other journals go on")
	require.ErrorAs(t, dependent.Err(), &not)
	require.Contains(t, not.Error(), "what it waits for failed")
	require.Zero(t, behind.outcome.response)

	_, err := r.Start(t.Context(), to("a/journal;meta"))
	require.ErrorAs(t, err, &not, "nothing is appended past a failure that wasn't seen")
	require.Error(t, r.Wait(t.Context()))
	require.NoError(t, put(t, other, to("a/journal"), "other run,").Err(), "other runs go on")
	require.NoError(t, put(t, s.NewRun(FailUnknown), to("a/journal"), "new run,").Err())

	require.ErrorIs(t, r.Reset("a/journal;meta"), errRefused)
	require.ErrorAs(t, r.Reset("a/third"), &not)
	require.NoError(t, r.Reset("a/journal"))
	require.NoError(t, r.Reset("unknown/journal"))
	require.NoError(t, put(t, r, to("a/journal"), "again").Err())
	require.NoError(t, r.Wait(t.Context()))
	require.Equal(t, "other run,new run,again", b.content("a/journal"))
	require.Empty(t, b.content("a/third"))
}

func TestUnknownOutcomes(t *testing.T) {
	t.Run("fail", func(t *testing.T) {
		b := newBrokers()
		b.plans["a/journal"] = []outcomeKind{losesApplied}
		r := newService(t, b, Config{}).NewRun(FailUnknown)
		lost := put(t, r, to("a/journal"), "lost,")
		require.ErrorIs(t, lost.Err(), client.ErrUnknownOutcome)
		begin, end := lost.Range()
		require.Zero(t, begin+end)
		_, err := r.Start(t.Context(), to("a/journal"))
		require.NotErrorIs(t, err, client.ErrUnknownOutcome, "this one certainly isn't applied")
		require.Equal(t, "lost,", b.content("a/journal"))
	})
	t.Run("are repeated by who asked for it", func(t *testing.T) {
		b := newBrokers()
		b.plans["a/journal"] = []outcomeKind{losesApplied, losesNotApplied}
		r := newService(t, b, Config{}).NewRun(AtLeastOnce)
		require.NoError(t, put(t, r, to("a/journal"), "one,").Err())
		require.Equal(t, "one,one,", b.content("a/journal"))
	})
}

func TestDiscardedWritesLeaveNothing(t *testing.T) {
	for name, cfg := range map[string]Config{"in memory": {}, "in a file": {MemoryPerAppend: 3}, "in files of their own": {MemoryPerAppend: 3, CutOff: 1}} {
		t.Run(name, func(t *testing.T) {
			b := newBrokers()
			s := newService(t, b, cfg)
			r, hold := s.NewRun(FailUnknown), newOperation()
			for i, text := range []string{"kept,", "dropped,", "also kept,", "drop", "and this"} {
				w, err := r.Start(t.Context(), to("a/journal"), hold)
				require.NoError(t, err)
				for _, c := range text {
					_, err = io.WriteString(w, string(c))
					require.NoError(t, err)
				}
				if i%2 == 1 {
					w.Discard()
					_, err = w.Release()
					require.ErrorIs(t, err, ErrEnded)
				} else {
					_, err = w.Release()
					require.NoError(t, err)
				}
				w.Discard()
				_, err = w.Write(nil)
				require.ErrorIs(t, err, ErrEnded)
			}
			hold.finish(nil)
			require.NoError(t, r.Wait(t.Context()))
			require.Equal(t, "kept,also kept,and this", b.content("a/journal"))
			require.Zero(t, s.budget.now())
		})
	}
	t.Run("nor an append", func(t *testing.T) {
		b := newBrokers()
		s := newService(t, b, Config{})
		r := s.NewRun(FailUnknown)
		w, err := r.Start(t.Context(), to("a/journal"))
		require.NoError(t, err)
		require.Empty(t, r.Pending(""))
		w.Discard()
		require.NoError(t, put(t, r, to("a/journal"), "").Err(), "an empty append is one, still")
		require.Equal(t, []int{0}, b.sizes)
	})
}

func TestLimits(t *testing.T) {
	b, hold := newBrokers(), newOperation()
	s := newService(t, b, Config{Limit: 4 * overhead, HardLimit: 8 * overhead, MemoryPerAppend: 16})
	r := s.NewRun(FailUnknown)
	put(t, r, to("a/journal"), strings.Repeat("x", 3*overhead), hold)

	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("statement canceled")
	cancel(cause)
	_, err := r.Start(ctx, to("another/journal"))
	require.ErrorIs(t, err, cause)
	require.ErrorContains(t, err, "another/journal: wait for room (4096 bytes are held)")

	// A start that waits goes on once there is room.
	started := make(chan error, 1)
	go func() {
		w, err := r.Start(t.Context(), to("another/journal"))
		if err == nil {
			w.Discard()
		}
		started <- err
	}()
	hold.finish(nil)
	require.NoError(t, <-started)
	require.NoError(t, r.Wait(t.Context()))

	w, err := r.Start(t.Context(), to("a/journal"))
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 6*overhead))
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 6*overhead))
	require.ErrorIs(t, err, ErrFull)
	_, again := w.Write(nil)
	require.Equal(t, err, again)
	_, again = w.Release()
	require.Equal(t, err, again)
	require.NoError(t, put(t, r, to("a/journal"), "y").Err(), "it is that write's failure only")
	require.Equal(t, strings.Repeat("x", 3*overhead)+"y", b.content("a/journal"))
}

// TestNothingIsHeldAfterAnOutcome: neither files nor bytes, though futures are kept.
func TestNothingIsHeldAfterAnOutcome(t *testing.T) {
	b, dir := newBrokers(), t.TempDir()
	metrics := prometheus.NewRegistry()
	s := newService(t, b, Config{MemoryPerAppend: 10, CutOff: 1, Dir: dir, Metrics: metrics})
	r := s.NewRun(FailUnknown)
	before := openFiles(t)
	var kept []*Future
	for i := range 50 {
		journal := "a/journal"
		if i%2 == 0 {
			journal = "another/journal"
			b.plans[journal] = []outcomeKind{refuses}
		}
		f := put(t, r, to(journal), strings.Repeat("content ", 100))
		<-f.Done()
		_ = r.Reset(journal)
		kept = append(kept, f)
	}
	require.Zero(t, s.budget.now())
	require.Equal(t, before, openFiles(t))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, files)
	require.Len(t, kept, 50)
	require.InDelta(t, 50, metric(t, metrics, "broadsheet_append_service_spills_total"), 0)
	require.InDelta(t, 50, metric(t, metrics, "broadsheet_append_service_writes_total"), 0)
	require.InDelta(t, 50, metric(t, metrics, "broadsheet_append_service_appends_total"), 0)
	require.InDelta(t, 0, metric(t, metrics, "broadsheet_append_service_held_bytes"), 0)
}

func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // a system that doesn't tell
	}
	return len(fds)
}

func metric(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestAFileThatCantBeWrittenFailsTheWrite(t *testing.T) {
	b := newBrokers()
	r := newService(t, b, Config{MemoryPerAppend: 4, Dir: "/does/not/exist"}).NewRun(FailUnknown)
	w, err := r.Start(t.Context(), to("a/journal"))
	require.NoError(t, err)
	_, err = w.Write([]byte("12345"))
	require.ErrorContains(t, err, "append to a/journal: spill an append")
	_, err = w.Release()
	require.Error(t, err)
	require.NoError(t, put(t, r, to("a/journal"), "1234").Err())
	require.Equal(t, "1234", b.content("a/journal"))
}

// TestAWriteThatIsOpenWhenItsJournalFails hears of it, and frees what it has.
func TestAWriteThatIsOpenWhenItsJournalFails(t *testing.T) {
	b := newBrokers()
	b.gate = make(chan struct{})
	b.plans["a/journal"] = []outcomeKind{refuses}
	r := newService(t, b, Config{MemoryPerAppend: 4, CutOff: 1}).NewRun(FailUnknown)
	refused := put(t, r, to("a/journal"), "refused")
	w, err := r.Start(t.Context(), to("a/journal"), refused)
	require.NoError(t, err)
	_, err = io.WriteString(w, "behind it")
	require.NoError(t, err)
	b.gate <- struct{}{}
	require.Error(t, refused.Err())
	_, err = io.WriteString(w, "more")
	require.NoError(t, err)
	var not *NotAppliedError
	_, err = w.Release()
	require.ErrorAs(t, err, &not)
}

func TestCloseFailsWhatIsUnderWay(t *testing.T) {
	b := newBrokers()
	b.gate = make(chan struct{})
	s := newService(t, b, Config{CutOff: 1})
	r := s.NewRun(AtLeastOnce)
	sent := put(t, r, to("a/journal"), "sent")
	behind := put(t, r, to("a/journal"), "behind")
	waits := put(t, r, to("another/journal"), "waits", newOperation())
	w, err := r.Start(t.Context(), to("a/third"))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	for _, f := range []*Future{sent, behind, waits} {
		require.ErrorContains(t, f.Err(), "append service is closed")
	}
	_, err = w.Release()
	require.ErrorContains(t, err, "append service is closed")
	for _, journal := range []string{"a/journal", "a/fourth"} {
		_, err = r.Start(t.Context(), to(journal))
		require.ErrorContains(t, err, "append service is closed")
	}
}

func TestStartsThatAreRefused(t *testing.T) {
	r := newService(t, newBrokers(), Config{}).NewRun(FailUnknown)
	_, err := r.Start(t.Context(), to(""))
	require.ErrorContains(t, err, "no journal is named")
	_, err = r.Start(t.Context(), to("/bad"))
	require.ErrorContains(t, err, "append to /bad")
	w, err := r.Start(t.Context(), to("a/journal"))
	require.NoError(t, err)
	defer w.Discard()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Start(ctx, to("a/journal"))
	require.ErrorContains(t, err, "append to a/journal: wait for another write: context canceled")

	for want, cfg := range map[string]Config{
		"memory per append": {MemoryPerAppend: -1}, "cut-off": {CutOff: -1}, "limit of -1": {Limit: -1, HardLimit: 1},
		"hard limit of 5 bytes is below": {Limit: 6, HardLimit: 5},
	} {
		_, err := New(t.Context(), newBrokers(), cfg)
		require.ErrorContains(t, err, want)
	}
}
