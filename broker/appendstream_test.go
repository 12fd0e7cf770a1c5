package broker_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/streaming"
)

type (
	streamOpen   = streaming.AppendStreamRequest_Open
	streamPart   = streaming.AppendStreamRequest_Append
	streamResult = streaming.AppendStreamResponse_Result
)

// streamed is a client of an AppendStream, which numbers its appends.
type streamed struct {
	tb       testing.TB
	stream   grpc.BidiStreamingClient[streaming.AppendStreamRequest, streaming.AppendStreamResponse]
	sequence uint64
	results  []*streamResult // that were received and aren't taken
}

func newStreamed(ctx context.Context, tb testing.TB, b *brokertest.Broker) *streamed {
	tb.Helper()
	stream, err := streaming.NewJournalClient(b.Dial("")).AppendStream(ctx)
	require.NoError(tb, err)
	return &streamed{tb: tb, stream: stream}
}

// open handles 1, 2, ... for journals.
func (s *streamed) open(journals ...string) {
	s.tb.Helper()
	m := new(streaming.AppendStreamRequest)
	for i, j := range journals {
		m.Opens = append(m.Opens, &streamOpen{Handle: uint32(i + 1), Journal: j})
	}
	require.NoError(s.tb, s.stream.Send(m))
}

// append sends whole appends in one message.
func (s *streamed) append(all ...*streamPart) {
	s.tb.Helper()
	for _, a := range all {
		s.sequence++
		a.Sequence = s.sequence
	}
	require.NoError(s.tb, s.stream.Send(&streaming.AppendStreamRequest{Appends: all}))
}

// appendAtOnce appends in one message: no pause of this process can come amid the append.
func appendAtOnce(ctx context.Context, tb testing.TB, b *brokertest.Broker, journal, content string) {
	tb.Helper()
	s := newStreamed(ctx, tb, b)
	s.open(journal)
	s.append(whole(1, content))
	require.Equal(tb, protocol.Status_OK, s.next().GetStatus())
	require.NoError(tb, s.stream.CloseSend())
	_, err := s.rest()
	require.ErrorIs(tb, err, io.EOF)
}

// next result.
func (s *streamed) next() *streamResult {
	s.tb.Helper()
	for len(s.results) == 0 {
		m, err := s.stream.Recv()
		require.NoError(s.tb, err)
		s.results = m.GetResults()
	}
	r := s.results[0]
	s.results = s.results[1:]
	return r
}

// rest are all results until the stream ends, and why it does.
func (s *streamed) rest() ([]*streamResult, error) {
	out := s.results
	for {
		m, err := s.stream.Recv()
		if err != nil {
			return out, err
		}
		out = append(out, m.GetResults()...)
	}
}

func whole(handle uint32, content string) *streamPart {
	return &streamPart{Handle: handle, Content: []byte(content)}
}

// formatResult in words.
func formatResult(r *streamResult) string {
	out := fmt.Sprintf("%d: ", r.GetSequence())
	switch {
	case r.GetNotApplied():
		out += "not applied"
	case r.GetError() != "":
		out += fmt.Sprintf("%s %q", codes.Code(uint32(r.GetCode())), r.GetError())
	case r.GetStatus() != protocol.Status_OK:
		out += r.GetStatus().String()
	default:
		out += fmt.Sprintf("[%d,%d)", r.GetBegin(), r.GetEnd())
	}
	if r.GetUnknown() {
		out += " unknown"
	}
	if r.GetRegisters() != nil {
		out += " registers " + formatLabels(r.GetRegisters())
	}
	if r.GetHeader() != nil {
		out += " header"
	}
	return out
}

func formatResults(results []*streamResult) string {
	lines := make([]string, 0, len(results))
	for _, r := range results {
		lines = append(lines, formatResult(r))
	}
	return strings.Join(lines, "\n")
}

