package recoverylog

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// reasons by which scenarios name what an operation is rejected for.
var reasons = map[string]error{
	"not hinted author": ErrNotHintedAuthor, "wrong seq_no": ErrWrongSeqNo, "wrong checksum": ErrWrongChecksum,
	"not hinted create": ErrNotHintedCreate, "not tracked": ErrNotTracked, "link exists": ErrLinkExists,
	"no such link": ErrNoSuchLink, "property exists": ErrPropertyExists, "malformed": ErrMalformed,
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	for name, reason := range reasons {
		if errors.Is(err, reason) {
			return name
		}
	}
	return err.Error()
}

// world of scenarios: one FSM, and hints that were kept.
type world struct {
	t      *testing.T
	fsm    *FSM
	kept   map[string]*FSMHints
	offset int64
	log    string
}

// parseOp of a line: a verb, what it is done to, and fields that differ from those of the next operation in sequence.
func (w *world) parseOp(line string) *RecordedOp {
	words := strings.Fields(line)
	seqNo, sum := w.fsm.Next()
	op := &RecordedOp{SeqNo: seqNo, Checksum: sum, Author: 1, Log: w.log}
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 0, 64)
		require.NoError(w.t, err, line)
		return n
	}
	var plain []string
	for _, word := range words[1:] {
		key, value, ok := strings.Cut(word, "=")
		switch {
		case !ok:
			plain = append(plain, word)
		case key == "author":
			op.Author = uint32(number(value))
		case key == "seq_no":
			op.SeqNo = number(value)
		case key == "checksum":
			op.Checksum = uint32(number(value))
		default:
			w.t.Fatalf("unknown field %s", key)
		}
	}
	switch words[0] {
	case "create":
		op.Create = &RecordedOp_Create{Path: plain[0]}
	case "link":
		op.Link = &RecordedOp_Link{Fnode: number(plain[0]), Path: plain[1]}
	case "unlink":
		op.Unlink = &RecordedOp_Link{Fnode: number(plain[0]), Path: plain[1]}
	case "write":
		op.Write = &RecordedOp_Write{Fnode: number(plain[0]), Offset: number(plain[1]), Length: number(plain[2])}
	case "property":
		op.Property = &Property{Path: plain[0], Content: plain[1]}
	case "nothing":
	case "both":
		op.Create, op.Property = &RecordedOp_Create{Path: plain[0]}, &Property{Path: plain[0]}
	default:
		w.t.Fatalf("unknown operation %s", words[0])
	}
	return op
}

func (w *world) apply(lines string) string {
	var out strings.Builder
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		op := w.parseOp(line)
		op.FirstOffset, op.LastOffset = w.offset, w.offset+10
		w.offset += 10
		payload, err := proto.Marshal(&RecordedOp{
			SeqNo: op.GetSeqNo(), Checksum: op.GetChecksum(), Author: op.GetAuthor(), Create: op.GetCreate(), Link: op.GetLink(),
			Unlink: op.GetUnlink(), Write: op.GetWrite(), Property: op.GetProperty(),
		})
		require.NoError(w.t, err)
		before := w.files()
		err = w.fsm.Apply(op, payload)
		seqNo, _ := w.fsm.Next()
		fmt.Fprintf(&out, "%s: %s, next %d\n", line, outcome(err), seqNo)
		if err != nil {
			require.Equal(w.t, before, w.files(), "a rejected operation changes no file")
			var rejected *OpError
			require.ErrorAs(w.t, err, &rejected)
			require.Equal(w.t, op.GetSeqNo(), rejected.SeqNo)
		}
	}
	return out.String()
}

func (w *world) files() string {
	var out strings.Builder
	for _, p := range slices.Sorted(maps.Keys(w.fsm.Links())) {
		node, _ := w.fsm.Fnode(p)
		fmt.Fprintf(&out, "%s: file %d\n", p, node)
	}
	properties := w.fsm.Properties()
	for _, p := range slices.Sorted(maps.Keys(properties)) {
		fmt.Fprintf(&out, "%s: property %s\n", p, properties[p])
	}
	return out.String()
}

func (w *world) hints(x *FSMHints) string {
	var out strings.Builder
	for _, node := range x.GetLiveNodes() {
		fmt.Fprintf(&out, "file %d:", node.GetFnode())
		for _, s := range node.GetSegments() {
			fmt.Fprintf(&out, " [%d, %d] of %d at [%d, %d)", s.GetFirstSeqNo(), s.GetLastSeqNo(), s.GetAuthor(), s.GetFirstOffset(), s.GetLastOffset())
			if s.GetLog() != "" {
				fmt.Fprintf(&out, " in %s", s.GetLog())
			}
		}
		out.WriteString("\n")
	}
	for _, p := range x.GetProperties() {
		fmt.Fprintf(&out, "property %s: %s\n", p.GetPath(), p.GetContent())
	}
	return out.String()
}

// TestFSMScenarios: the order of the rules, each rejection, and what hints are of.
func TestFSMScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/fsm", func(t *testing.T, path string) {
		w := &world{t: t, kept: make(map[string]*FSMHints), log: "recovery/log"}
		fresh := func(hints *FSMHints) {
			var err error
			w.fsm, err = NewFSM(hints)
			require.NoError(t, err)
		}
		fresh(&FSMHints{Log: w.log})
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "apply":
				return w.apply(d.Input)
			case "files":
				return w.files()
			case "keep":
				x := w.fsm.BuildHints()
				require.NoError(t, x.Validate())
				w.kept[d.CmdArgs[0].Key] = x
				return w.hints(x)
			case "log":
				w.log, w.offset = d.CmdArgs[0].Key, 0
				for _, x := range w.kept {
					if len(d.CmdArgs) > 1 && d.CmdArgs[1].Key == "fork" {
						forkHints(x, w.log)
					}
				}
				return ""
			case "begin":
				x := w.kept[d.CmdArgs[0].Key]
				fresh(x)
				w.offset = 0
				seqNo, _ := w.fsm.Next()
				return fmt.Sprintf("next %d, hints to come: %v\n", seqNo, w.fsm.Unused())
			}
			t.Fatalf("unknown command %s", d.Cmd)
			return ""
		})
	})
}

// forkHints to another log: what they have so far stays where it is.
func forkHints(x *FSMHints, log string) {
	for _, node := range x.GetLiveNodes() {
		for _, s := range node.GetSegments() {
			if s.GetLog() == "" {
				s.Log = x.GetLog()
			}
		}
	}
	x.Log = log
}
