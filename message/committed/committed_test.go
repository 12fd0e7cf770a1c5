package committed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/message/committed"
)

// journal of lines.
type journal struct {
	bytes  []byte
	bounds []int64 // of the lines, and the end
	uuids  []message.UUID
}

func (j *journal) add(u message.UUID, rest string) {
	if len(j.bounds) == 0 {
		j.bounds = []int64{0}
	}
	line := `{` + rest + `}` + "\n"
	if !u.IsZero() {
		line = fmt.Sprintf(`{"_meta":{"x":[{}],"uuid":"%s"},"rest":"%s"}`+"\n", u, rest)
	}
	j.bytes = append(j.bytes, line...)
	j.bounds = append(j.bounds, int64(len(j.bytes)))
	j.uuids = append(j.uuids, u)
}

// source of the journal's bytes.
func (j *journal) source(_ context.Context, begin, end int64) (io.ReadCloser, error) {
	return io.NopCloser(iotest.HalfReader(bytes.NewReader(j.bytes[begin:end]))), nil
}

func (j *journal) end() int64 { return int64(len(j.bytes)) }

func metaUUID(t require.TestingT) committed.Finder {
	p, err := committed.ParsePointer("/_meta/uuid")
	require.NoError(t, err)
	return p.UUID
}

// commits is the offset from which on each line is committed, by a list that holds them all:
// the end of the line that commits it, or 0 if none does. Of an acknowledgement it is 0.
func (j *journal) commits() []int64 {
	out := make([]int64, len(j.uuids))
	acked := map[message.Producer]message.Clock{}
	pending := map[message.Producer][]int{}
	for i, u := range j.uuids {
		p, clock, end := u.Producer(), u.Clock(), j.bounds[i+1]
		if clock == 0 {
			out[i] = end
			continue
		}
		if _, known := acked[p]; !known {
			acked[p] = clock - 1
		}
		if clock <= acked[p] {
			continue
		}
		switch u.Flags() {
		case message.ContinueTxn:
			if !slices.ContainsFunc(pending[p], func(k int) bool { return j.uuids[k].Clock() >= clock }) {
				pending[p] = append(pending[p], i)
			}
			continue
		case message.AckTxn:
			for _, k := range pending[p] {
				if j.uuids[k].Clock() <= clock {
					out[k] = end
				}
			}
		default:
			out[i] = end
		}
		acked[p], pending[p] = clock, nil
	}
	return out
}

func drawJournal(t *rapid.T) *journal {
	j := new(journal)
	for range rapid.IntRange(0, 50).Draw(t, "lines") {
		p := message.Producer{1, 0, 0, 0, 0, byte(rapid.IntRange(0, 2).Draw(t, "producer"))}
		flags := rapid.SampledFrom([]message.Flags{0, 1, 1, 1, 1, 2, 2, 3}).Draw(t, "flags")
		clock := message.Clock(rapid.IntRange(0, 9).Draw(t, "clock"))
		u := message.NewUUID(p, clock, flags)
		if clock == 0 {
			u = message.UUID{}
		}
		j.add(u, strings.Repeat("x", rapid.IntRange(0, 3).Draw(t, "rest")))
	}
	return j
}

// readAll lines from a state to a cut.
func readAll(t require.TestingT, j *journal, from committed.State, cut int64, limits committed.Limits) ([]committed.Line, committed.State) {
	r, err := committed.NewReader(j.source, from, cut, committed.Config{UUID: metaUUID(t), Limits: limits})
	require.NoError(t, err)
	defer r.Close()
	var out []committed.Line
	for {
		line, err := r.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return out, r.State()
		}
		require.NoError(t, err)
		require.Equal(t, string(j.bytes[line.Begin:line.End-1]), string(line.Text))
		line.Text = nil
		out = append(out, line)
	}
}

