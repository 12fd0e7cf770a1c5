package jsonfile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
)

// Names of the files.
const (
	stateName = "state.json"
	nextName  = "next.json"
)

// Config of a Store.
type Config struct {
	// FS to keep the file in: that of a recovery log. The zero value is the operating system's.
	FS vfs.FS
	// Dir of the file.
	Dir string
}

// Store is the state of a shard, as a value. It is a store.Store.
type Store struct {
	fs         vfs.FS
	dir        string
	state      any
	checkpoint *shards.Checkpoint
	commits    *store.Commits
}

var _ store.Store = (*Store)(nil)

// Open the store of a directory, which is made if it isn't there. The state is a pointer to the application's value, in which Open puts
// what was committed last; if nothing was, it stays as it is.
func Open(cfg Config, state any) (*Store, error) {
	s := &Store{fs: cfg.FS, dir: cfg.Dir, state: state, checkpoint: new(shards.Checkpoint), commits: store.NewCommits()}
	if s.fs == nil {
		s.fs = vfs.Default
	}
	if s.dir == "" {
		return nil, errors.New("JSON store: Dir isn't set")
	}
	if err := s.fs.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("open the JSON store %s: %w", s.dir, err)
	}
	if err := s.read(); err != nil {
		return nil, fmt.Errorf("open the JSON store %s: %w", s.dir, err)
	}
	return s, nil
}

func (s *Store) read() error {
	f, err := s.fs.Open(s.fs.PathJoin(s.dir, stateName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	content, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	s.checkpoint, err = decode(content, s.state)
	return err
}

// RestoreCheckpoint as of store.Store.
func (s *Store) RestoreCheckpoint(context.Context) (*shards.Checkpoint, error) {
	return s.checkpoint, nil
}

// StartCommit as of store.Store.
func (s *Store) StartCommit(ctx context.Context, cp *shards.Checkpoint, waitFor ...async.Operation) async.Operation {
	content, err := encode(cp, s.state)
	return s.commits.Start(ctx, waitFor, func(context.Context) error {
		if err != nil {
			return err
		}
		return s.write(content)
	})
}

// write the file, and wait until the file system has it for good.
func (s *Store) write(content []byte) error {
	next := s.fs.PathJoin(s.dir, nextName)
	f, err := s.fs.Create(next, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(content))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = s.fs.Rename(next, s.fs.PathJoin(s.dir, stateName)); err != nil {
		return err
	}
	dir, err := s.fs.OpenDir(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Close as of store.Store.
func (s *Store) Close() error {
	s.commits.Close()
	return nil
}

// encode the three documents.
func encode(cp *shards.Checkpoint, state any) ([]byte, error) {
	read := make(map[string]int64, len(cp.GetSources()))
	for journal, source := range cp.GetSources() {
		read[journal] = source.GetReadThrough()
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	if err := e.Encode(read); err != nil {
		return nil, fmt.Errorf("offsets: %w", err)
	}
	if err := e.Encode(state); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if err := e.Encode(toDocument(cp)); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return b.Bytes(), nil
}

// decode the three documents; two, if they were written by a version without checkpoints.
func decode(content []byte, state any) (*shards.Checkpoint, error) {
	d := json.NewDecoder(bytes.NewReader(content))
	var read map[string]int64
	if err := d.Decode(&read); err != nil {
		return nil, fmt.Errorf("%s: offsets: %w", stateName, err)
	}
	if err := d.Decode(state); err != nil {
		return nil, fmt.Errorf("%s: state: %w", stateName, err)
	}
	var doc document
	err := d.Decode(&doc)
	if errors.Is(err, io.EOF) {
		doc.Sources = make(map[string]source, len(read))
		for journal, offset := range read {
			doc.Sources[journal] = source{ReadThrough: offset}
		}
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: checkpoint: %w", stateName, err)
	}
	if err := d.Decode(new(json.RawMessage)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: something follows the checkpoint", stateName)
	}
	cp := doc.checkpoint()
	if err := cp.Validate(); err != nil {
		return nil, fmt.Errorf("%s: checkpoint: %w", stateName, err)
	}
	return cp, nil
}

// document of a checkpoint, as Gazette's is encoded.
type document struct {
	Sources    map[string]source `json:"sources"`
	AckIntents map[string][]byte `json:"ack_intents,omitempty"`
}

type source struct {
	ReadThrough int64      `json:"read_through,omitempty"`
	Producers   []producer `json:"producers"`
}

type producer struct {
	ID    []byte        `json:"id,omitempty"`
	State producerState `json:"state"`
}

type producerState struct {
	LastAck uint64 `json:"last_ack,omitempty"`
	Begin   int64  `json:"begin,omitempty"`
}

func toDocument(cp *shards.Checkpoint) document {
	doc := document{Sources: make(map[string]source, len(cp.GetSources())), AckIntents: cp.GetAckIntents()}
	for journal, s := range cp.GetSources() {
		out := source{ReadThrough: s.GetReadThrough()}
		for _, p := range s.GetProducers() {
			state := producerState{LastAck: p.GetState().GetLastAck(), Begin: p.GetState().GetBegin()}
			out.Producers = append(out.Producers, producer{ID: p.GetId(), State: state})
		}
		doc.Sources[journal] = out
	}
	return doc
}

func (d document) checkpoint() *shards.Checkpoint {
	cp := &shards.Checkpoint{AckIntents: d.AckIntents}
	for journal, s := range d.Sources {
		out := &shards.Checkpoint_Source{ReadThrough: s.ReadThrough}
		for _, p := range s.Producers {
			out.Producers = append(out.Producers, &shards.Checkpoint_Source_ProducerEntry{
				Id: p.ID, State: &shards.Checkpoint_ProducerState{LastAck: p.State.LastAck, Begin: p.State.Begin},
			})
		}
		if cp.Sources == nil {
			cp.Sources = make(map[string]*shards.Checkpoint_Source, len(d.Sources))
		}
		cp.Sources[journal] = out
	}
	return cp
}
