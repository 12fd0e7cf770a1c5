package broker

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/protocol"
)

// TestAppendScenarios walks the append state machine through testdata/append. The
// input of "run" has one event a line; its output is the step that each led to.
//
//	append journal=NAME [offset=N] [check=SELECTOR] [union=N=V;...] [subtract=...] [suspend=NAME] [revision=N] [no-proxy] [header]
//	resolved [status=NAME] [members=N] [replication=N] [revision=N] [flags=NAME] [suspended=LEVEL] [length=N] [flush=D]
//	content TEXT | message journal=NAME | empty | eof | broken
//	gathered [delayed] | index      each with [error=closed|store|TEXT]
//	barrier | committed      each with [status=NAME] [end=N] [again=REVISION [resumed]] [blocked=TEXT] [error=TEXT]
//	allocated | routed       each with [late] [error=TEXT]
//	proxied [status=NAME] [at=REVISION] [end=N] [error=TEXT] [unavailable] [sent]
func TestAppendScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/append", func(t *testing.T, path string) {
		t.Helper()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			require.Equal(t, "run", d.Cmd, d.Pos)
			s := appendScenario{t: t, pos: d.Pos}
			var out strings.Builder
			for line := range strings.Lines(d.Input) {
				line = strings.TrimSpace(line)
				s.event(line)
				word, _, _ := strings.Cut(line, " ")
				fmt.Fprintf(&out, "%-9s -> %s\n", word, s.state())
			}
			return out.String()
		})
	})
}

type appendScenario struct {
	t   *testing.T
	pos string
	fsm *appendFSM
}

// expects fails the test if the event doesn't fit the step.
func (s *appendScenario) expects(steps ...appendStep) {
	s.t.Helper()
	require.Contains(s.t, steps, s.fsm.step, "%s: the step is %s", s.pos, s.fsm.step)
}

func (s *appendScenario) event(line string) {
	word, rest, _ := strings.Cut(line, " ")
	a := scenarioArgs{s.t, s.pos, rest}
	switch word {
	case "append":
		s.fsm = newAppendFSM(a.appendRequest())
	case "resolved":
		s.expects(stepResolve)
		s.fsm.onResolved(a.resolution(), a.err())
	case "content":
		s.expects(stepReceive)
		s.fsm.onMessage(&protocol.AppendRequest{Content: []byte(rest)}, nil)
	case "message":
		s.expects(stepReceive)
		s.fsm.onMessage(a.appendRequest(), nil)
	case "empty":
		s.expects(stepReceive)
		s.fsm.onMessage(new(protocol.AppendRequest), nil)
	case "eof":
		s.expects(stepReceive)
		s.fsm.onMessage(nil, io.EOF)
	case "broken":
		s.expects(stepReceive)
		s.fsm.onMessage(nil, errors.New("connection reset"))
	case "gathered":
		s.expects(stepGather)
		s.fsm.onGathered(a.has("delayed"), a.err())
	case "index":
		s.expects(stepAwaitIndex)
		s.fsm.onIndex(a.err())
	case "barrier":
		s.expects(stepBarrier)
		s.fsm.onBarrier(a.outcome())
	case "committed":
		s.expects(stepCommit, stepResume)
		s.fsm.onCommitted(a.outcome())
	case "allocated":
		s.expects(stepAwaitAllocator)
		s.fsm.onAllocated(!a.has("late"), a.err())
	case "proxied":
		s.expects(stepProxy)
		r := a.outcome().response
		if r != nil {
			r.Header = s.fsm.resolved.header // the primary's has the same route
			if at := a.number("at"); at != 0 {
				r.Header = &protocol.Header{Route: r.GetHeader().GetRoute(), Etcd: &protocol.Header_Etcd{ClusterId: 1, MemberId: 2, Revision: at, RaftTerm: 3}}
			}
		}
		err := a.err()
		if a.has("unavailable") {
			err, r = status.Error(codes.Unavailable, "broker is gone"), nil
		}
		s.fsm.onProxied(r, !a.has("sent"), err)
	case "routed":
		s.expects(stepAwaitRoute)
		s.fsm.onRouted(!a.has("late"), a.err())
	default:
		s.t.Fatalf("%s: unknown event %q", s.pos, line)
	}
}

