package publish_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/client/mapping"
	"broadsheet.dev/broadsheet/client/publish"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// note is a message.
type note struct {
	UUID message.UUID
	To   string
	N    int
	bad  bool
}

func (n *note) GetUUID() message.UUID                      { return n.UUID }
func (n *note) SetUUID(u message.UUID)                     { n.UUID = u }
func (*note) NewAcknowledgement(to string) message.Message { return &note{To: to, N: -1} }

func (n *note) MarshalJSON() ([]byte, error) {
	if n.bad {
		return nil, errors.New("bad note")
	}
	return fmt.Appendf(nil, `{"UUID":%q,"N":%d}`, n.UUID, n.N), nil
}

// byName maps a note to the journal that it names.
func byName(m message.Message) (mapping.Partition, error) {
	return mapping.Partition{Journal: m.(*note).To, ContentType: message.JSONLines}, nil
}

// brokers are journals in memory. Appends are applied as often as twice says: by the
// number of appends before.
type brokers struct {
	mu       sync.Mutex
	journals map[string][]byte
	appends  int
	twice    []bool
	refuse   string
}

// Append implements async.Appender.
func (b *brokers) Append(_ context.Context, p client.AppendParams, body io.Reader) (*protocol.AppendResponse, error) {
	content, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.Journal == b.refuse {
		return nil, &protocol.StatusError{Status: protocol.Status_JOURNAL_NOT_FOUND}
	}
	if len(b.twice) != 0 && b.twice[b.appends%len(b.twice)] {
		b.journals[p.Journal] = append(b.journals[p.Journal], content...)
	}
	b.appends++
	begin := int64(len(b.journals[p.Journal]))
	b.journals[p.Journal] = append(b.journals[p.Journal], content...)
	return &protocol.AppendResponse{Commit: &protocol.Fragment{Journal: p.Journal, Begin: begin, End: begin + int64(len(content))}}, nil
}

// AppendAtLeastOnce implements async.Appender.
func (b *brokers) AppendAtLeastOnce(ctx context.Context, p client.AppendParams, body io.Reader) (*protocol.AppendResponse, error) {
	return b.Append(ctx, p, body)
}

