package guest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/examples/exampletest"
	"broadsheet.dev/broadsheet/internal/testenv"
	"broadsheet.dev/broadsheet/message"
)

// total is what a program publishes.
type total struct {
	Meta struct {
		UUID message.UUID `json:"uuid"`
	} `json:"_meta"`
	Key   string `json:"key"`
	Added int    `json:"added"`
	Total int    `json:"total"`
}

func (c *total) GetUUID() message.UUID                   { return c.Meta.UUID }
func (c *total) SetUUID(u message.UUID)                  { c.Meta.UUID = u }
func (*total) NewAcknowledgement(string) message.Message { return new(total) }

const (
	batch = 100 // lines of an append
	keys  = 7
)

// world is a shard "counter" of two hosts, and its journals.
type world struct {
	*exampletest.Fleet

	t     *testing.T
	hosts []*exampletest.Member
	lines int // that were appended
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Fleet: exampletest.New(t), t: t}
	for _, name := range []string{"counts/keys", "counts/totals", "counts/bad"} {
		w.Journal(name, message.JSONLines)
	}
	w.hosts = append(w.hosts, w.Guest(), w.Guest())
	w.Shard(w.hosts[0], "counter", []string{"counts/keys"})
	return w
}

// add a batch of lines, with keys that need care, too.
func (w *world) add() {
	w.t.Helper()
	var text strings.Builder
	for range batch {
		key, err := json.Marshal(fmt.Sprintf("key %d \"&=$x`\n\u00e9", w.lines%keys))
		require.NoError(w.t, err)
		fmt.Fprintf(&text, "{\"key\":%s}\n", key)
		w.lines++
	}
	w.Append("counts/keys", text.String())
}

// counts that are the shard's state, as of the first host that answers.
func (w *world) counts() (map[string]int, int) {
	w.t.Helper()
	for _, h := range w.hosts {
		r, err := http.Get(h.URL + "/v1/shards/state?shard=counter")
		if err != nil {
			continue
		}
		text, err := io.ReadAll(r.Body)
		if r.Body.Close() != nil || err != nil || r.StatusCode != http.StatusOK {
			continue
		}
		var state struct{ Entries []struct{ Key, Value string } }
		require.NoError(w.t, json.Unmarshal(text, &state))
		of, sum := map[string]int{}, 0
		for _, e := range state.Entries {
			n, err := strconv.Atoi(e.Value)
			require.NoError(w.t, err)
			of[e.Key], sum = n, sum+n
		}
		return of, sum
	}
	return nil, -1
}

// awaitAll waits until all lines are counted.
func (w *world) awaitAll() {
	w.t.Helper()
	exampletest.Until(w.t, "all lines are counted", func() bool {
		_, sum := w.counts()
		return sum >= w.lines
	})
}

// requireOnce demands that each line was counted once, in the state and in what was published.
func (w *world) requireOnce() {
	w.t.Helper()
	state, sum := w.counts()
	require.Equal(w.t, w.lines, sum)
	require.Len(w.t, state, keys)
	published := map[string]int{}
	for _, c := range exampletest.Committed(w.Fleet, "counts/totals", func() *total { return new(total) }) {
		published[c.Key] += c.Added
		require.Equal(w.t, published[c.Key], c.Total, "%s: each total is once, and in order", c.Key)
	}
	require.Equal(w.t, state, published)
}

// run a program: it counts while it and the hosts are killed; then it is given a message that it can't count.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	w := newWorld(t)
	args = append(args, "counter", "counts/totals", w.hosts[0].URL, w.hosts[1].URL)
	program := exampletest.Start(t, []string{"LEASE=5s"}, name, args...)
	for _, dies := range []*exampletest.Process{program, w.hosts[0].Process, program, w.hosts[1].Process} {
		_, before := w.counts()
		for range 10 {
			w.add()
		}
		exampletest.Until(t, "some of them are counted", func() bool {
			_, now := w.counts()
			return now > before
		})
		dies.Again()
	}
	w.hosts[1].Ready()
	w.awaitAll()
	w.requireOnce()

	var bad int64
	w.Append("counts/keys", "{\"none\":1}\n")
	w.add()
	said := w.Await(w.hosts[0], "counter", shards.ReplicaStatus_FAILED)
	_, err := fmt.Sscanf(regexp.MustCompile("message of .*").FindString(said), "message of counts/keys at %d: it has no key", &bad)
	require.NoError(t, err, said)
	w.Shard(w.hosts[0], "counter", []string{"counts/keys"},
		consumer.LabelSkip, fmt.Sprintf("counts/keys=%d", bad), consumer.LabelDeadLetters, "counts/bad")
	w.awaitAll()
	w.requireOnce()
	require.Len(t, exampletest.Committed(w.Fleet, "counts/bad", func() *consumer.DeadLetter { return new(consumer.DeadLetter) }), 1)
}

func TestPython(t *testing.T) { run(t, testenv.Program(t, "python3"), "python/count.py") }

func TestNode(t *testing.T) { run(t, testenv.Program(t, "node"), "node/count.mjs") }

func TestShell(t *testing.T) {
	testenv.Program(t, "curl")
	testenv.Program(t, "jq")
	run(t, testenv.Program(t, "bash"), "shell/count.sh")
}

// TestReadme: what README.md says works.
func TestReadme(t *testing.T) {
	testenv.Program(t, "python3")
	testenv.Program(t, "curl")
	f := exampletest.New(t)
	f.Guest()
	require.Contains(t, f.Readme("count"), `"key":"b"`)
}