// TestAppendStream: many appends to many journals on one stream, each with its own range.
func TestAppendStream(t *testing.T) {
	for _, mode := range []spool.Mode{spool.Synced, spool.Replicated} {
		t.Run(mode.String(), func(t *testing.T) {
			b := brokertest.New(t, brokertest.Config{Mode: mode})
			ctx := bounded(t)
			journals := []string{"a/one", "a/two", "a/three"}
			for _, j := range journals {
				b.Create(brokertest.Spec(j))
			}
			s := newStreamed(ctx, t, b)
			s.open(journals...)
			const each = 2000
			want := make([]strings.Builder, 3)
			g := task.New(ctx, "test")
			g.Go("send", func(context.Context) error {
				for i := range each {
					var batch []*streamPart
					for j := range journals {
						content := fmt.Sprintf("%d of %d\n", i, j)
						want[j].WriteString(content)
						batch = append(batch, whole(uint32(j+1), content))
					}
					s.append(batch...)
				}
				return s.stream.CloseSend()
			})
			results, err := s.rest()
			require.ErrorIs(t, err, io.EOF)
			require.NoError(t, g.Wait())
			require.Len(t, results, 3*each)
			ends, headers := make([]int64, 3), 0
			for _, r := range results {
				require.Equal(t, protocol.Status_OK, r.GetStatus())
				require.Empty(t, r.GetError())
				j := (r.GetSequence() - 1) % 3
				require.Equal(t, ends[j], r.GetBegin())
				ends[j] = r.GetEnd()
				if r.GetHeader() != nil {
					headers++
					require.NoError(t, r.GetHeader().Validate())
				}
			}
			require.Equal(t, 3, headers, "one in each run")
			for j, name := range journals {
				require.Equal(t, want[j].String(), mustRead(ctx, t, b, name, 0))
			}
		})
	}
}

// TestAppendStreamRuns: none of a run is applied past one that isn't OK, until the journal is
// opened again (R11). Other runs go on.
func TestAppendStreamRuns(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	s := newStreamed(ctx, t, b)
	s.open("a/journal", "a/journal;meta", "a/missing")
	union := &protocol.LabelSet{Labels: []*protocol.Label{{Name: "author", Value: "bob"}}}
	check := &protocol.LabelSelector{Include: &protocol.LabelSet{Labels: []*protocol.Label{{Name: "author", Value: "alice"}}}}
	s.append(
		whole(1, "one "),
		&streamPart{Handle: 1, Content: []byte("bad "), Offset: 1000},
		whole(1, "never "),
		&streamPart{Handle: 2, Content: []byte("two "), UnionRegisters: union},
		&streamPart{Handle: 2, Content: []byte("bad "), CheckRegisters: check},
		whole(2, "never "),
		whole(3, "nowhere "),
		whole(3, "nowhere "),
	)
	s.open("a/journal")
	s.append(whole(1, "three "), whole(1, ""))
	require.NoError(t, s.stream.CloseSend())
	results, err := s.rest()
	require.ErrorIs(t, err, io.EOF)
	byJournal := map[bool][]*streamResult{}
	for _, r := range results {
		missing := r.GetSequence() == 7 || r.GetSequence() == 8
		byJournal[missing] = append(byJournal[missing], r)
	}
	require.Equal(t, `1: [0,4) header
2: WRONG_APPEND_OFFSET header
3: not applied
4: [4,8) registers {author:bob} header
5: REGISTER_MISMATCH registers {author:bob} header
6: not applied
9: [8,14) header
10: [14,14)`, formatResults(byJournal[false]))
	require.Equal(t, "7: JOURNAL_NOT_FOUND header\n8: not applied", formatResults(byJournal[true]))
	require.Equal(t, "one two three ", mustRead(ctx, t, b, "a/journal", 0))
}

// TestAppendStreamParts: an append in parts is one append, in memory or in a file.
func TestAppendStreamParts(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.GatherMemory = 1 << 10 }})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	s := newStreamed(ctx, t, b)
	s.open("a/journal")
	var want strings.Builder
	want.WriteString("first ")
	s.append(whole(1, want.String()))
	for _, n := range []int{2, 40, 3000} {
		s.sequence++
		for i := range n {
			part := strings.Repeat(string(rune('a'+i%26)), 300)
			want.WriteString(part)
			require.NoError(t, s.stream.Send(&streaming.AppendStreamRequest{Appends: []*streamPart{
				{Sequence: s.sequence, Handle: 1, Content: []byte(part), More: i < n-1},
			}}))
		}
	}
	s.append(whole(1, strings.Repeat("whole ", 1000)), whole(1, "last"))
	want.WriteString(strings.Repeat("whole ", 1000) + "last")
	require.NoError(t, s.stream.CloseSend())
	results, err := s.rest()
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, "1: [0,6) header\n2: [6,606)\n3: [606,12606)\n4: [12606,912606)\n5: [912606,918606)\n6: [918606,918610)", formatResults(results))
	require.Equal(t, want.String(), mustRead(ctx, t, b, "a/journal", 0))
}

