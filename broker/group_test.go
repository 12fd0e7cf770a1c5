package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/protocol"
)

// TestGroupScenarios plays testdata/group. The input of "group" has one event a line; its
// output is the ruling about each append, and the result of each that joined.
//
//	head end=N [open=N] [registers=N=V;...] [index=BEGIN-END] [first=HH:MM:SS] [now=HH:MM:SS]
//	append [size=N] [large] [run=NAME] and the parameters of an append and of a resolution as in TestAppendScenarios
//	open run=NAME
//	settled | failed     the outcome of the group, with which its appends have theirs
func TestGroupScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/group", func(t *testing.T, path string) {
		t.Helper()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			require.Equal(t, "group", d.Cmd, d.Pos)
			s := groupScenario{t: t, pos: d.Pos, runs: make(map[string]*run)}
			for line := range strings.Lines(d.Input) {
				s.event(strings.TrimSpace(line))
			}
			return s.out.String()
		})
	})
}

type groupScenario struct {
	t     *testing.T
	pos   string
	group *group
	runs  map[string]*run
	out   strings.Builder
}

func (s *groupScenario) event(line string) {
	word, rest, _ := strings.Cut(line, " ")
	a := scenarioArgs{s.t, s.pos, rest}
	switch word {
	case "head":
		s.group = newGroup(a.view())
	case "open":
		name, _ := a.find("run")
		s.runs[name] = new(run)
	case "append":
		k := s.ticket(a)
		v := s.group.add(k)
		fmt.Fprintf(&s.out, "append  -> %s", v)
		if v == rulingJoined {
			s.out.WriteString(": " + formatOutcome(k.result))
		}
		s.out.WriteString("\n")
	case "settled":
		new(replica).complete(&sentGroup{group: s.group})
		s.results(line)
	case "failed":
		new(replica).completeFailed(&sentGroup{group: s.group}, status.Error(codes.Unavailable, "peer is gone"))
		s.results(line)
	default:
		s.t.Fatalf("%s: unknown event %q", s.pos, line)
	}
}

func (s *groupScenario) results(word string) {
	fmt.Fprintf(&s.out, "%-7s -> [%d,%d), %d writes, registers", word, s.group.begin, s.group.head.end, len(s.group.writes))
	if s.group.changed {
		s.out.WriteString(" " + formatSet(s.group.head.registers))
	} else {
		s.out.WriteString(" unchanged")
	}
	s.out.WriteString("\n")
	for _, k := range s.group.tickets {
		require.True(s.t, isClosed(k.finished))
		s.out.WriteString("           " + formatOutcome(k.result) + "\n")
	}
}

func (s *groupScenario) ticket(a scenarioArgs) *ticket {
	q := a.appendRequest()
	k := &ticket{
		spec: a.resolution().spec, offset: q.GetOffset(), check: q.GetCheckRegisters(), union: q.GetUnionRegisters(),
		subtract: q.GetSubtractRegisters(), suspend: q.GetSuspend(), size: a.number("size"), finished: make(chan struct{}),
	}
	content := strings.Repeat("x", int(k.size))
	k.sum = protocol.SumOf([]byte(content)).Digest()
	if a.has("large") {
		k.content = strings.NewReader(content)
	} else if k.size > 0 {
		k.small = []byte(content)
	}
	if name, ok := a.find("run"); ok {
		if s.runs[name] == nil {
			s.runs[name] = new(run)
		}
		k.run = s.runs[name]
	}
	return k
}

func formatOutcome(o outcome) string {
	switch {
	case o.notApplied:
		return "not applied"
	case o.applied:
		return fmt.Sprintf("applied [%d,%d) registers %s", o.begin, o.end, formatSet(o.registers))
	case o.again:
		return fmt.Sprintf("again at %d", o.revision)
	case o.err != nil && o.unknown:
		return fmt.Sprintf("unknown, error %q", o.err)
	case o.err != nil:
		return fmt.Sprintf("error %q", o.err)
	}
	text, _, _ := strings.Cut(formatAppendResponse(o.response), " chunks")
	return text
}

// TestGroupRandom: whatever comes, offsets are contiguous, refused appends change nothing, none of
// a run is applied past a failed one, and a group keeps its bounds.
func TestGroupRandom(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		end := rapid.Int64Range(0, 1000).Draw(rt, "end")
		v := headView{end: end, openBegin: end, indexBegin: -1, indexEnd: end, codec: protocol.CompressionCodec_NONE, registers: new(protocol.LabelSet)}
		if rapid.Bool().Draw(rt, "registers") {
			v.registers = scenarioArgs{text: "r=author=one"}.set("r")
		}
		spec := scenarioArgs{t: t}.resolution().spec
		spec.Fragment.Length = 1 << 30
		g := newGroup(v)
		runs := []*run{nil, new(run), new(run)}
		failed := make(map[*run]bool)
		for range rapid.IntRange(1, 50).Draw(rt, "appends") {
			k := &ticket{spec: spec, size: rapid.SampledFrom([]int64{0, 1, 7, 600 << 10}).Draw(rt, "size"), run: rapid.SampledFrom(runs).Draw(rt, "run")}
			k.small = make([]byte, k.size)
			k.offset = rapid.SampledFrom([]int64{0, 0, 0, end, end + 1}).Draw(rt, "offset")
			author := rapid.SampledFrom([]string{"one", "two"}).Draw(rt, "author")
			if rapid.Bool().Draw(rt, "check") {
				k.check, _ = protocol.ParseLabelSelector("author = " + author)
			}
			if rapid.Bool().Draw(rt, "union") {
				k.union = scenarioArgs{text: "u=author=" + author}.set("u")
			}
			before, writes := g.head, len(g.writes)
			v := g.add(k)
			begin, stop, written := k.result.written(k)
			applied := k.result.applied || k.result.response.GetCommit() != nil
			if v != rulingJoined || !written {
				require.Equal(rt, before.end, g.head.end)
				require.True(rt, protocol.LabelSetsEqual(before.registers, g.head.registers))
				require.Len(rt, g.writes, writes)
			}
			if v != rulingJoined {
				require.Equal(rt, rulingFull, v)
				require.NotEmpty(rt, g.tickets, "what doesn't fit begins a group")
				g = newGroup(g.head)
				continue
			}
			if k.run != nil && failed[k.run] {
				require.True(rt, k.result.notApplied)
			}
			failed[k.run] = failed[k.run] || !applied
			if applied {
				require.Equal(rt, before.end, begin)
				require.Equal(rt, before.end+k.size, stop)
				end = stop
			}
			require.LessOrEqual(rt, len(g.tickets), maxGroup)
			require.True(rt, len(g.writes) == 1 || g.head.end-g.begin <= maxGroupBytes)
		}
	})
}
