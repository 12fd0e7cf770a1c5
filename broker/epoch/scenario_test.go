package epoch_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/protocol"
)

// TestScenarios tells the histories of testdata/scenarios. There is one list in etcd, and a
// replica of each broker. The input of "run" has one event a line, its output what came of each.
//
//	poll BROKER EPOCH | align BROKER [agreed=N] | accepts BROKER EPOCH | restart BROKER
//	form REPORT... [floor=N] | jump REPORT... to=N | reset REPORT... start=N | close REPORT
//	record                 what was formed last
//	retire BEGIN-END...    as the store has these ranges
//	bound [stored=N]
//	keep logged=N [agreed=N]
//	agreed REPORT [begin=N] | continues REPORT
//
// A report is BROKER:END, with /N for the epoch that was logged (else that of the replica), @N for
// the disk, ? if it is suspect, and =NAME for a register; one of no spool is BROKER:fresh.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		t.Helper()
		s := scenario{t: t, replicas: make(map[string]*epoch.Replica)}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			require.Equal(t, "run", d.Cmd, d.Pos)
			s.t, s.pos = t, d.Pos
			var out strings.Builder
			for line := range strings.Lines(d.Input) {
				line = strings.TrimSpace(line)
				fmt.Fprintf(&out, "%s -> %s\n", line, s.event(line))
			}
			return out.String()
		})
	})
}

type scenario struct {
	t        *testing.T
	pos      string
	list     epoch.List
	formed   epoch.Epoch
	replicas map[string]*epoch.Replica
}

// words of a line, without those that are NAME=N.
func (s *scenario) words(line string) ([]string, map[string]int64) {
	var words []string
	args := make(map[string]int64)
	for w := range strings.FieldsSeq(line) {
		name, value, ok := strings.Cut(w, "=")
		if n, err := strconv.ParseInt(value, 0, 64); ok && err == nil {
			args[name] = n
			continue
		}
		words = append(words, w)
	}
	return words, args
}

func (s *scenario) event(line string) string {
	words, args := s.words(line)
	switch verb, rest := words[0], words[1:]; verb {
	case "form":
		return s.form(epoch.List.Form(s.list, s.reports(rest), args["floor"]))
	case "jump":
		return s.form(s.list.Jump(s.reports(rest), args["to"]))
	case "reset":
		return s.form(s.list.Reset(s.reports(rest), args["start"]))
	case "close":
		return s.form(s.list.Close(s.reports(rest)[0]))
	case "record":
		s.list = s.list.Append(s.formed, func(begin, end int64) bool { return begin == end })
		return s.describe()
	case "retire":
		s.list = s.list.Retire(covers(s.t, rest))
		return s.describe()
	case "prune":
		s.list = s.list.Prune(args["end"])
		return s.describe()
	case "lives":
		return strconv.FormatBool(s.list.LivesBetween(args["begin"], args["end"]))
	case "bound":
		return spell(s.list.Bound(args["stored"]))
	case "keep":
		keep, ok := s.list.Keep(args["logged"], args["agreed"])
		if !ok {
			return "all"
		}
		return "below " + spell(keep)
	case "agreed":
		return spell(s.list.Agreed(s.reports(rest)[0], args["begin"]))
	case "continues":
		return strconv.FormatBool(s.list.Continues(s.reports(rest)[0]))
	default:
		return s.ofReplica(verb, rest, args)
	}
}

func (s *scenario) ofReplica(verb string, rest []string, args map[string]int64) string {
	r := s.replica(rest[0])
	switch verb {
	case "poll":
		return orOK(r.Poll(s.number(rest[1])))
	case "accepts":
		return strconv.FormatBool(r.Accepts(s.number(rest[1])))
	case "restart":
		*r = epoch.NewReplica(r.Logged())
		return fmt.Sprintf("logged %d, promised %d", r.Logged(), r.Promised())
	case "align":
		member, _, _ := s.report(rest[0] + ":0")
		a, err := r.Align(s.list, member, args["agreed"])
		if err != nil {
			return orOK(err)
		}
		r.Aligned(a.Epoch.Number)
		return fmt.Sprintf("keeps what is below %s, epoch %d starts at %s", spell(a.Keep), a.Epoch.Number, spell(a.Epoch.Start))
	default:
		require.Fail(s.t, "no such event", "%s: %s", s.pos, verb)
		return ""
	}
}