func (s *appendScenario) state() string {
	f := s.fsm
	if f.step != stepDone {
		require.Nil(s.t, f.response)
		require.NoError(s.t, f.err)
	}
	switch {
	case f.step == stepAwaitAllocator:
		return fmt.Sprintf("await allocator at %d", f.revision)
	case f.step == stepResolve:
		return fmt.Sprintf("resolve at %d", f.revision)
	case f.step == stepAwaitRoute:
		return fmt.Sprintf("await route at %d, or for %s: %s", f.revision, f.pause, f.blocked)
	case f.step == stepCommit:
		return fmt.Sprintf("commit %d bytes", f.size)
	case f.err != nil:
		require.Nil(s.t, f.response)
		return fmt.Sprintf("error %q", f.err)
	case f.response != nil:
		if f.resolved.header != nil {
			require.NoError(s.t, f.response.Validate(), "%s: %v", s.pos, f.response)
		}
		return formatAppendResponse(f.response)
	default:
		return f.step.String()
	}
}

func formatAppendResponse(r *protocol.AppendResponse) string {
	var b strings.Builder
	b.WriteString(r.GetStatus().String())
	if c := r.GetCommit(); c != nil {
		fmt.Fprintf(&b, " commit %s [%d,%d) %s %x", c.GetJournal(), c.GetBegin(), c.GetEnd(), c.GetCompressionCodec(), c.GetSum().GetPart1())
	}
	if r.GetRegisters() != nil {
		b.WriteString(" registers " + formatSet(r.GetRegisters()))
	}
	fmt.Fprintf(&b, " chunks %d", r.GetTotalChunks())
	if n := r.GetDelayedChunks(); n > 0 {
		fmt.Fprintf(&b, " delayed %d", n)
	}
	if e := r.GetStoreHealthError(); e != "" {
		b.WriteString(" because " + strconv.Quote(e))
	}
	return b.String()
}

func formatSet(set *protocol.LabelSet) string {
	words := make([]string, 0, len(set.GetLabels()))
	for _, l := range set.GetLabels() {
		words = append(words, l.GetName()+"="+l.GetValue())
	}
	return "{" + strings.Join(words, ";") + "}"
}

// scenarioArgs are the words key=value of an event.
type scenarioArgs struct {
	t    *testing.T
	pos  string
	text string
}

func (a scenarioArgs) find(key string) (string, bool) {
	for word := range strings.FieldsSeq(a.text) {
		if value, ok := strings.CutPrefix(word, key+"="); ok {
			return value, true
		}
	}
	return "", false
}

func (a scenarioArgs) has(word string) bool { return slices.Contains(strings.Fields(a.text), word) }

func (a scenarioArgs) number(key string) int64 {
	value, ok := a.find(key)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(value, 10, 64)
	require.NoError(a.t, err, a.pos)
	return n
}

func (a scenarioArgs) numberOr(key string, other int64) int64 {
	if _, ok := a.find(key); !ok {
		return other
	}
	return a.number(key)
}

func (a scenarioArgs) enum(key string, values map[string]int32) int32 {
	value, ok := a.find(key)
	if !ok {
		return 0
	}
	require.Contains(a.t, values, value, a.pos)
	return values[value]
}

func (a scenarioArgs) set(key string) *protocol.LabelSet {
	value, ok := a.find(key)
	if !ok {
		return nil
	}
	set := new(protocol.LabelSet)
	for pair := range strings.SplitSeq(value, ";") {
		if name, v, found := strings.Cut(pair, "="); found {
			set.AddValue(name, v)
		}
	}
	return set
}

