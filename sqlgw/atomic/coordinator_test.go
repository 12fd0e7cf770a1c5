package atomic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/message/committed"
)

// brokers in memory, which all processes share. The journal of records is that without a name.
type brokers struct {
	mu       sync.Mutex
	journals map[string][]byte
	settled  int64
	gone     map[string]bool
}

func newBrokers() *brokers { return &brokers{journals: map[string][]byte{}, gone: map[string]bool{}} }

func (b *brokers) add(journal string, p []byte) Span {
	b.mu.Lock()
	defer b.mu.Unlock()
	begin := int64(len(b.journals[journal]))
	b.journals[journal] = append(b.journals[journal], p...)
	return Span{begin, begin + int64(len(p))}
}

func (b *brokers) content(journal string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.journals[journal])
}

// rows that are committed in a journal.
func (b *brokers) rows(t require.TestingT, journal string) []string {
	content := b.content(journal)
	p, err := committed.ParsePointer("/_meta/uuid")
	require.NoError(t, err)
	src := func(_ context.Context, begin, end int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content[begin:end])), nil
	}
	r, err := committed.NewReader(src, committed.State{}, int64(len(content)), committed.Config{UUID: p.UUID})
	require.NoError(t, err)
	var out []string
	for {
		line, err := r.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		if line.Verdict == committed.Committed {
			_, rest, _ := strings.Cut(string(line.Text), `"t":`)
			out = append(out, strings.TrimSuffix(rest, "}"))
		}
	}
}

// fault is what becomes of an append of a process.
type fault int

const (
	none      fault = iota
	refused         // not applied
	lost            // not applied, and nobody knows
	unsure          // applied, and nobody knows
	twice           // applied twice
	late            // not applied, and nobody knows; it is applied when its process makes the next append
	dies            // not applied, and the process does nothing any more
	diesAfter       // applied, and the same
)

var faults = []fault{refused, lost, unsure, twice, late, dies, diesAfter}

var (
	errRefused = errors.New("refused")
	errDied    = errors.New("the process is dead")
)

// process that asks brokers. Its nth append has a fault.
type process struct {
	*brokers
	nth   int
	fault fault

	mu    sync.Mutex
	calls int
	dead  bool
	late  func()
}

func (p *process) append(journal string, body []byte) (Span, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	if p.late != nil {
		p.late()
		p.late = nil
	}
	switch {
	case p.dead:
		return Span{}, errDied
	case p.gone[journal]:
		return Span{}, ErrGone
	case p.calls != p.nth:
		return p.add(journal, body), nil
	}
	switch p.fault {
	case refused:
		return Span{}, errRefused
	case lost:
		return Span{}, ErrLost
	case late:
		p.late = func() { p.add(journal, body) }
		return Span{}, ErrLost
	case unsure:
		p.add(journal, body)
		return Span{}, ErrLost
	case twice:
		p.add(journal, body)
	case diesAfter:
		p.add(journal, body)
		fallthrough
	case dies:
		p.dead = true
		return Span{}, errDied
	default:
	}
	return p.add(journal, body), nil
}

// Append is that of Journals.
func (p *process) Append(_ context.Context, journal string, body io.ReadSeeker, _ bool) (Span, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return Span{}, err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return Span{}, err
	}
	again, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(text, again) {
		return Span{}, fmt.Errorf("the body changed: %w", err)
	}
	return p.append(journal, text)
}

// records of the process.
type records struct{ *process }

func (r records) Add(_ context.Context, line []byte, settled int64) (Span, error) {
	span, err := r.append("", line)
	if err == nil && settled > 0 {
		r.brokers.mu.Lock()
		r.settled = settled
		r.brokers.mu.Unlock()
	}
	return span, err
}

func (r records) Span(context.Context) (int64, int64, error) {
	r.brokers.mu.Lock()
	defer r.brokers.mu.Unlock()
	return r.settled, int64(len(r.journals[""])), nil
}

func (r records) Read(_ context.Context, begin, end int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(r.content("")[begin:end])), nil
}

func (p *process) coordinator(t require.TestingT) *Coordinator {
	c, err := New(Config{Journals: p, Records: records{p}, Logger: slog.New(slog.DiscardHandler), Patience: time.Minute, Grace: time.Nanosecond})
	require.NoError(t, err)
	return c
}