// TestAppendStreamViolations: the stream ends with what is wrong, once what was right has its result.
func TestAppendStreamViolations(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	part := func(p *streamPart) *streaming.AppendStreamRequest {
		return &streaming.AppendStreamRequest{Appends: []*streamPart{p}}
	}
	open := func(o *streamOpen) *streaming.AppendStreamRequest {
		return &streaming.AppendStreamRequest{Opens: []*streamOpen{o}}
	}
	half := part(&streamPart{Sequence: 2, Handle: 1, Content: []byte("half"), More: true})
	bad := &protocol.LabelSet{Labels: []*protocol.Label{{Name: "!"}}}
	for want, messages := range map[string][]*streaming.AppendStreamRequest{
		"append has sequence 3, expected 2":                           {part(&streamPart{Sequence: 3, Handle: 1})},
		"append has sequence 1, expected 2":                           {part(&streamPart{Sequence: 1, Handle: 1})},
		"append 2: handle 9 isn't open":                               {part(&streamPart{Sequence: 2, Handle: 9})},
		"append 2: invalid Offset (-1; expected >= 0)":                {part(&streamPart{Sequence: 2, Handle: 1, Offset: -1})},
		"append 2: UnionRegisters: Labels[0].Name: ":                  {part(&streamPart{Sequence: 2, Handle: 1, UnionRegisters: bad})},
		"append 2: SubtractRegisters: Labels[0].Name: ":               {part(&streamPart{Sequence: 2, Handle: 1, SubtractRegisters: bad})},
		"append 2: CheckRegisters: Include.Labels[0].Name: ":          {part(&streamPart{Sequence: 2, Handle: 1, CheckRegisters: &protocol.LabelSelector{Include: bad}})},
		"Open: invalid Handle (0; expected 1 <= Handle <= 65535)":     {open(&streamOpen{Journal: "a/journal"})},
		"Open: invalid Handle (65536; expected 1 <= Handle <= 65535)": {open(&streamOpen{Handle: 65536, Journal: "a/journal"})},
		"Open.Journal: ": {open(&streamOpen{Handle: 2, Journal: "/bad"})},
		"Open.Header: ":  {open(&streamOpen{Handle: 2, Journal: "a/journal", Header: new(protocol.Header)})},
		"Open: invalid MinEtcdRevision (-1; expected >= 0)":             {open(&streamOpen{Handle: 2, Journal: "a/journal", MinEtcdRevision: -1})},
		"Open of handle 2 between the parts of append 2":                {half, open(&streamOpen{Handle: 2, Journal: "a/journal"})},
		"append 3 of handle 1 between the parts of append 2":            {half, part(&streamPart{Sequence: 3, Handle: 1})},
		"append 2: only its first part may have an offset or registers": {half, part(&streamPart{Sequence: 2, Handle: 1, Offset: 4})},
		"stream ended between the parts of append 2":                    {half},
	} {
		t.Run(want, func(t *testing.T) {
			s := newStreamed(ctx, t, b)
			s.open("a/journal")
			s.append(whole(1, "x"))
			for _, m := range messages {
				require.NoError(t, s.stream.Send(m))
			}
			require.NoError(t, s.stream.CloseSend())
			results, err := s.rest()
			require.Len(t, results, 1)
			require.Equal(t, protocol.Status_OK, results[0].GetStatus())
			require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
			require.ErrorContains(t, err, "append stream: "+want)
		})
	}
	require.NotContains(t, mustRead(ctx, t, b, "a/journal", 0), "half")
}

// TestAppendStreamStops: when the broker stops, what was received has its result, and the
// stream ends soon.
func TestAppendStreamStops(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	s := newStreamed(ctx, t, b)
	s.open("a/journal")
	s.append(whole(1, "x"))
	require.Equal(t, "1: [0,1) header", formatResult(s.next()))
	began := time.Now()
	b.Stop()
	require.Less(t, time.Since(began), 5*time.Second, "it doesn't wait for clients")
	_, err := s.rest()
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
}

