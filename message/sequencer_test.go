package message_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/message"
)

// note is a message of tests.
type note struct {
	UUID message.UUID
	Text string
}

func (n *note) GetUUID() message.UUID  { return n.UUID }
func (n *note) SetUUID(u message.UUID) { n.UUID = u }
func (*note) NewAcknowledgement(journal string) message.Message {
	return &note{Text: "ack of " + journal}
}

// named returns the producer of a letter.
func named(letter byte) message.Producer { return message.Producer{1, 0, 0, 0, 0, letter} }

// show a message as scenarios have it.
func show(env message.Envelope) string {
	u := env.Message.GetUUID()
	if u.IsZero() {
		return fmt.Sprintf("@%d none", env.Begin)
	}
	flags := map[message.Flags]string{message.OutsideTxn: "outside", message.ContinueTxn: "continue", message.AckTxn: "ack"}[u.Flags()]
	if flags == "" {
		flags = fmt.Sprintf("flags-%d", u.Flags())
	}
	p := u.Producer()
	return fmt.Sprintf("@%d %c %d %s", env.Begin, p[5], u.Clock(), flags)
}

// parse what show shows, without the offset.
func parseNote(t *testing.T, line string) *note {
	fields := strings.Fields(line)
	if fields[0] == "none" {
		return &note{}
	}
	require.Len(t, fields, 3, line)
	clock, err := strconv.ParseUint(fields[1], 10, 64)
	require.NoError(t, err, line)
	flags, known := map[string]message.Flags{"outside": message.OutsideTxn, "continue": message.ContinueTxn, "ack": message.AckTxn}[fields[2]]
	if !known {
		n, err := strconv.Atoi(strings.TrimPrefix(fields[2], "flags-"))
		require.NoError(t, err, line)
		flags = message.Flags(n)
	}
	return &note{UUID: message.NewUUID(named(fields[0][0]), message.Clock(clock), flags)}
}

// log is the journals of a scenario, and who reads them.
type log struct {
	cfg      message.SequencerConfig
	seq      *message.Sequencer
	journals map[string][]message.Envelope
	faulty   map[int64]bool // offsets at which a replay fails once
}

// size of each message.
const size = 10

func (l *log) append(journal string, m message.Message) message.Envelope {
	at := int64(len(l.journals[journal])) * size
	env := message.Envelope{Journal: journal, Begin: at, End: at + size, Message: m}
	l.journals[journal] = append(l.journals[journal], env)
	return env
}

// replay is an iterator of a range.
func (l *log) replay(r message.Range) message.Iterator {
	return &replay{log: l, envs: l.journals[r.Journal][r.Begin/size : r.End/size]}
}

type replay struct {
	log  *log
	envs []message.Envelope
}

var errFaulty = errors.New("disk on fire")

func (r *replay) Next() (message.Envelope, error) {
	if len(r.envs) == 0 {
		return message.Envelope{}, io.EOF
	}
	env := r.envs[0]
	if r.log.faulty[env.Begin] {
		delete(r.log.faulty, env.Begin)
		return message.Envelope{}, errFaulty
	}
	r.envs = r.envs[1:]
	return env, nil
}

// drain what is committed, at most a number of messages.
func (l *log) drain(most int, say func(string)) {
	for range most {
		env, err := l.seq.Next()
		for errors.Is(err, message.ErrReplay) {
			r, _ := l.seq.ReplayRange()
			say("replay " + r.String())
			l.seq.StartReplay(l.replay(r))
			env, err = l.seq.Next()
		}
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			say("error: " + err.Error())
		default:
			say("deliver " + show(env))
		}
	}
}

func (l *log) checkpoint() string {
	var b strings.Builder
	states := l.seq.Checkpoint()
	for _, name := range slices.Sorted(maps.Keys(states)) {
		fmt.Fprintf(&b, "%s: read through %d\n", name, states[name].ReadThrough)
		for _, p := range states[name].Producers {
			fmt.Fprintf(&b, "  %c acked %d seen %d begin %d\n", p.Producer[5], p.Acked, p.Seen, p.Begin)
		}
	}
	return b.String()
}