func (a scenarioArgs) err() error {
	switch value, ok := a.find("error"); {
	case !ok:
		return nil
	case value == "closed":
		return errReplicaClosed
	case value == "store":
		return &indexError{journal: "a/journal", err: errors.New("bucket is gone")}
	default:
		return errors.New(value)
	}
}

func (a scenarioArgs) outcome() outcome {
	if _, ok := a.find("again"); ok {
		return outcome{again: true, revision: a.number("again"), resumed: a.has("resumed")}
	}
	if text, ok := a.find("blocked"); ok {
		return outcome{again: true, blocked: errors.New(text), pause: time.Second}
	}
	if err := a.err(); err != nil {
		return outcome{err: err}
	}
	r := &protocol.AppendResponse{Status: protocol.Status(a.enum("status", protocol.Status_value))}
	if r.GetStatus() == protocol.Status_OK {
		r.Commit = &protocol.Fragment{Journal: "a/journal", End: a.number("end"), Sum: new(protocol.SHA1Sum), CompressionCodec: protocol.CompressionCodec_NONE}
		r.Registers = new(protocol.LabelSet)
	}
	if r.GetStatus() == protocol.Status_REGISTER_MISMATCH {
		r.Registers = new(protocol.LabelSet)
	}
	return outcome{response: r}
}

func (a scenarioArgs) clock(key string) time.Time {
	value, ok := a.find(key)
	if !ok {
		return time.Time{}
	}
	out, err := time.Parse(time.DateTime, "2026-03-01 "+value)
	require.NoError(a.t, err, a.pos)
	return out
}

func (a scenarioArgs) appendRequest() *protocol.AppendRequest {
	journal, _ := a.find("journal")
	r := &protocol.AppendRequest{
		Journal:           journal,
		Offset:            a.number("offset"),
		UnionRegisters:    a.set("union"),
		SubtractRegisters: a.set("subtract"),
		Suspend:           protocol.AppendRequest_Suspend(a.enum("suspend", protocol.AppendRequest_Suspend_value)),
		MinEtcdRevision:   a.number("revision"),
		DoNotProxy:        a.has("no-proxy"),
	}
	if a.has("header") {
		r.Header = &protocol.Header{Route: protocol.EmptyRoute(), Etcd: &protocol.Header_Etcd{ClusterId: 1, MemberId: 2, Revision: 5, RaftTerm: 3}}
	}
	if text, ok := a.find("check"); ok {
		sel, err := protocol.ParseLabelSelector(text)
		require.NoError(a.t, err, a.pos)
		r.CheckRegisters = sel
	}
	return r
}

func (a scenarioArgs) resolution() resolution {
	route := protocol.EmptyRoute()
	for i := range a.numberOr("members", 1) {
		route.Members = append(route.Members, &protocol.ProcessSpec_ID{Zone: "zone", Suffix: fmt.Sprintf("broker-%d", i)})
		route.Primary = 0
	}
	flush := time.Duration(0)
	if text, ok := a.find("flush"); ok {
		var err error
		flush, err = time.ParseDuration(text)
		require.NoError(a.t, err, a.pos)
	}
	return resolution{
		desired: int(a.numberOr("replication", 1)),
		status:  protocol.Status(a.enum("status", protocol.Status_value)),
		header: &protocol.Header{
			Route: route,
			Etcd:  &protocol.Header_Etcd{ClusterId: 1, MemberId: 2, Revision: a.numberOr("revision", 7), RaftTerm: 3},
		},
		spec: &protocol.JournalSpec{
			Name:        "a/journal",
			Replication: int32(a.numberOr("replication", 1)),
			Flags:       uint32(a.enum("flags", protocol.JournalSpec_Flag_value)),
			Suspend: &protocol.JournalSpec_Suspend{
				Offset: a.number("suspend-offset"),
				Level:  protocol.JournalSpec_Suspend_Level(a.enum("suspended", protocol.JournalSpec_Suspend_Level_value)),
			},
			Fragment: &protocol.JournalSpec_Fragment{
				Length:           a.numberOr("length", 1000),
				CompressionCodec: protocol.CompressionCodec_GZIP,
				FlushInterval:    durationpb.New(flush),
			},
		},
	}
}

