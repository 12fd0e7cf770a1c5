package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// simple is a store as short as can be, that is right unless it is told to be wrong.
type simple struct {
	fs      vfs.FS
	dir     string
	wrong   string
	rows    map[string]string
	cp      *shards.Checkpoint
	commits *store.Commits
}

func opener(wrong string) Opener {
	return func(_ context.Context, fs vfs.FS, dir string) (App, error) {
		s := &simple{fs: fs, dir: dir, wrong: wrong, rows: make(map[string]string), cp: new(shards.Checkpoint), commits: store.NewCommits()}
		if err := fs.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		b, err := s.read("state")
		if errors.Is(err, os.ErrNotExist) {
			return s, nil
		}
		var file [2][]byte
		if err == nil {
			err = json.Unmarshal(b, &file)
		}
		if err == nil {
			err = json.Unmarshal(file[0], &s.rows)
		}
		if err == nil {
			err = proto.Unmarshal(file[1], s.cp)
		}
		return s, err
	}
}

func (s *simple) read(name string) ([]byte, error) {
	f, err := s.fs.Open(s.fs.PathJoin(s.dir, name))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

func (s *simple) write(name string, content []byte) error {
	f, err := s.fs.Create(s.fs.PathJoin(s.dir, name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

func (s *simple) Set(key, value string) error {
	s.rows[key] = value
	return nil
}

func (s *simple) Delete(key string) error {
	delete(s.rows, key)
	return nil
}

func (s *simple) All() (map[string]string, error) { return maps.Clone(s.rows), nil }

func (s *simple) RestoreCheckpoint(context.Context) (*shards.Checkpoint, error) { return s.cp, nil }

func (s *simple) encode(cp *shards.Checkpoint) []byte {
	rows, _ := json.Marshal(s.rows)
	b, _ := cp.Marshal()
	file, _ := json.Marshal([2][]byte{rows, b})
	return file
}

func (s *simple) StartCommit(ctx context.Context, cp *shards.Checkpoint, waitFor ...async.Operation) async.Operation {
	content := s.encode(cp)
	if s.wrong == "doesn't wait" {
		waitFor = nil
	}
	return s.commits.Start(ctx, waitFor, func(context.Context) error {
		switch s.wrong {
		case "writes over":
			return s.write("state", content)
		case "acknowledges early":
			return nil
		case "forgets a failure":
			_ = s.write("next", content)
			_ = s.fs.Rename(s.fs.PathJoin(s.dir, "next"), s.fs.PathJoin(s.dir, "state"))
			return nil
		case "takes what comes later":
			content = s.encode(cp)
		}
		if err := s.write("next", content); err != nil {
			return err
		}
		return s.fs.Rename(s.fs.PathJoin(s.dir, "next"), s.fs.PathJoin(s.dir, "state"))
	})
}

func (s *simple) Close() error {
	s.commits.Close()
	return nil
}

func TestARightStorePasses(t *testing.T) {
	Run(t, opener(""))
	RunRecorded(t, opener(""))
}

const wrongStore, underLog = "BROADSHEET_WRONG_STORE", "under a recovery log: "

// TestWrongStore is run by the test below, for its failure.
func TestWrongStore(t *testing.T) {
	wrong := os.Getenv(wrongStore)
	if recorded, ok := strings.CutPrefix(wrong, underLog); ok {
		RunRecorded(t, opener(recorded))
	} else if wrong != "" {
		Run(t, opener(wrong))
	}
}

func TestWrongStoresAreFoundOut(t *testing.T) {
	for _, wrong := range []string{
		"", "doesn't wait", "writes over", "acknowledges early", "forgets a failure", "takes what comes later",
		underLog + "writes over", underLog + "acknowledges early",
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWrongStore$") //nolint:gosec // this test
		cmd.Env = append(os.Environ(), wrongStore+"="+wrong)
		out, err := cmd.CombinedOutput()
		if wrong == "" {
			require.NoError(t, err, "%s", out)
			continue
		}
		require.Error(t, err, "%s wasn't found out", wrong)
		require.Contains(t, string(out), "--- FAIL: TestWrongStore")
	}
}