// restart from a checkpoint, and read on. Seen is lost, as in checkpoints of shards.
func (l *log) restart(t *testing.T, b *strings.Builder) {
	states := l.seq.Checkpoint()
	for _, s := range states {
		for i := range s.Producers {
			s.Producers[i].Seen = 0
		}
	}
	var err error
	l.seq, err = message.NewSequencer(l.cfg)
	require.NoError(t, err)
	require.NoError(t, l.seq.Restore(states))
	for _, name := range slices.Sorted(maps.Keys(states)) {
		for _, env := range l.journals[name][states[name].ReadThrough/size:] {
			l.push(b, env, 1<<30)
		}
	}
}

func (l *log) push(b *strings.Builder, env message.Envelope, most int) {
	fmt.Fprintf(b, "%s: %s\n", show(env), l.seq.Push(env))
	if p, ok := l.seq.Forgot(); ok {
		fmt.Fprintf(b, "  forgets %c acked %d seen %d begin %d\n", p.Producer[5], p.Acked, p.Seen, p.Begin)
	}
	l.drain(most, func(s string) { fmt.Fprintf(b, "  %s\n", s) })
}

// TestSequencerScenarios: testdata/sequencer walks the rules, one after another.
//
//	new [messages=N] [bytes=N] [producers=N]
//	push [journal=J] [take=N]   messages: P CLOCK FLAGS, or none; of the last one N deliveries are taken
//	next [take=N]
//	checkpoint | restart        restart reads on from the checkpoint
//	fault at=OFFSET             the next replay fails there
//	prune hours=N [now=CLOCK]
//	pending journal=J from=N
func TestSequencerScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/sequencer", func(t *testing.T, path string) {
		var l *log
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var b strings.Builder
			journal, take, at := "a/journal", 1<<30, 0
			d.MaybeScanArgs(t, "journal", &journal)
			d.MaybeScanArgs(t, "take", &take)
			switch d.Cmd {
			case "new":
				l = &log{journals: make(map[string][]message.Envelope), faulty: make(map[int64]bool)}
				var bytes int
				d.MaybeScanArgs(t, "messages", &l.cfg.Messages)
				d.MaybeScanArgs(t, "bytes", &bytes)
				d.MaybeScanArgs(t, "producers", &l.cfg.Producers)
				l.cfg.Bytes = int64(bytes)
				var err error
				if l.seq, err = message.NewSequencer(l.cfg); err != nil {
					return err.Error() + "\n"
				}
			case "push":
				lines := bufio.NewScanner(strings.NewReader(d.Input))
				notes := []*note(nil)
				for lines.Scan() {
					notes = append(notes, parseNote(t, lines.Text()))
				}
				for i, n := range notes {
					most := 1 << 30
					if i == len(notes)-1 {
						most = take
					}
					l.push(&b, l.append(journal, n), most)
				}
			case "next":
				l.drain(take, func(s string) { fmt.Fprintf(&b, "  %s\n", s) })
			case "checkpoint":
				return l.checkpoint()
			case "restart":
				l.restart(t, &b)
			case "fault":
				d.ScanArgs(t, "at", &at)
				l.faulty[int64(at)] = true
			case "prune":
				var hours, now int
				d.ScanArgs(t, "hours", &hours)
				wall := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
				if d.MaybeScanArgs(t, "now", &now) {
					wall = message.Clock(now).Time()
				}
				return fmt.Sprintf("%d\n", l.seq.Prune(time.Duration(hours)*time.Hour, wall))
			case "pending":
				d.ScanArgs(t, "from", &at)
				return fmt.Sprintf("%t\n", l.seq.PendingFrom(journal, int64(at)))
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			return b.String()
		})
	})
}