// TestAppendStreamCanceled: a client that goes away leaves nothing half done.
func TestAppendStreamCanceled(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.GatherMemory, c.GatherTotal = 1<<10, 1<<12 }})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	for range 20 {
		canceled, cancel := context.WithCancel(ctx)
		s := newStreamed(canceled, t, b)
		s.open("a/journal")
		var batch []*streamPart
		for range 100 {
			batch = append(batch, whole(1, strings.Repeat("x", 99)+"\n"))
		}
		s.append(batch...)
		s.sequence++
		require.NoError(t, s.stream.Send(&streaming.AppendStreamRequest{Appends: []*streamPart{
			{Sequence: s.sequence, Handle: 1, Content: make([]byte, 5000), More: true},
		}}))
		cancel()
		_, err := s.rest()
		require.Equal(t, codes.Canceled, status.Code(err))
	}
	mustAppend(ctx, t, b, "a/journal", "end")
	content := mustRead(ctx, t, b, "a/journal", 0)
	require.Equal(t, "end", strings.ReplaceAll(content, strings.Repeat("x", 99)+"\n", ""))
}

// TestAppendStreamIdlePart: who stops in the middle of an append is told so, who merely has nothing to say isn't.
func TestAppendStreamIdlePart(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.IdleTimeout = 300 * time.Millisecond }})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	s := newStreamed(ctx, t, b)
	s.open("a/journal")
	await(ctx, t, time.Second)
	s.append(whole(1, "x"))
	require.Equal(t, "1: [0,1) header", formatResult(s.next()))
	s.append(&streamPart{Handle: 1, Content: []byte("half"), More: true})
	_, err := s.rest()
	require.Equal(t, codes.DeadlineExceeded, status.Code(err), "%v", err)
}

// TestAppendStreamResumes: an append to a suspended journal resumes it, and those behind it come
// after it.
func TestAppendStreamResumes(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"), brokertest.Spec("empty/journal"))
	mustAppend(ctx, t, b, "a/journal", "before ")
	var want strings.Builder
	for _, j := range []string{"a/journal", "empty/journal"} {
		r, err := appendWith(ctx, b.Client(), &protocol.AppendRequest{Journal: j, Suspend: protocol.AppendRequest_SUSPEND_NOW}, "")
		require.NoError(t, err)
		require.Equal(t, protocol.Status_SUSPENDED, r.GetStatus())
	}
	s := newStreamed(ctx, t, b)
	s.open("a/journal", "empty/journal", "a/journal")
	var batch []*streamPart
	for i := range 100 {
		content := fmt.Sprintf("%d ", i)
		want.WriteString(content)
		batch = append(batch, whole(uint32(1+2*(i%2)), content), whole(2, content))
	}
	s.append(batch...)
	require.NoError(t, s.stream.CloseSend())
	results, err := s.rest()
	require.ErrorIs(t, err, io.EOF)
	require.Len(t, results, 200)
	for _, r := range results {
		require.Equal(t, protocol.Status_OK, r.GetStatus(), "%v", r)
		require.Empty(t, r.GetError())
	}
	require.Equal(t, "before "+want.String(), mustRead(ctx, t, b, "a/journal", 0))
	require.Equal(t, want.String(), mustRead(ctx, t, b, "empty/journal", 0))
}