// parts of a transaction: two lines in each journal.
func parts(name string, journals ...string) []Part {
	var out []Part
	for _, j := range journals {
		out = append(out, Part{Journal: j, Lines: strings.NewReader(fmt.Sprintf("{\"t\":%s}\n{\"x\":1,\"t\":%s}\n", name, name))})
	}
	return out
}

// outcome of a transaction, as readers see it: committed or not, and never in part.
func (b *brokers) outcome(t require.TestingT, name string, journals ...string) bool {
	found := map[int]bool{}
	for _, j := range journals {
		n := 0
		for _, row := range b.rows(t, j) {
			if row == name {
				n++
			}
		}
		found[n] = true
	}
	require.Len(t, found, 1, "transaction %s is there in part: %v", name, found)
	require.True(t, found[0] || found[2], "transaction %s: %v", name, found)
	return found[2]
}

// TestEveryStepFails in each way, or is the last of its process: once others have settled what there is, a transaction is
// there as a whole or not at all, by what its client was told. The process goes on, if it lives, and so do others.
func TestEveryStepFails(t *testing.T) {
	journals := []string{"a", "b", "c"}
	for nth := range 2*7 + 1 {
		for _, f := range faults {
			t.Run(fmt.Sprintf("append %d, fault %d", nth, f), func(t *testing.T) {
				all := newBrokers()
				p := &process{brokers: all, nth: nth, fault: f}
				c, other := p.coordinator(t), (&process{brokers: all}).coordinator(t)
				for i, name := range []string{"1", "2", "3"} {
					if i == 1 {
						require.NoError(t, other.Settle(t.Context(), journals))
					}
					_, err := c.Commit(t.Context(), parts(name, journals...))
					for range 2 { // also by one that was just started
						require.NoError(t, other.Settle(t.Context(), []string{"b"}))
						isThere := all.outcome(t, name, journals...)
						switch {
						case err == nil:
							require.True(t, isThere)
						case errors.Is(err, ErrUnknown), errors.Is(err, errDied):
						default:
							require.False(t, isThere, "%v", err)
						}
						other = (&process{brokers: all}).coordinator(t)
					}
				}
				_, err := other.Commit(t.Context(), parts("4", journals...))
				require.NoError(t, err)
				for _, x := range []*Coordinator{c, other} {
					_ = x.round(t.Context())
					_ = x.round(t.Context())
				}
				require.True(t, all.outcome(t, "4", journals...))
				for _, name := range []string{"1", "2", "3"} {
					all.outcome(t, name, journals...)
				}
			})
		}
	}
}

// TestManyProcesses commit and settle at the same time, and some die. Whatever they do: what is settled is seen as a whole, and
// at the end everything is as its client was told.
func TestManyProcesses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := newBrokers()
		journals := []string{"a", "b", "c"}
		var mu sync.Mutex
		told := map[string]error{}
		touched := map[string][]string{}
		var group sync.WaitGroup
		for n := range rapid.IntRange(1, 3).Draw(t, "processes") {
			p := &process{brokers: all, nth: rapid.IntRange(0, 40).Draw(t, "nth"), fault: rapid.SampledFrom(faults).Draw(t, "fault")}
			c := p.coordinator(t)
			for k := range rapid.IntRange(1, 3).Draw(t, "sessions") {
				group.Go(func() {
					for i := range 5 {
						name := strconv.Itoa(n*100 + k*10 + i)
						some := journals[i%2:]
						_, err := c.Commit(context.Background(), parts(name, some...))
						mu.Lock()
						told[name], touched[name] = err, some
						mu.Unlock()
						_ = c.Settle(context.Background(), journals[:1+i%3])
						_ = c.round(context.Background())
					}
				})
			}
		}
		group.Wait()
		last := (&process{brokers: all}).coordinator(t)
		require.NoError(t, last.Settle(context.Background(), journals))
		for name, err := range told {
			isThere := all.outcome(t, name, touched[name]...)
			switch {
			case err == nil:
				require.True(t, isThere, name)
			case !errors.Is(err, ErrUnknown) && !errors.Is(err, errDied):
				require.False(t, isThere, "%s: %v", name, err)
			}
		}
		require.NoError(t, last.round(context.Background()))
		require.NoError(t, last.round(context.Background()))
		before := len(all.content(""))
		require.NoError(t, last.round(context.Background()))
		require.Len(t, all.content(""), before, "nothing is left to say")
		fresh := (&process{brokers: all}).coordinator(t)
		require.NoError(t, fresh.catchUp(context.Background()))
		require.Empty(t, fresh.unsettled.open, "the checkpoint is where one begins")
	})
}

