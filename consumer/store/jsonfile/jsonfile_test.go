package jsonfile

import (
	"context"
	"io"
	"maps"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type app struct {
	*Store

	rows map[string]string
}

func (a *app) Set(key, value string) error {
	a.rows[key] = value
	return nil
}

func (a *app) Delete(key string) error {
	delete(a.rows, key)
	return nil
}

func (a *app) All() (map[string]string, error) { return maps.Clone(a.rows), nil }

func openApp(_ context.Context, fs vfs.FS, dir string) (storetest.App, error) {
	a := &app{rows: make(map[string]string)}
	var err error
	a.Store, err = Open(Config{FS: fs, Dir: dir}, &a.rows)
	return a, err
}

func TestStore(t *testing.T) { storetest.Run(t, openApp) }

func TestStoreUnderRecoveryLog(t *testing.T) { storetest.RunRecorded(t, openApp) }

type counts struct {
	Words map[string]int
	Note  string
}

var golden = `{"a/journal":1024,"b/journal":0}
{"Words":{"the":2},"Note":"a \u003c b"}
{"sources":{"a/journal":{"read_through":1024,"producers":[{"id":"AQIDBAUG","state":{"last_ack":9007199254740993,"begin":-1}},{"id":"AQIDBAUH","state":{}}]},"b/journal":{"producers":null}},"ack_intents":{"an/output":"eHl6"}}
`

// TestFile is Gazette's form of the file, pinned.
func TestFile(t *testing.T) {
	fs := vfs.NewMem()
	state := counts{Words: map[string]int{"the": 2}, Note: "a < b"}
	s, err := Open(Config{FS: fs, Dir: "/d"}, &state)
	require.NoError(t, err)
	cp := &shards.Checkpoint{
		Sources: map[string]*shards.Checkpoint_Source{
			"a/journal": {ReadThrough: 1024, Producers: []*shards.Checkpoint_Source_ProducerEntry{
				{Id: []byte{1, 2, 3, 4, 5, 6}, State: &shards.Checkpoint_ProducerState{LastAck: 1<<53 + 1, Begin: -1}},
				{Id: []byte{1, 2, 3, 4, 5, 7}, State: &shards.Checkpoint_ProducerState{}},
			}},
			"b/journal": {},
		},
		AckIntents: map[string][]byte{"an/output": []byte("xyz")},
	}
	op := s.StartCommit(t.Context(), cp)
	state.Note = "later"
	require.NoError(t, op.Err())
	require.NoError(t, s.Close())
	names, err := fs.List("/d")
	require.NoError(t, err)
	require.Equal(t, []string{"state.json"}, names)
	require.Equal(t, golden, content(t, fs, "/d/state.json"))
	page, err := os.ReadFile("../../../docs/format/state-stores.md")
	require.NoError(t, err)
	require.Contains(t, string(page), golden, "the format's page")

	var again counts
	s, err = Open(Config{FS: fs, Dir: "/d"}, &again)
	require.NoError(t, err)
	require.Equal(t, counts{Words: map[string]int{"the": 2}, Note: "a < b"}, again)
	got, err := s.RestoreCheckpoint(t.Context())
	require.NoError(t, err)
	want, err := cp.Marshal()
	require.NoError(t, err)
	b, err := got.Marshal()
	require.NoError(t, err)
	require.Equal(t, want, b)
	require.NoError(t, s.Close())
}

// TestOffsets: a file of a version without checkpoints.
func TestOffsets(t *testing.T) {
	fs := vfs.NewMem()
	put(t, fs, `{"a/journal":7} {"Note":"old"}`)
	var state counts
	s, err := Open(Config{FS: fs, Dir: "/d"}, &state)
	require.NoError(t, err)
	require.Equal(t, "old", state.Note)
	cp, err := s.RestoreCheckpoint(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 7, cp.GetSources()["a/journal"].GetReadThrough())
	require.NoError(t, s.Close())
}

func TestFilesThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		``:                    "state.json: offsets: EOF",
		`{"a/journal":7}`:     "state.json: state: EOF",
		`{} {} {"sources":1}`: "state.json: checkpoint: json",
		`{} {} {} {}`:         "state.json: something follows the checkpoint",
		`{} {} {"sources":{"a/journal":{"read_through":-1}}}`: "state.json: checkpoint: Sources[a/journal]",
	} {
		fs := vfs.NewMem()
		put(t, fs, text)
		_, err := Open(Config{FS: fs, Dir: "/d"}, new(counts))
		require.ErrorContains(t, err, want, text)
	}
	_, err := Open(Config{}, new(counts))
	require.ErrorContains(t, err, "Dir isn't set")
}

// TestStateThatHasNoJSON fails the commit that it would be in, by name.
func TestStateThatHasNoJSON(t *testing.T) {
	s, err := Open(Config{FS: vfs.NewMem(), Dir: "/d"}, new(chan int))
	require.NoError(t, err)
	require.ErrorContains(t, s.StartCommit(t.Context(), new(shards.Checkpoint)).Err(), "state: json: unsupported type")
	require.NoError(t, s.Close())
}

func content(t *testing.T, fs vfs.FS, name string) string {
	t.Helper()
	f, err := fs.Open(name)
	require.NoError(t, err)
	b, err := io.ReadAll(f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return string(b)
}

func put(t *testing.T, fs vfs.FS, text string) {
	t.Helper()
	require.NoError(t, fs.MkdirAll("/d", 0o755))
	f, err := fs.Create("/d/state.json", vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = io.WriteString(f, text)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// BenchmarkCommit is how many transactions of one row a second are committed, without a log.
func BenchmarkCommit(b *testing.B) {
	a, err := openApp(b.Context(), vfs.NewMem(), "/d")
	require.NoError(b, err)
	defer a.Close()
	cp := new(shards.Checkpoint)
	for b.Loop() {
		require.NoError(b, a.Set("key", "value"))
		require.NoError(b, a.StartCommit(b.Context(), cp).Err())
	}
}
