package ledger

import (
	"encoding/binary"
	"fmt"
	"maps"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/consumer/store/jsonfile"
	pebblestore "broadsheet.dev/broadsheet/consumer/store/pebble"
)

// Balance is the name of an account's balance.
func Balance(account int) string { return fmt.Sprintf("balance/%d", account) }

// Last is the name of the number of a depositor's last deposit in a journal.
func Last(journal string, depositor int) string { return fmt.Sprintf("last/%s/%d", journal, depositor) }

// Wrong begins the names of what was noted of numbers that weren't the next.
const Wrong = "wrong/"

// State is a shard's store.
type State interface {
	store.Store
	get(name string) (int64, error) // 0 if it has no such
	set(name string, value int64) error
	// All that is in the state.
	All() (map[string]int64, error)
}

// Open the state of a shard in a directory of a file system.
func Open(shard string, fs vfs.FS, dir string) (State, error) {
	if strings.HasPrefix(shard, "json") {
		s := &inJSON{values: make(map[string]int64)}
		var err error
		s.Store, err = jsonfile.Open(jsonfile.Config{FS: fs, Dir: dir}, &s.values)
		return s, err
	}
	s, err := pebblestore.Open(pebblestore.Config{FS: fs, Dir: dir, MemTableSize: 256 << 10})
	return inPebble{s}, err
}

type inJSON struct {
	*jsonfile.Store

	values map[string]int64
}

func (s *inJSON) get(name string) (int64, error) { return s.values[name], nil }

func (s *inJSON) set(name string, value int64) error {
	s.values[name] = value
	return nil
}

// All as of State.
func (s *inJSON) All() (map[string]int64, error) { return maps.Clone(s.values), nil }

type inPebble struct{ *pebblestore.Store }

func (s inPebble) get(name string) (int64, error) {
	b, ok, err := s.Get([]byte(name))
	if err != nil || !ok {
		return 0, err
	}
	return number(name, b)
}

func number(name string, b []byte) (int64, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("%s has %d bytes", name, len(b))
	}
	return int64(binary.BigEndian.Uint64(b)), nil //nolint:gosec // as it was put there
}

func (s inPebble) set(name string, value int64) error {
	return s.Set([]byte(name), binary.BigEndian.AppendUint64(nil, uint64(value))) //nolint:gosec // see number
}

// All as of State.
func (s inPebble) All() (map[string]int64, error) {
	out := make(map[string]int64)
	err := s.Scan(nil, nil, func(key, value []byte) error {
		n, err := number(string(key), value)
		out[string(key)] = n
		return err
	})
	return out, err
}
