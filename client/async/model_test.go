package async

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/client"
)

// modelWrite is one that was released, with what is to be true of it.
type modelWrite struct {
	journal  string
	text     string
	future   *Future
	waitsFor []*modelWrite
	section  int // counts resets of the journal
}

// TestModel has a run write to three journals, discard, wait and reset, against brokers
// that refuse, lose and delay. Then:
//   - what the future of a write says is so: its text stands in the journal at its
//     range; or nowhere; or who knows,
//   - texts stand in the order of writes, each once, and none that was discarded,
//   - between resets nothing stands after what failed,
//   - what a write waited for was applied,
//   - and nothing is held.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBrokers()
		b.gate = make(chan struct{}, 1)
		for _, j := range []string{"j/one", "j/two", "j/three"} {
			b.plans[j] = rapid.SliceOfN(rapid.SampledFrom([]outcomeKind{applies, applies, applies, refuses, losesApplied, losesNotApplied}), 0, 8).Draw(t, j)
		}
		s, err := New(context.Background(), b, Config{MemoryPerAppend: rapid.SampledFrom([]int{4, 1000}).Draw(t, "memory"), CutOff: 64})
		require.NoError(t, err)
		r := s.NewRun(FailUnknown)
		m := &model{t: t, run: r, sections: make(map[string]int)}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				m.reset()
			case 1, 2, 3:
				select { // let an append go, if one waits
				case b.gate <- struct{}{}:
				default:
				}
			default:
				m.write()
			}
		}
		close(b.gate)
		for _, w := range m.writes {
			<-w.future.Done()
		}
		m.check(b)
		require.NoError(t, s.Close())
		require.Zero(t, s.budget.now())
	})
}

type model struct {
	t         *rapid.T
	run       *Run
	writes    []*modelWrite
	discarded []string
	sections  map[string]int
	n         int
}

func (m *model) journal() string {
	return rapid.SampledFrom([]string{"j/one", "j/two", "j/three"}).Draw(m.t, "journal")
}

func (m *model) reset() {
	j := m.journal()
	if m.run.Reset(j) != nil {
		m.sections[j]++
	}
}

func (m *model) write() {
	m.n++
	w := &modelWrite{journal: m.journal(), text: fmt.Sprintf("<%d%s>", m.n, strings.Repeat(".", rapid.IntRange(0, 20).Draw(m.t, "length")))}
	w.section = m.sections[w.journal]
	var waitFor []Operation
	for _, d := range m.writes {
		if rapid.IntRange(0, 9).Draw(m.t, "wait") == 0 {
			w.waitsFor, waitFor = append(w.waitsFor, d), append(waitFor, d.future)
		}
	}
	write, err := m.run.Start(context.Background(), client.AppendParams{Journal: w.journal}, waitFor...)
	if err != nil {
		var not *NotAppliedError
		require.ErrorAs(m.t, err, &not)
		m.discarded = append(m.discarded, w.text)
		return
	}
	half := len(w.text) / 2
	for _, part := range []string{w.text[:half], w.text[half:]} {
		_, err = write.Write([]byte(part))
		require.NoError(m.t, err)
	}
	if rapid.IntRange(0, 4).Draw(m.t, "discard") == 0 {
		write.Discard()
		m.discarded = append(m.discarded, w.text)
		return
	}
	if w.future, err = write.Release(); err != nil {
		m.discarded = append(m.discarded, w.text)
		return
	}
	m.writes = append(m.writes, w)
}

func (m *model) check(b *brokers) {
	last, failed := map[string]int{}, map[string]bool{}
	for _, w := range m.writes {
		content := b.content(w.journal)
		at, section := strings.Index(content, w.text), fmt.Sprintf("%s %d", w.journal, w.section)
		switch err := w.future.Err(); {
		case err == nil:
			begin, end := w.future.Range()
			require.Equal(m.t, w.text, content[begin:end])
			require.False(m.t, failed[section], "applied after a failure")
			for _, d := range w.waitsFor {
				require.NoError(m.t, d.future.Err())
			}
		case errors.Is(err, client.ErrUnknownOutcome):
			failed[section] = true
		default:
			failed[section] = true
			require.Negative(m.t, at, "not applied, says its future")
		}
		if at >= 0 {
			require.Equal(m.t, 1, strings.Count(content, w.text))
			require.GreaterOrEqual(m.t, at, last[w.journal], "out of order")
			last[w.journal] = at
		}
	}
	for _, text := range m.discarded {
		for j := range m.sections {
			require.NotContains(m.t, b.content(j), text)
		}
	}
}