func (a scenarioArgs) view() headView {
	v := headView{
		end:       a.number("end"),
		openBegin: a.number("open"),
		registers: a.set("registers"),
		codec:     protocol.CompressionCodec_NONE,
		first:     a.clock("first"),
		now:       a.clock("now"),
	}
	if text, ok := a.find("index"); ok {
		_, err := fmt.Sscanf(text, "%d-%d", &v.indexBegin, &v.indexEnd)
		require.NoError(a.t, err, a.pos)
	}
	return v
}

// TestAppendFSMRandom lets anything happen at each step: every append ends, with just
// one outcome, and nothing is written that wasn't committed.
func TestAppendFSMRandom(t *testing.T) {
	ok := scenarioArgs{t: t, text: "members=1"}.resolution()
	rapid.Check(t, func(t *rapid.T) {
		boom := errors.New("boom")
		flip := func(name string) bool { return rapid.Bool().Draw(t, name) }
		fail := func() error {
			return rapid.SampledFrom([]error{nil, nil, nil, nil, boom, errReplicaClosed}).Draw(t, "error")
		}
		f := newAppendFSM(&protocol.AppendRequest{Journal: "a/journal", Offset: rapid.Int64Range(0, 2).Draw(t, "offset")})
		var sent, written int64
		isCommitted, empties := false, 0
		for range 200 {
			switch f.step {
			case stepResolve:
				res := ok
				res.status = rapid.SampledFrom([]protocol.Status{0, 0, 0, protocol.Status_JOURNAL_NOT_FOUND}).Draw(t, "status")
				f.onResolved(res, nil)
			case stepReceive:
				switch {
				case flip("eof"):
					isCommitted = empties == 1
					f.onMessage(nil, io.EOF)
				case flip("empty"):
					empties++
					f.onMessage(new(protocol.AppendRequest), nil)
				default:
					sent++
					f.onMessage(&protocol.AppendRequest{Content: []byte("x")}, nil)
				}
			case stepGather:
				f.onGathered(flip("delayed"), fail())
			case stepAwaitIndex:
				f.onIndex(fail())
			case stepCommit:
				require.True(t, isCommitted, "only what the client committed takes its turn")
				if flip("blocked") {
					f.onCommitted(outcome{again: true, blocked: boom, pause: time.Second})
					continue
				}
				if err := fail(); err != nil {
					f.onCommitted(outcome{again: errors.Is(err, errReplicaClosed), err: err})
					continue
				}
				require.Zero(t, written, "once")
				written = f.size
				f.onCommitted(outcome{response: &protocol.AppendResponse{
					Commit: &protocol.Fragment{Begin: 1, End: 1 + f.size}, Registers: new(protocol.LabelSet),
				}})
			case stepAwaitRoute:
				f.onRouted(!flip("late"), nil)
			case stepBarrier:
				require.Zero(t, sent)
				require.True(t, isCommitted)
				f.onBarrier(outcome{again: true})
			case stepResume, stepProxy, stepAwaitAllocator:
				t.Fatalf("unexpected step %s", f.step)
			case stepDone:
				require.NotEqual(t, f.err == nil, f.response == nil, "exactly one outcome")
				if f.response.GetCommit() != nil {
					require.True(t, isCommitted)
					require.Equal(t, sent, f.response.GetCommit().GetEnd()-f.response.GetCommit().GetBegin())
					require.Equal(t, sent, written)
				}
				return
			}
		}
		// The replica was closed again and again, which is no outcome.
	})
}