// TestJournalsThatAreGone owe nothing; lines for them are refused.
func TestJournalsThatAreGone(t *testing.T) {
	all := newBrokers()
	p := &process{brokers: all, nth: 4, fault: diesAfter}
	_, err := p.coordinator(t).Commit(t.Context(), parts("1", "a", "b"))
	require.NoError(t, err, "it is committed, if acknowledged nowhere but in a")
	all.gone["b"] = true
	c := (&process{brokers: all}).coordinator(t)
	require.NoError(t, c.Settle(t.Context(), []string{"a"}))
	require.Equal(t, []string{"1", "1"}, all.rows(t, "a"))
	_, err = c.Commit(t.Context(), parts("2", "a", "b"))
	require.ErrorIs(t, err, ErrGone)
	require.Equal(t, []string{"1", "1"}, all.rows(t, "a"))
}

// TestCancelledCommits are rolled back before they're decided, and go on after.
func TestCancelledCommits(t *testing.T) {
	all := newBrokers()
	c := (&process{brokers: all}).coordinator(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the reason")
	cancel(reason)
	_, err := c.Commit(ctx, parts("1", "a", "b"))
	require.ErrorIs(t, err, reason)
	require.Empty(t, all.rows(t, "a"))
	require.Empty(t, all.content(""))
}

// TestStrangeLines in the journal of records are passed over, but for those of a newer version.
func TestStrangeLines(t *testing.T) {
	all := newBrokers()
	all.add("", []byte("what is this\n{}\n{\"v\":1,\"journals\":[\"a\"]}\n"))
	c := (&process{brokers: all}).coordinator(t)
	_, err := c.Commit(t.Context(), parts("1", "a"))
	require.NoError(t, err)
	require.NoError(t, c.Settle(t.Context(), []string{"a"}))
	require.Equal(t, []string{"1", "1"}, all.rows(t, "a"))
	all.add("", []byte(`{"v":2,"of":"the future"}`+"\n"))
	require.ErrorIs(t, c.Settle(t.Context(), []string{"a"}), ErrFormat)
}

// TestLinesGetUUIDs which are the same when they're read again, and make each line longer by the same.
func TestLinesGetUUIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{"{}", `{"a":1}`, `{"a":"` + strings.Repeat("x", 70<<10) + `"}`}), 0, 4).Draw(t, "lines")
		for _, l := range lines {
			text.WriteString(l + "\n")
		}
		p := &producer{id: message.NewProducer()}
		s := newStamped(strings.NewReader(text.String()), p.id, p.ticker)
		out, err := io.ReadAll(s)
		require.NoError(t, err)
		_, err = s.Seek(0, io.SeekStart)
		require.NoError(t, err)
		again, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, out, again)
		require.Len(t, out, text.Len()+len(lines)*Grown)
		pointer, err := committed.ParsePointer("/_meta/uuid")
		require.NoError(t, err)
		var clocks []uint64
		for i, line := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
			if len(lines) == 0 {
				break
			}
			u := pointer.UUID([]byte(line))
			require.False(t, u.IsZero(), line)
			clocks = append(clocks, uint64(u.Clock()))
			require.Equal(t, strings.Trim(lines[i], "{}"), strings.Trim(line[len(linePrefix)+36+len(lineSuffix):], " }"))
		}
		require.True(t, slices.IsSorted(clocks))
	})
	for text, want := range map[string]string{"[]\n": "isn't a JSON object", "{}": "unexpected EOF", "{\"a\":\"" + strings.Repeat("x", maxLine-10) + "\"}\n": ErrLongLine.Error()} {
		_, err := io.ReadAll(newStamped(strings.NewReader(text), (&producer{}).id, (&producer{}).ticker))
		require.ErrorContains(t, err, want)
	}
}