// readingMeetsModel: over any chain of cuts and with windows of any size, a line is
// committed in the part between two cuts which has the line that commits it, and in no
// other; and each line has one verdict where it stands.
func readingMeetsModel(t *rapid.T) {
	j := drawJournal(t)
	commits := j.commits()
	limits := committed.Limits{Transactions: rapid.IntRange(1, 3).Draw(t, "transactions")}
	state, got := committed.State{}, make([]int64, len(commits))
	for state.Offset < j.end() {
		cut := j.end()
		if rapid.Bool().Draw(t, "whether to cut") {
			cut = rapid.Int64Range(state.Offset, j.end()).Draw(t, "cut")
		}
		text, err := json.Marshal(state)
		require.NoError(t, err)
		var from committed.State
		require.NoError(t, json.Unmarshal(text, &from))
		lines, next := readAll(t, j, from, cut, limits)
		last, _ := slices.BinarySearch(j.bounds, cut+1)
		if len(j.uuids) > 0 {
			require.Equal(t, j.bounds[last-1], next.Offset, "the last line's end before the cut")
		}
		here := map[int64]committed.Verdict{}
		for _, line := range lines {
			i, ok := slices.BinarySearch(j.bounds, line.Begin)
			require.True(t, ok)
			switch line.Verdict {
			case committed.Committed:
				require.Zero(t, got[i], "line %d is committed twice", i)
				got[i] = commits[i]
				require.Greater(t, commits[i], from.Offset, "line %d", i)
				require.LessOrEqual(t, commits[i], cut, "line %d", i)
			case committed.Open:
				require.True(t, commits[i] == 0 || commits[i] > from.Offset)
			case committed.Earlier:
				require.Less(t, line.Begin, next.Offset)
				continue
			case committed.Ack, committed.Duplicate, committed.RolledBack:
				require.Zero(t, commits[i], "line %d is %s", i, line.Verdict)
			}
			if line.Begin >= from.Offset && line.Verdict != committed.Open {
				require.NotContains(t, here, line.Begin)
				here[line.Begin] = line.Verdict
			}
		}
		for i, begin := range j.bounds[:len(j.uuids)] {
			if commits[i] > from.Offset && commits[i] <= next.Offset {
				require.NotZero(t, got[i], "line %d isn't committed in [%d, %d)", i, from.Offset, next.Offset)
			}
			if commits[i] > next.Offset && begin < next.Offset {
				require.LessOrEqual(t, next.Pending(), begin)
			}
		}
		if cut == j.end() {
			break
		}
		state = next
	}
	require.Equal(t, commits, got)
}

func TestReadingMeetsModel(t *testing.T) { rapid.Check(t, readingMeetsModel) }

func FuzzReading(f *testing.F) { f.Fuzz(rapid.MakeFuzz(readingMeetsModel)) }

// TestReadingMeetsSequencer: at any cut, committed are the lines that a sequencer delivers of
// those before it.
func TestReadingMeetsSequencer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := drawJournal(t)
		seq, err := message.NewSequencer(message.SequencerConfig{})
		require.NoError(t, err)
		var want, got []int64
		for i, u := range j.uuids {
			seq.Push(message.Envelope{Journal: "a/journal", Begin: j.bounds[i], End: j.bounds[i+1], Message: (*bare)(&u)})
			for {
				env, err := seq.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
				if u := env.Message.GetUUID(); u.Flags() != message.AckTxn {
					want = append(want, env.Begin)
				}
			}
		}
		lines, _ := readAll(t, j, committed.State{}, j.end(), committed.Limits{})
		for _, line := range lines {
			if line.Verdict == committed.Committed {
				got = append(got, line.Begin)
			}
		}
		slices.Sort(want)
		require.Equal(t, want, got)
	})
}

// bare is a message that is only its UUID.
type bare message.UUID

func (s *bare) GetUUID() message.UUID                   { return message.UUID(*s) }
func (s *bare) SetUUID(u message.UUID)                  { *s = bare(u) }
func (*bare) NewAcknowledgement(string) message.Message { return new(bare) }

// uuid of one of the producers of scenarios.
func uuid(p byte, clock message.Clock, f message.Flags) message.UUID {
	return message.NewUUID(message.Producer{1, 0, 0, 0, 0, p}, clock, f)
}