func (s *scenario) replica(name string) *epoch.Replica {
	name, _, _ = strings.Cut(name, "@")
	if s.replicas[name] == nil {
		s.replicas[name] = new(epoch.Replica)
	}
	return s.replicas[name]
}

func (s *scenario) number(word string) int64 {
	n, err := strconv.ParseInt(word, 0, 64)
	require.NoError(s.t, err, s.pos)
	return n
}

func (s *scenario) reports(words []string) []epoch.Report {
	out := make([]epoch.Report, 0, len(words))
	for _, w := range words {
		_, r, err := s.report(w)
		require.NoError(s.t, err, s.pos)
		out = append(out, r)
	}
	return out
}

// report of a word.
func (s *scenario) report(word string) (epoch.Member, epoch.Report, error) {
	name, what, _ := strings.Cut(word, ":")
	name, disk, _ := strings.Cut(name, "@")
	r := epoch.Report{Member: epoch.Member{Broker: epoch.Broker{Zone: "zone", Suffix: name}, Disk: epoch.Disk{1}}}
	if disk != "" {
		r.Disk[0] = byte(s.number(disk))
	}
	r.Epoch, r.Registers = s.replica(name).Logged(), new(protocol.LabelSet)
	if what == "fresh" {
		r.Fresh, r.Epoch = true, 0
		return r.Member, r, nil
	}
	what, register, ok := strings.Cut(what, "=")
	if ok {
		r.Registers = protocol.MustLabelSet("register", register)
	}
	what, r.Suspect = strings.CutSuffix(what, "?")
	what, logged, ok := strings.Cut(what, "/")
	if ok {
		r.Epoch = s.number(logged)
	}
	var err error
	r.End, err = strconv.ParseInt(what, 0, 64)
	return r.Member, r, err
}

func (s *scenario) form(e epoch.Epoch, err error) string {
	if err != nil {
		return orOK(err)
	}
	s.formed = e
	return describeEpoch(e)
}

func (s *scenario) describe() string {
	words := make([]string, 0, len(s.list))
	for _, e := range s.list {
		words = append(words, describeEpoch(e))
	}
	return strings.Join(words, "; ")
}

func describeEpoch(e epoch.Epoch) string {
	names := make([]string, 0, len(e.Members))
	for _, m := range e.Members {
		name := m.Suffix
		if m.Disk[0] != 1 {
			name += fmt.Sprintf("@%d", m.Disk[0])
		}
		names = append(names, name)
	}
	words := []string{fmt.Sprintf("%d{%s} at %s", e.Number, strings.Join(names, " "), spell(e.Start))}
	for _, l := range e.Registers.GetLabels() {
		words = append(words, l.GetName()+"="+l.GetValue())
	}
	if e.Pruned != 0 {
		words = append(words, "pruned below "+spell(e.Pruned))
	}
	if e.Reset {
		words = append(words, "reset")
	}
	return strings.Join(words, " ")
}

// spell an offset, which may be far out.
func spell(offset int64) string {
	switch {
	case offset < epoch.Span:
		return strconv.FormatInt(offset, 10)
	case offset == epoch.Span:
		return "span"
	default:
		return "span+" + spell(offset-epoch.Span)
	}
}

func orOK(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, epoch.ErrFenced):
		return "fenced: " + err.Error()
	default:
		return err.Error()
	}
}

// covers are the ranges that a store has.
func covers(t *testing.T, ranges []string) func(begin, end int64) bool {
	t.Helper()
	type span struct{ begin, end int64 }
	var spans []span
	for _, w := range ranges {
		var s span
		_, err := fmt.Sscanf(w, "%d-%d", &s.begin, &s.end)
		require.NoError(t, err)
		spans = append(spans, s)
	}
	return func(begin, end int64) bool {
		for _, s := range spans {
			if s.begin <= begin && end <= s.end {
				return true
			}
		}
		return begin == end
	}
}
