package roles

import (
	"errors"

	"broadsheet.dev/broadsheet/internal/datadir"
	"broadsheet.dev/broadsheet/internal/speech"
)

// OpenDir takes hold of a data directory; an error says what to do about it.
func OpenDir(path string) (*datadir.Dir, error) {
	dir, err := datadir.Open(path)
	if _, ok := errors.AsType[*datadir.LockedError](err); ok {
		return nil, speech.WithHint(err, "stop that server, or choose another directory with --data-dir")
	}
	if _, ok := errors.AsType[*datadir.NewerError](err); ok {
		return nil, speech.WithHint(err, "use the program that wrote it, or a newer one")
	}
	return dir, err
}