// TestAppendStreamForwards: a stream to any broker of a fleet appends to journals of all, in order.
func TestAppendStreamForwards(t *testing.T) {
	fleet := brokertest.NewFleet(t, brokertest.Config{Adjust: func(c *broker.Config) { c.GatherMemory = 1 << 12 }}, "a", "b", "c")
	ctx := bounded(t)
	journals := []string{"a/one", "a/two", "a/three", "a/four"}
	for i, j := range journals {
		fleet[0].Create(replicated(j, int32(1+2*(i%2))))
		persistAppend(ctx, t, fleet[0], j, "begin ")
	}
	for n, b := range fleet {
		s := newStreamed(ctx, t, b)
		s.open(journals...)
		for i := range 50 {
			for j := range journals {
				s.append(whole(uint32(j+1), fmt.Sprintf("%d-%d ", n, i)))
			}
		}
		for j := range journals {
			s.append(&streamPart{Handle: uint32(j + 1), Offset: 1}, whole(uint32(j+1), "never"))
		}
		s.open(journals...)
		for j := range journals {
			s.append(whole(uint32(j+1), strings.Repeat("large ", 10_000)))
		}
		require.NoError(t, s.stream.CloseSend())
		results, err := s.rest()
		require.ErrorIs(t, err, io.EOF)
		counts := map[string]int{}
		for _, r := range results {
			switch {
			case r.GetNotApplied():
				counts["not applied"]++
			case r.GetError() != "":
				counts[r.GetError()]++
			default:
				counts[r.GetStatus().String()]++
			}
		}
		require.Equal(t, map[string]int{"OK": 204, "WRONG_APPEND_OFFSET": 4, "not applied": 4}, counts)
	}
	var want strings.Builder
	want.WriteString("begin ")
	for n := range fleet {
		for i := range 50 {
			fmt.Fprintf(&want, "%d-%d ", n, i)
		}
		want.WriteString(strings.Repeat("large ", 10_000))
	}
	for _, j := range journals {
		require.Equal(t, want.String(), mustReadTo(ctx, t, fleet[0], j, 0, int64(want.Len())))
	}

	// Who doesn't want that is told who is the primary.
	refused := 0
	for _, b := range fleet {
		s := newStreamed(ctx, t, b)
		require.NoError(t, s.stream.Send(&streaming.AppendStreamRequest{Opens: []*streamOpen{{Handle: 1, Journal: "a/two", DoNotProxy: true}}}))
		s.append(whole(1, "x"))
		r := s.next()
		if r.GetStatus() == protocol.Status_NOT_JOURNAL_PRIMARY_BROKER {
			refused++
			require.Len(t, r.GetHeader().GetRoute().GetEndpoints(), 3)
		}
		require.NoError(t, s.stream.CloseSend())
		_, err := s.rest()
		require.ErrorIs(t, err, io.EOF)
	}
	require.Equal(t, 2, refused)
}

// TestAppendStreamOutlivesBrokers: brokers are killed under streams. What is OK is there, what is
// refused isn't, what is unknown is there whole or not, and all of it in order.
func TestAppendStreamOutlivesBrokers(t *testing.T) {
	fleet := brokertest.NewFleet(t, brokertest.Config{}, "a", "b", "c")
	ctx := bounded(t)
	fleet[0].Create(replicated("a/journal", 3))
	persistAppend(ctx, t, fleet[0], "a/journal", "begin\n")
	var maybe, sure []string
	next := 0
	for round := range 6 {
		s := newStreamed(ctx, t, fleet[round%3])
		s.open("a/journal")
		sent := map[uint64]string{}
		var batch []*streamPart
		for range 500 {
			content := fmt.Sprintf("append-%d\n", next)
			next++
			batch = append(batch, whole(1, content))
			sent[s.sequence+uint64(len(batch))] = content
		}
		for i := range 10 {
			s.append(batch[50*i : 50*i+50]...)
		}
		first := s.next()
		victim := fleet[(round+round/3)%3] // who serves the stream, or another
		victim.Kill()
		_ = s.stream.CloseSend() // It may be broken.
		results, _ := s.rest()
		for _, r := range append([]*streamResult{first}, results...) {
			content := sent[r.GetSequence()]
			delete(sent, r.GetSequence())
			switch {
			case r.GetUnknown():
				maybe = append(maybe, content)
			case r.GetStatus() == protocol.Status_OK && r.GetError() == "" && !r.GetNotApplied():
				sure = append(sure, content)
			}
		}
		for _, content := range sent {
			maybe = append(maybe, content)
		}
		victim.Restart()
	}
	end := persistAppend(ctx, t, fleet[0], "a/journal", "end\n").GetCommit().GetEnd()
	content := mustReadTo(ctx, t, fleet[1], "a/journal", 0, end)
	at := -1
	found := map[string]bool{}
	for line := range strings.Lines(content) {
		var n int
		if _, err := fmt.Sscanf(line, "append-%d", &n); err == nil {
			require.Greater(t, n, at, "in order, and once")
			at = n
			found[line] = true
		}
	}
	for _, line := range sure {
		require.True(t, found[line], "%q is acknowledged and missing", line)
		delete(found, line)
	}
	for _, line := range maybe {
		delete(found, line)
	}
	require.Empty(t, found, "these were refused")
	require.NotEmpty(t, sure)
}