func newRun(t interface {
	require.TestingT
	Cleanup(func())
}, b *brokers,
) *async.Run {
	s, err := async.New(context.Background(), b, async.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s.NewRun(async.AtLeastOnce)
}

// delivered are the notes that a sequencer delivers of a journal, by their numbers.
func (b *brokers) delivered(t require.TestingT, name string) []int {
	b.mu.Lock()
	content := bytes.Clone(b.journals[name])
	b.mu.Unlock()
	seq, err := message.NewSequencer(message.SequencerConfig{})
	require.NoError(t, err)
	codec, err := message.CodecOf(message.JSONLines)
	require.NoError(t, err)
	var out []int
	for at, line := range slices.Collect(bytes.Lines(content)) {
		n := new(note)
		require.NoError(t, codec.Unmarshal(line, n))
		seq.Push(message.Envelope{Journal: name, Begin: int64(at), End: int64(at) + 1, Message: n})
		for {
			env, err := seq.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			if n := env.Message.(*note).N; n >= 0 {
				out = append(out, n)
			}
		}
	}
	return out
}

// operation that is done when the test says so.
type operation struct{ done chan struct{} }

func (o *operation) Done() <-chan struct{} { return o.done }
func (o *operation) Err() error            { <-o.done; return nil }

// TestWhatIsAppended, to the byte.
func TestWhatIsAppended(t *testing.T) {
	b := &brokers{journals: make(map[string][]byte)}
	producers, now := byte(0), time.Unix(0, 0)
	p := publish.New(newRun(t, b), publish.Config{
		Now: func() time.Time { return now },
		NewProducer: func() message.Producer {
			producers++
			return message.Producer{1, 0, 0, 0, 0, producers}
		},
	})
	ctx := t.Context()
	f, err := p.PublishCommitted(ctx, byName, &note{To: "a/one", N: 1})
	require.NoError(t, err)
	require.NoError(t, f.Err())
	for i, to := range []string{"a/one", "a/two", "a/one"} {
		f, err = p.PublishUncommitted(ctx, byName, &note{To: to, N: 2 + i})
		require.NoError(t, err)
	}
	now = time.Unix(-1, 0) // clocks don't go back
	intents, appends, err := p.BuildAckIntents()
	require.NoError(t, err)
	require.Len(t, appends, 2)
	for _, a := range appends {
		require.NoError(t, a.Err())
	}
	require.Len(t, intents, 2)
	_, err = p.PublishUncommitted(ctx, byName, &note{To: "a/two", N: 9})
	require.ErrorIs(t, err, publish.ErrUnacknowledged)
	require.ErrorContains(t, err, "publish to a/two")

	commit := &operation{make(chan struct{})}
	acks, err := p.Acknowledge(ctx, intents, commit)
	require.NoError(t, err)
	next, err := p.PublishUncommitted(ctx, byName, &note{To: "a/one", N: 5})
	require.NoError(t, err)
	require.Equal(t, []int{1}, b.delivered(t, "a/one"), "it isn't committed yet")
	close(commit.done)
	for _, f := range append(acks, next) {
		require.NoError(t, f.Err())
	}
	one, two := string(b.journals["a/one"]), string(b.journals["a/two"])
	require.Equal(t, []string{
		`{"UUID":"1381400a-1dd2-11b2-8000-010000000001","N":1}`,
		`{"UUID":"13814014-1dd2-11b2-8001-010000000002","N":2}`,
		`{"UUID":"13814028-1dd2-11b2-8001-010000000002","N":4}`,
		`{"UUID":"13814032-1dd2-11b2-8002-010000000002","N":-1}`,
		`{"UUID":"13814046-1dd2-11b2-8001-010000000002","N":5}`,
		"",
	}, strings.Split(one, "\n"))
	require.Equal(t, []string{
		`{"UUID":"1381401e-1dd2-11b2-8001-010000000002","N":3}`,
		`{"UUID":"1381403c-1dd2-11b2-8002-010000000002","N":-1}`,
		"",
	}, strings.Split(two, "\n"))
	require.Equal(t, []int{1, 2, 4}, b.delivered(t, "a/one"))
	require.Equal(t, []int{3}, b.delivered(t, "a/two"))
	require.Equal(t, map[string]int64{"a/one": int64(len(one)), "a/two": int64(len(two))}, p.WriteHeads())

	// What is given up isn't committed by what follows, nor is what stands for itself in
	// the way of a transaction.
	p.Rollback()
	for i, txn := range []bool{true, false, true} {
		do := p.PublishCommitted
		if txn {
			do = p.PublishUncommitted
		}
		f, err = do(ctx, byName, &note{To: "a/one", N: 6 + i})
		require.NoError(t, err)
	}
	intents, _, err = p.BuildAckIntents()
	require.NoError(t, err)
	acks, err = p.Acknowledge(ctx, intents, f)
	require.NoError(t, err)
	require.NoError(t, acks[0].Err())
	require.Equal(t, []int{1, 2, 4, 7, 6, 8}, b.delivered(t, "a/one"))
}

// TestConcurrentClocksAscend in each journal.
func TestConcurrentClocksAscend(t *testing.T) {
	b := &brokers{journals: make(map[string][]byte)}
	p := publish.New(newRun(t, b), publish.Config{})
	var wg sync.WaitGroup
	futures := make(chan *async.Future, 400)
	for i := range 8 {
		wg.Go(func() {
			for k := range 50 {
				f, err := p.PublishCommitted(t.Context(), byName, &note{To: "to/" + "xyz"[k%3:k%3+1], N: 50*i + k})
				if err != nil {
					t.Error(err)
					return
				}
				futures <- f
			}
		})
	}
	wg.Wait()
	close(futures)
	for f := range futures {
		require.NoError(t, f.Err())
	}
	var all []int
	for _, name := range []string{"to/x", "to/y", "to/z"} {
		all = append(all, b.delivered(t, name)...) // all: a clock that doesn't ascend is a duplicate's
	}
	slices.Sort(all)
	require.Len(t, slices.Compact(all), 400)
}

// TestATransactionWaitsForItsNewestAppend, whoever of those that published at once comes last.
func TestATransactionWaitsForItsNewestAppend(t *testing.T) {
	b := &brokers{journals: make(map[string][]byte)}
	p := publish.New(newRun(t, b), publish.Config{Now: func() time.Time {
		runtime.Gosched() // while the others wait for what this one holds
		return time.Now()
	}})
	type published struct {
		*async.Future
		clock message.Clock
	}
	for range 2000 {
		all := make([]published, 8)
		var wg sync.WaitGroup
		for i := range all {
			wg.Go(func() {
				m := &note{To: "a/journal", N: i}
				f, err := p.PublishUncommitted(t.Context(), byName, m)
				if err != nil {
					t.Error(err)
					return
				}
				all[i] = published{f, m.UUID.Clock()}
			})
		}
		wg.Wait()
		require.False(t, t.Failed())
		intents, appends, err := p.BuildAckIntents()
		require.NoError(t, err)
		require.Len(t, appends, 1)
		newest := slices.MaxFunc(all, func(a, b published) int { return cmp.Compare(a.clock, b.clock) })
		require.Same(t, newest.Future, appends[0])
		acks, err := p.Acknowledge(t.Context(), intents, appends...)
		require.NoError(t, err)
		require.NoError(t, acks[0].Err())
		require.Equal(t, int64(len(b.journals["a/journal"])), p.WriteHeads()["a/journal"])
	}
}

func TestPublishersRefuse(t *testing.T) {
	b := &brokers{journals: make(map[string][]byte), refuse: "a/gone"}
	p := publish.New(newRun(t, b), publish.Config{})
	ctx := t.Context()
	lost := errors.New("lost")
	for _, do := range []func(context.Context, publish.Mapping, message.Message) (*async.Future, error){p.PublishCommitted, p.PublishUncommitted} {
		_, err := do(ctx, func(message.Message) (mapping.Partition, error) { return mapping.Partition{}, lost }, new(note))
		require.ErrorIs(t, err, lost)
		_, err = do(ctx, func(message.Message) (mapping.Partition, error) {
			return mapping.Partition{Journal: "a/log", ContentType: message.RecoveryLog}, nil
		}, new(note))
		require.ErrorContains(t, err, `publish to a/log: content type "application/x-gazette-recoverylog" has no framing`)
		_, err = do(ctx, byName, &note{To: "a/bad", bad: true})
		require.ErrorContains(t, err, "bad note")
		_, err = do(ctx, byName, &note{})
		require.ErrorContains(t, err, "no journal is named")
	}
	intents, appends, err := p.BuildAckIntents()
	require.NoError(t, err)
	require.Empty(t, intents)
	require.Empty(t, appends)

	// An append that fails fails what waits for it, and the journal.
	_, err = p.PublishUncommitted(ctx, byName, &note{To: "a/gone"})
	require.NoError(t, err)
	intents, appends, err = p.BuildAckIntents()
	require.NoError(t, err)
	require.Len(t, intents, 1)
	var status *protocol.StatusError
	require.ErrorAs(t, appends[0].Err(), &status)
	_, err = p.Acknowledge(ctx, intents, appends...)
	require.ErrorContains(t, err, "acknowledge in a/gone")
	require.Zero(t, p.WriteHeads()["a/gone"])
	require.Empty(t, b.journals)
}

// TestCommittedTransactionsAreDelivered: whatever appends are repeated, whatever is rolled
// back, and however often acknowledgements are sent, in each journal what was committed is
// delivered, once and in order.
func TestCommittedTransactionsAreDelivered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &brokers{journals: make(map[string][]byte), twice: rapid.SliceOfN(rapid.Bool(), 1, 7).Draw(t, "twice")}
		p := publish.New(newRun(t, b), publish.Config{})
		ctx, names := context.Background(), []string{"to/x", "to/y"}
		want, open := map[string][]int{}, map[string][]int{}
		var last []message.AckIntent
		var futures []*async.Future
		n := 0
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(t *rapid.T) {
				n++
				to := rapid.SampledFrom(names).Draw(t, "journal")
				_, err := p.PublishUncommitted(ctx, byName, &note{To: to, N: n})
				require.NoError(t, err)
				open[to] = append(open[to], n)
			},
			"commit": func(t *rapid.T) {
				intents, appends, err := p.BuildAckIntents()
				require.NoError(t, err)
				acks, err := p.Acknowledge(ctx, intents, appends...)
				require.NoError(t, err)
				futures, last = append(futures, acks...), append(last, intents...)
				for to := range open {
					want[to] = append(want[to], open[to]...)
					delete(open, to)
				}
			},
			"roll back": func(*rapid.T) {
				p.Rollback()
				clear(open)
			},
			"acknowledge again": func(t *rapid.T) {
				if len(last) == 0 {
					t.Skip("nothing was")
				}
				acks, err := p.Acknowledge(ctx, []message.AckIntent{rapid.SampledFrom(last).Draw(t, "intent")})
				require.NoError(t, err)
				futures = append(futures, acks...)
			},
		})
		for _, f := range futures {
			require.NoError(t, f.Err())
		}
		for _, name := range names {
			require.Equal(t, want[name], b.delivered(t, name))
		}
	})
}
