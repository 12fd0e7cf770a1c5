package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/fragments/spool"
	"broadsheet.dev/broadsheet/protocol"
)

// TestProposalScenarios decides about proposals as testdata/replicate tells. The input of "spool" has
// one line of the spool, and then one proposal a line; its output is what is done with each.
//
//	holds BEGIN-END [delta=N] [codec=NAME] [registers=N=V;...]
//	propose BEGIN-END [sum=other] [codec=NAME] [registers=N=V;...]
//
// The byte at an offset is the same in all of them, unless its sum is another.
func TestProposalScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/replicate", func(t *testing.T, path string) {
		t.Helper()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			require.Equal(t, "spool", d.Cmd, d.Pos)
			var v spoolView
			var out strings.Builder
			for line := range strings.Lines(d.Input) {
				fields := strings.Fields(line)
				a := scenarioArgs{t, d.Pos, line}
				var begin, end int64
				_, err := fmt.Sscanf(fields[1], "%d-%d", &begin, &end)
				require.NoError(t, err, d.Pos)
				codec := protocol.CompressionCodec_NONE
				if _, ok := a.find("codec"); ok {
					codec = protocol.CompressionCodec(a.enum("codec", protocol.CompressionCodec_value))
				}
				switch fields[0] {
				case "holds":
					v = viewOf(begin, end, a.number("delta"), codec, a.set("registers"))
				case "propose":
					p := proposalOf(begin, end, codec)
					if text, _ := a.find("sum"); text == "other" {
						p.Sum = protocol.SumOf([]byte("other"))
					}
					fmt.Fprintf(&out, "%s -> %s\n", strings.TrimSpace(line), decideProposal(v, p, presentSet(a.set("registers"))))
				default:
					d.Fatalf(t, "unknown line %q", line)
				}
			}
			return out.String()
		})
	})
}

// streamBytes is the content of a stream in a range.
func streamBytes(begin, end int64) []byte {
	out := make([]byte, 0, end-begin)
	for at := begin; at < end; at++ {
		out = append(out, byte(at%251))
	}
	return out
}

func viewOf(begin, end, delta int64, codec protocol.CompressionCodec, registers *protocol.LabelSet) spoolView {
	return spoolView{
		state: spool.State{
			Begin: begin, End: end, Codec: codec, Registers: presentSet(registers),
			Sum: protocol.SumOf(streamBytes(begin, end)).Digest(),
		},
		delta: delta, next: end + delta, sum: protocol.SumOf(streamBytes(begin, end+delta)).Digest(),
	}
}

func proposalOf(begin, end int64, codec protocol.CompressionCodec) *protocol.Fragment {
	p := &protocol.Fragment{Journal: "a/journal", Begin: begin, End: end, CompressionCodec: codec, Sum: new(protocol.SHA1Sum)}
	if end > begin {
		p.Sum = protocol.SumOf(streamBytes(begin, end))
	}
	return p
}

// TestProposalRandom: only what is held exactly is agreed to, and a roll is followed by one of the others.
func TestProposalRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := func(name string) int64 { return rapid.Int64Range(0, 12).Draw(t, name) }
		begin := at("begin")
		v := viewOf(begin, begin+at("length"), at("delta"), protocol.CompressionCodec_NONE, nil)
		from := at("from")
		p := proposalOf(from, from+at("proposed"), protocol.CompressionCodec_NONE)
		switch decideProposal(v, p, new(protocol.LabelSet)) {
		case proposalCommit:
			require.Equal(t, []int64{v.state.Begin, v.next}, []int64{p.GetBegin(), p.GetEnd()})
		case proposalRollback:
			require.Equal(t, []int64{v.state.Begin, v.state.End}, []int64{p.GetBegin(), p.GetEnd()})
		case proposalRoll:
			require.GreaterOrEqual(t, p.GetEnd(), v.state.End, "an offset is never held twice")
			next := decideProposal(viewOf(p.GetEnd(), p.GetEnd(), 0, p.GetCompressionCodec(), nil), p, new(protocol.LabelSet))
			require.Equal(t, proposalRollback, next, "once")
		case proposalMismatch:
		}
	})
}

// TestSuspendScenarios decides about suspending as testdata/suspend tells: a line of the journal's level, what
// is asked for and what the index holds, of the day 2026-03-01.
//
//	LEVEL SUSPEND [empty] [stored=HH:MM:SS] [flush=D] [now=HH:MM:SS]
func TestSuspendScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/suspend", func(t *testing.T, path string) {
		t.Helper()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			require.Equal(t, "decide", d.Cmd, d.Pos)
			var out strings.Builder
			for line := range strings.Lines(d.Input) {
				fields, a := strings.Fields(line), scenarioArgs{t, d.Pos, line}
				v := flushView{empty: a.has("empty"), now: a.clock("now")}
				_, v.stored = a.find("stored")
				v.modTime = a.clock("stored")
				if text, ok := a.find("flush"); ok {
					var err error
					v.interval, err = time.ParseDuration(text)
					require.NoError(t, err, d.Pos)
				}
				require.Contains(t, protocol.JournalSpec_Suspend_Level_value, fields[0], d.Pos)
				require.Contains(t, protocol.AppendRequest_Suspend_value, "SUSPEND_"+fields[1], d.Pos)
				action := decideSuspend(
					protocol.JournalSpec_Suspend_Level(protocol.JournalSpec_Suspend_Level_value[fields[0]]),
					protocol.AppendRequest_Suspend(protocol.AppendRequest_Suspend_value["SUSPEND_"+fields[1]]), v)
				fmt.Fprintf(&out, "%s -> %s\n", strings.TrimSpace(line), action)
			}
			return out.String()
		})
	})
}