func verdictsOf(lines []committed.Line) string {
	var out []string
	for _, l := range lines {
		out = append(out, l.Verdict.String())
	}
	return strings.Join(out, ", ")
}

// TestFormatDocument: the verdicts of docs/format/message.md, and the state after them.
func TestFormatDocument(t *testing.T) {
	page, err := os.ReadFile("../../docs/format/message.md")
	require.NoError(t, err)
	var j journal
	var want []string
	for _, m := range regexp.MustCompile(`(?m)^(committed|open|rolled back|duplicate|ack) +(\{.*\})$`).FindAllStringSubmatch(string(page), -1) {
		want = append(want, m[1])
		j.bytes = append(j.bytes, m[2]+"\n"...)
	}
	require.Len(t, want, 9)
	lines, state := readAll(t, &j, committed.State{}, j.end(), committed.Limits{})
	require.Equal(t, strings.Join(want, ", "), verdictsOf(lines))
	text, err := json.Marshal(state)
	require.NoError(t, err)
	require.Contains(t, string(page), "\n"+string(text)+"\n", "the page has another state")
}

// TestATransactionOverCuts is read where it stands, and again where it is committed.
func TestATransactionOverCuts(t *testing.T) {
	j := new(journal)
	for _, u := range []message.UUID{
		uuid(1, 1, 0), uuid(2, 10, 1), uuid(2, 11, 1), uuid(1, 2, 1), {}, uuid(2, 11, 1), // 0-5
		uuid(1, 3, 0), uuid(2, 12, 1), uuid(2, 11, 2), uuid(2, 11, 2), // 6-9
	} {
		j.add(u, "")
	}
	lines, state := readAll(t, j, committed.State{}, j.bounds[4]+2, committed.Limits{})
	require.Equal(t, "committed, open, open, open", verdictsOf(lines))
	require.Equal(t, j.bounds[4], state.Offset, "a torn line isn't one yet")
	require.Equal(t, j.bounds[1], state.Pending())

	lines, state = readAll(t, j, state, j.end(), committed.Limits{})
	require.Equal(t, "committed, committed, earlier, committed, duplicate, committed, rolled back, ack, ack", verdictsOf(lines))
	require.Equal(t, j.bounds[1], lines[0].Begin)
	require.Equal(t, j.end(), state.Pending())

	require.Len(t, state.Producers, 2)
	require.Len(t, state.Prune(3).Producers, 2)
	require.Len(t, state.Prune(4).Producers, 1)
	lines, _ = readAll(t, j, state, j.end(), committed.Limits{})
	require.Empty(t, lines)
}

// TestProducersAreForgotten, and what they have open is rolled back.
func TestProducersAreForgotten(t *testing.T) {
	j := new(journal)
	for _, u := range []message.UUID{uuid(1, 1, 1), uuid(2, 1, 1), uuid(3, 1, 1), uuid(1, 2, 2), uuid(3, 2, 2)} {
		j.add(u, "")
	}
	lines, state := readAll(t, j, committed.State{}, j.end(), committed.Limits{Producers: 2})
	require.Equal(t, "rolled back, rolled back, committed, ack, ack", verdictsOf(lines))
	require.Len(t, state.Producers, 2)
}

