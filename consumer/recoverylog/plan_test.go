package recoverylog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// planReasons by which scenarios name why a log isn't played.
var planReasons = map[string]error{"beyond head": ErrBeyondHead, "hints unused": ErrHintsUnused, "jump": ErrJump}

func planOutcome(err error) string {
	for name, reason := range planReasons {
		if errors.Is(err, reason) && errors.Is(err, ErrDataLoss) {
			return "data loss: " + name
		}
	}
	return outcome(err)
}

// planWorld has a playback, and what each log holds that it reads: operations at offsets, one behind the other.
type planWorld struct {
	t    *testing.T
	plan *playback
}

func (w *planWorld) next() string {
	s, err := w.plan.next()
	if err != nil {
		return planOutcome(err) + "\n"
	}
	where := strings.TrimSpace(s.log)
	switch s.task {
	case getHead:
		return "get head of " + where + "\n"
	case read:
		return fmt.Sprintf("read %s from %d\n", where, s.offset)
	case await:
		return fmt.Sprintf("await %s beyond %d\n", where, s.offset)
	case inject:
		return "inject into " + where + "\n"
	case done:
		return "done\n"
	}
	return "?"
}

// hints of lines: a file, and its segments as author, numbers and offsets, and maybe a log. Checksums are of a log of
// hand-offs, as scenarios' operations are.
func planHints(t *testing.T, log, lines string) *FSMHints {
	t.Helper()
	x := &FSMHints{Log: log}
	for line := range strings.Lines(lines) {
		words := strings.Fields(line)
		fnode, err := strconv.ParseInt(words[0], 10, 64)
		require.NoError(t, err)
		node := &FnodeSegments{Fnode: fnode}
		for _, word := range words[1:] {
			s := new(Segment)
			rest, log, _ := strings.Cut(word, "@")
			s.Log = log
			_, err := fmt.Sscanf(rest, "%d:%d-%d:%d-%d", &s.Author, &s.FirstSeqNo, &s.LastSeqNo, &s.FirstOffset, &s.LastOffset)
			require.NoError(t, err)
			node.Segments = append(node.Segments, s)
		}
		x.LiveNodes = append(x.LiveNodes, node)
	}
	return x
}

// op of a line: its kind, its author and the offsets that it is at, and maybe a number other than the next.
func (w *planWorld) op(args []datadriven.CmdArg) string {
	seqNo, sum := w.plan.fsm.Next()
	op := &RecordedOp{SeqNo: seqNo, Checksum: sum, Author: 1, Log: w.plan.at}
	for _, a := range args {
		number := func() int64 {
			n, err := strconv.ParseInt(a.Vals[0], 10, 64)
			require.NoError(w.t, err)
			return n
		}
		switch a.Key {
		case "create":
			op.Create = &RecordedOp_Create{Path: a.Vals[0]}
		case "write":
			op.Write = &RecordedOp_Write{Fnode: number(), Length: 5}
		case "author":
			op.Author = uint32(number())
		case "seq_no":
			op.SeqNo = number()
		case "at":
			op.FirstOffset = number()
		case "end":
			op.LastOffset = number()
		default:
			w.t.Fatalf("unknown argument %s", a.Key)
		}
	}
	payload, err := proto.Marshal(&RecordedOp{SeqNo: op.GetSeqNo(), Author: op.GetAuthor(), Create: op.GetCreate(), Write: op.GetWrite()})
	require.NoError(w.t, err)
	return planOutcome(w.plan.op(op, payload)) + "; " + w.next()
}

func planNumber(t *testing.T, d *datadriven.TestData, i int) int64 {
	t.Helper()
	n, err := strconv.ParseInt(d.CmdArgs[i].Key, 10, 64)
	require.NoError(t, err)
	return n
}

// TestPlanScenarios: which logs are read from where, how a log is finished or taken over, and what is a loss of data.
func TestPlanScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/plan", func(t *testing.T, path string) {
		w := &planWorld{t: t}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "hints":
				var err error
				w.plan, err = newPlayback(planHints(t, d.CmdArgs[0].Key, d.Input))
				require.NoError(t, err)
			case "head":
				w.plan.head(d.CmdArgs[0].Key, planNumber(t, d, 1))
			case "op":
				return w.op(d.CmdArgs)
			case "jump":
				if err := w.plan.jump(planNumber(t, d, 0)); err != nil {
					return planOutcome(err) + "\n"
				}
			case "skipped":
				w.plan.skipped(planNumber(t, d, 0))
			case "finish":
				w.plan.aim(finish, 0)
			case "take":
				w.plan.aim(take, 9)
			case "wrote":
				w.plan.wrote(planNumber(t, d, 0))
			default:
				t.Fatalf("unknown command %s", d.Cmd)
			}
			return w.next()
		})
	})
}
