package pebblestore

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Format of the files. It is not the library's newest, whatever that is: a hot standby of another release must be able to open them.
const format = pebble.FormatTableFormatV6

// Config of a Store.
type Config struct {
	// FS to keep files in: that of a recovery log. The zero value is the operating system's.
	FS vfs.FS
	// Dir of the database.
	Dir string
	// CacheSize is how many bytes of blocks are cached. 0 is 8 MiB.
	CacheSize int64
	// Cache of blocks that stores share, in place of one of this size. The zero value is none.
	Cache *Cache
	// MemTableSize is how many bytes are gathered before they are written as a table. 0 is 4 MiB.
	MemTableSize int64
	// MaxTransaction is how many bytes a transaction writes at most. 0 is 256 MiB.
	MaxTransaction int64
	// Logger gets what Pebble says. The zero value says nothing.
	Logger *slog.Logger
}

// Cache has blocks of several stores. Who has made it calls Close; its memory is freed with the last store that uses it.
type Cache struct{ blocks *pebble.Cache }

// NewCache returns a cache of so many bytes.
func NewCache(bytes int64) *Cache { return &Cache{pebble.NewCache(bytes)} }

// Close the cache: no store is opened with it any more.
func (c *Cache) Close() { c.blocks.Unref() }

// Validate the configuration.
func (c *Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("no Dir")
	case c.CacheSize < 0:
		return fmt.Errorf("CacheSize is negative (%d)", c.CacheSize)
	case c.MemTableSize < 0 || c.MemTableSize > 1<<30:
		return fmt.Errorf("MemTableSize isn't of 0 to 1 GiB (%d)", c.MemTableSize)
	case c.MaxTransaction < 0 || c.MaxTransaction > 1<<31:
		return fmt.Errorf("MaxTransaction isn't of 0 to 2 GiB (%d)", c.MaxTransaction)
	}
	return nil
}

// filterBits are those of a filter for each key: of keys that aren't there, one of a hundred passes.
const filterBits = 10

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// options for a database whose files are in a recovery log, in which each byte that is written stays until it is pruned.
func options(c *Config, on *cutFS) *pebble.Options {
	o := &pebble.Options{
		FS:                 on,
		FormatMajorVersion: format,
		CacheSize:          or(c.CacheSize, 8<<20),
		MemTableSize:       uint64(or(c.MemTableSize, 4<<20)),
		Logger:             logger{to: c.Logger, on: on},
		// A log is played from where the oldest live file begins: the manifest must not become an old file.
		MaxManifestFileSize: 128 << 10,
		// Files aren't used again: in a log a file is new, or its whole past has to be kept.
		Cleaner: removing{},
		// Compactions are one at a time. Reads cause none: they'd write for it.
		CompactionConcurrencyRange: func() (int, int) { return 1, 1 },
		MaxOpenFiles:               256,
		EventListener:              &pebble.EventListener{DataCorruption: func(info pebble.DataCorruptionInfo) { on.cut(errors.New(info.String())) }},
	}
	if c.Cache != nil {
		o.Cache = c.Cache.blocks
	}
	o.Experimental.ReadSamplingMultiplier = -1
	for i := range o.Levels { // who looks for a key that isn't there reads no block of it
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(filterBits)
	}
	return o
}

// removing removes files, and has Pebble not use write-ahead logs again, which it does for cleaners that need the content.
type removing struct {
	pebble.DeleteCleaner
	needing
}

// needing has what Pebble knows such cleaners by; what it does with files is hidden by DeleteCleaner's.
type needing struct{ pebble.ArchiveCleaner }

// logger says what Pebble says.
type logger struct {
	to *slog.Logger
	on *cutFS
}

// Infof as of pebble.Logger.
func (l logger) Infof(format string, args ...any) {
	if l.to != nil {
		l.to.Debug("pebble", slog.String("said", fmt.Sprintf(format, args...)))
	}
}

// Errorf as of pebble.Logger.
func (l logger) Errorf(format string, args ...any) {
	if l.to != nil {
		l.to.Warn("pebble", slog.String("said", fmt.Sprintf(format, args...)))
	}
}

// Fatalf as of pebble.Logger: an invariant of Pebble's own doesn't hold. Files never cause it.
func (l logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf("pebble: "+format, args...)
	l.on.cut(err)
	panic(err)
}
