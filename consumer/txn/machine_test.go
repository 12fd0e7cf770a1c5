package txn_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/consumer/txn"
)

// epoch is time 0 of scenarios.
var epoch = time.Unix(1_000_000, 0)

// TestScenarios runs:
//
//	new [min=<d>] [max=<d>] [no-wait]  a machine at time 0
//	at <duration>                      moves the time, and prints what is to be done
//	ready | passed | empty [open] | more | deferred | committed | acknowledged | drain | fail
//	                                   tells the machine so, one a line, and prints what is to be done
//
// What is to be done is printed until the machine waits for an answer.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		t.Helper()
		var m *txn.Machine
		now := epoch
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			switch d.Cmd {
			case "new":
				m, now = newMachine(t, d), epoch
			case "at":
				at, err := time.ParseDuration(d.CmdArgs[0].Key)
				require.NoError(t, err)
				now = epoch.Add(at)
			case "deferred":
				if err := m.Deferred(); err != nil {
					return "error: " + err.Error() + "\n"
				}
			default:
				tell(t, m, now, d)
			}
			return steps(m, now)
		})
	})
}

func newMachine(t *testing.T, d *datadriven.TestData) *txn.Machine {
	t.Helper()
	cfg := txn.Config{Max: 10 * time.Second, WaitForAck: !d.HasArg("no-wait")}
	for name, to := range map[string]*time.Duration{"min": &cfg.Min, "max": &cfg.Max} {
		if d.HasArg(name) {
			var text string
			d.ScanArgs(t, name, &text)
			var err error
			*to, err = time.ParseDuration(text)
			require.NoError(t, err)
		}
	}
	m, err := txn.New(cfg)
	require.NoError(t, err)
	return m
}

func tell(t *testing.T, m *txn.Machine, now time.Time, d *datadriven.TestData) {
	t.Helper()
	switch d.Cmd {
	case "ready":
		m.Ready(now)
	case "passed":
		m.Passed(now)
	case "empty":
		m.Empty(d.HasArg("open"))
	case "more":
		m.More()
	case "committed":
		m.Committed()
	case "acknowledged":
		m.Acknowledged()
	case "drain":
		m.Drain()
	case "fail":
		m.Fail(errors.New("boom"))
	default:
		d.Fatalf(t, "unknown command %q", d.Cmd)
	}
}

func steps(m *txn.Machine, now time.Time) string {
	var out strings.Builder
	for {
		s := m.Next(now)
		fmt.Fprint(&out, s.Do)
		if s.Txn != 0 {
			fmt.Fprintf(&out, " txn=%d", s.Txn)
		}
		if s.Reading {
			out.WriteString(" reading")
		}
		if s.Holding {
			out.WriteString(" holding")
		}
		if s.Stalled {
			out.WriteString(" stalled")
		}
		if !s.Wake.IsZero() {
			fmt.Fprintf(&out, " wake=%s", s.Wake.Sub(epoch))
		}
		if s.Err != nil {
			fmt.Fprintf(&out, " %s", s.Err)
		}
		out.WriteString("\n")
		switch s.Do {
		case txn.Wait, txn.Read, txn.Stop, txn.Consume:
			return out.String()
		case txn.Begin, txn.Commit, txn.Acknowledge, txn.Finish:
		}
	}
}

// TestConfigThatIsRefused names what is wrong.
func TestConfigThatIsRefused(t *testing.T) {
	for want, cfg := range map[string]txn.Config{
		"transactions of -1ns at least": {Min: -1, Max: 1},
		"transactions of 0s at most":    {},
	} {
		_, err := txn.New(cfg)
		require.ErrorContains(t, err, want)
	}
}

// TestWhatWasNotAskedForIsAnErrorOfTheProgram.
func TestWhatWasNotAskedForIsAnErrorOfTheProgram(t *testing.T) {
	m, err := txn.New(txn.Config{Max: 1})
	require.NoError(t, err)
	require.Panics(t, m.Committed)
	require.Panics(t, m.Acknowledged)
	require.Panics(t, func() { _ = m.Deferred() })
	m.Ready(epoch)
	require.Panics(t, func() { m.Ready(epoch) })
	require.Panics(t, func() { m.Passed(epoch) })
	require.Panics(t, func() { m.Empty(false) })
}