// TestSourcesThatAreWrong are told.
func TestSourcesThatAreWrong(t *testing.T) {
	j := new(journal)
	for _, u := range []message.UUID{uuid(1, 1, 1), uuid(1, 2, 1), uuid(1, 3, 2)} {
		j.add(u, "")
	}
	_, state := readAll(t, j, committed.State{}, j.bounds[2], committed.Limits{})
	broken := errors.New("broken")
	for want, src := range map[string]committed.Source{
		"ends at": func(ctx context.Context, begin, end int64) (io.ReadCloser, error) { return j.source(ctx, begin, end-1) },
		"goes on to": func(ctx context.Context, begin, _ int64) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("{}\n" + string(j.bytes[begin:]) + "{}\n")), nil
		},
		"broken": func(context.Context, int64, int64) (io.ReadCloser, error) { return nil, broken },
		": broken": func(context.Context, int64, int64) (io.ReadCloser, error) {
			return io.NopCloser(iotest.ErrReader(broken)), nil
		},
		"those of producer 010000000001 before": func(ctx context.Context, begin, end int64) (io.ReadCloser, error) {
			if begin == 0 {
				return io.NopCloser(strings.NewReader(strings.ReplaceAll(string(j.bytes[:end]), "-010000000001", "-010000000009"))), nil
			}
			return j.source(ctx, begin, end)
		},
	} {
		r, err := committed.NewReader(src, state, j.end(), committed.Config{UUID: metaUUID(t)})
		require.NoError(t, err)
		for err == nil {
			_, err = r.Next(t.Context())
		}
		require.ErrorContains(t, err, want)
		_, again := r.Next(t.Context())
		require.Equal(t, err, again)
		require.NoError(t, r.Close())
	}
	r, err := committed.NewReader(j.source, committed.State{}, j.end(), committed.Config{UUID: metaUUID(t)})
	require.NoError(t, err)
	_, err = r.Next(t.Context())
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = r.Next(t.Context())
	require.ErrorContains(t, err, "closed")
}

func TestRefusedReaders(t *testing.T) {
	find := committed.Finder(committed.CSV)
	bad := committed.State{Offset: 5, Producers: []message.ProducerState{{Begin: 5}}}
	blind := committed.State{Offset: 5, Producers: []message.ProducerState{{Begin: 4}}}
	twice := committed.State{Offset: 5, Producers: []message.ProducerState{{Begin: -1}, {Begin: -1}}}
	for want, try := range map[string]struct {
		from committed.State
		cut  int64
		cfg  committed.Config
	}{
		"nothing finds UUIDs":                  {cut: 1},
		"the cut at 3 is before":               {from: committed.State{Offset: 4}, cut: 3, cfg: committed.Config{UUID: find}},
		"must not be negative":                 {from: committed.State{Offset: -4}, cut: 3, cfg: committed.Config{UUID: find}},
		"has a transaction from 5 on":          {from: bad, cut: 6, cfg: committed.Config{UUID: find}},
		"has a transaction without clocks":     {from: blind, cut: 6, cfg: committed.Config{UUID: find}},
		"is there twice":                       {from: twice, cut: 6, cfg: committed.Config{UUID: find}},
		"limit of -1 transactions":             {cfg: committed.Config{UUID: find, Limits: committed.Limits{Transactions: -1}}},
		"limit of -1 producers: must not be n": {cfg: committed.Config{UUID: find, Limits: committed.Limits{Producers: -1}}},
	} {
		_, err := committed.NewReader(nil, try.from, try.cut, try.cfg)
		require.ErrorContains(t, err, want)
	}
}

// TestLongLines are counted, and held in part.
func TestLongLines(t *testing.T) {
	j := new(journal)
	j.add(uuid(1, 1, 0), strings.Repeat("x", 100<<10)) // beyond the buffer
	j.add(uuid(1, 2, 0), strings.Repeat("x", 200<<10))
	j.add(uuid(1, 2, 0), "")
	r, err := committed.NewReader(j.source, committed.State{}, j.end(), committed.Config{UUID: metaUUID(t)})
	require.NoError(t, err)
	r.SetMaxLine(150 << 10)
	var got []string
	for i := range 3 {
		line, err := r.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, j.bounds[i+1], line.End)
		require.Equal(t, string(j.bytes[line.Begin:line.Begin+int64(len(line.Text))]), string(line.Text))
		got = append(got, fmt.Sprint(line.Verdict, " ", line.Long, " ", len(line.Text)))
	}
	require.Equal(t, []string{"committed false 102476", "committed true 16384", "duplicate false 76"}, got)
	_, err = r.Next(t.Context())
	require.Equal(t, io.EOF, err)
}
