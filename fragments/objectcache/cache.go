package objectcache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/internal/task"
)

var (
	// ErrNoRoom is that an object can't be copied now, because what is pinned leaves no room.
	ErrNoRoom = errors.New("the cache has no room")
	// ErrTooLarge is that an object is larger than the cache may be.
	ErrTooLarge = errors.New("the object is larger than the cache")
	// ErrCorrupt is that an object isn't what its name promises.
	ErrCorrupt = errors.New("the object isn't what its name promises")
	// ErrUnfit is that the object of a fragment can't be kept: nothing tells what it should hold, or its
	// store decompresses it.
	ErrUnfit = errors.New("objects of this kind aren't cached")
)

// Config of a Cache. FS, Downloads, Idle, Logger and Registerer may be left out.
type Config struct {
	// Dir is a directory for this cache alone. It is made if it isn't there.
	Dir string
	// Bound is the most bytes of files.
	Bound int64
	// Stores that objects are read from.
	Stores Stores
	// Downloads is the most objects that are brought at a time; 0 is 4.
	Downloads int
	// Idle is how long a store may send nothing of an object before that is given up; 0 is a minute.
	Idle time.Duration
	// FS takes the place of Dir, for tests.
	FS FS
	// Logger for what is found damaged; nil discards.
	Logger *slog.Logger
	// Registerer of the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Stores opens stores by URL, as a store.Registry does.
type Stores interface {
	Open(url string) (store.Store, error)
}

// Validate tells what is wrong with the config.
func (c Config) Validate() error {
	switch {
	case c.Dir == "" || c.Stores == nil:
		return errors.New("objectcache: Dir and Stores are needed")
	case c.Bound < 1:
		return fmt.Errorf("objectcache: Bound %d is less than 1", c.Bound)
	case c.Downloads < 0 || c.Idle < 0:
		return errors.New("objectcache: Downloads and Idle can't be negative")
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.Downloads, c.Idle = cmp.Or(c.Downloads, 4), cmp.Or(c.Idle, time.Minute)
	if c.FS == nil {
		c.FS = directory(c.Dir)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Cache of objects. It is safe for concurrent use. Open one, and Close it.
type Cache struct {
	cfg     Config
	lock    io.Closer
	metrics *metrics
	tasks   *task.Group
	slots   chan struct{} // as many as may be brought at a time

	mu      sync.Mutex // also held while files get and lose their names, so that the ledger and the directory agree
	ledger  *ledger
	flights map[key]*flight
	serial  int // of temporary files
	closed  bool
}

// Open takes hold of the directory, and counts what is there. What was being written when the last process
// ended is removed.
func Open(cfg Config) (*Cache, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	lock, err := take(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("cache of objects %s: %w", cfg.Dir, err)
	}
	c := &Cache{
		cfg: cfg, lock: lock, metrics: newMetrics(cfg.Registerer), ledger: newLedger(cfg.Bound),
		flights: map[key]*flight{}, slots: make(chan struct{}, cfg.Downloads),
		tasks: task.New(context.Background(), "objectcache"),
	}
	c.metrics.bound.Set(float64(cfg.Bound))
	if err := c.count(); err != nil {
		return nil, errors.Join(fmt.Errorf("cache of objects %s: %w", cfg.Dir, err), lock.Close())
	}
	return c, nil
}

// count enters the files that are there, the oldest as those that weren't used for the longest time.
func (c *Cache) count() error {
	list, err := c.cfg.FS.List()
	if err != nil {
		return err
	}
	type found struct {
		key  key
		size int64
		at   time.Time
	}
	var all []found
	for _, d := range list {
		name := d.Name()
		k, size, ok := parseFileName(name)
		switch {
		case name == lockName:
		case strings.HasSuffix(name, partialSuffix):
			if err := c.cfg.FS.Remove(name); err != nil {
				return err
			}
		case !ok:
			c.cfg.Logger.Warn("the directory of cached objects has something else in it, which is left alone", slog.String("name", name))
		default:
			info, err := c.cfg.FS.Stat(name)
			if err != nil {
				return err
			}
			if info.Size() != size || !info.Mode().IsRegular() || slices.ContainsFunc(all, func(f found) bool { return f.key == k }) {
				c.damaged(name, errors.New("its length isn't that of its name"))
				if err := c.cfg.FS.Remove(name); err != nil {
					return err
				}
				continue
			}
			all = append(all, found{k, size, info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b found) int { return a.at.Compare(b.at) })
	for _, f := range all {
		c.ledger.unpin(c.ledger.add(f.key, f.size))
	}
	if victims, ok := c.ledger.room(0); ok { // the bound may have been larger
		c.evict(victims)
	}
	c.measure()
	return nil
}

// damaged notes a file that isn't what its name says.
func (c *Cache) damaged(name string, err error) {
	c.metrics.corrupt.Inc()
	c.cfg.Logger.Error("a cached object was damaged, and is removed", slog.String("file", filepath.Join(c.cfg.Dir, name)), slog.Any("error", err))
}

// Close ends what is being brought, and gives the directory up. Pins that are left keep their files from nobody.
func (c *Cache) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.tasks.Cancel()
	return errors.Join(c.tasks.Wait(), c.lock.Close())
}

// Pin keeps an object's file where it is. Release it once.
type Pin struct {
	cache *Cache
	entry *entry
	once  sync.Once
}

// Path of the file, which may only be read.
func (p *Pin) Path() string {
	return filepath.Join(p.cache.cfg.Dir, p.entry.key.fileName(p.entry.size))
}

// Release lets the file go. It may be called again.
func (p *Pin) Release() {
	p.once.Do(func() {
		p.cache.mu.Lock()
		defer p.cache.mu.Unlock()
		p.cache.ledger.unpin(p.entry)
		p.cache.measure()
	})
}

// Pin returns the file of a fragment that is there, and known to be whole. It waits for nothing.
func (c *Cache) Pin(f fragments.Fragment) (*Pin, bool) {
	k, ok := keyOf(f)
	if !ok {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pinLocked(k)
}

func (c *Cache) pinLocked(k key) (*Pin, bool) {
	e := c.ledger.get(k)
	if e == nil || e.seen == nil {
		return nil, false
	}
	info, err := c.cfg.FS.Stat(k.fileName(e.size))
	if err != nil || !e.seen.same(info) {
		e.seen = nil // to be looked at
		return nil, false
	}
	c.metrics.hits.Inc()
	c.ledger.pin(e, 1)
	return &Pin{cache: c, entry: e}, true
}

// evict removes files to make room.
func (c *Cache) evict(victims []*entry) {
	for _, e := range victims {
		c.metrics.evictions.Inc()
		c.remove(e)
	}
}

// remove an entry and its file.
func (c *Cache) remove(e *entry) {
	name := e.key.fileName(e.size)
	if err := c.cfg.FS.Remove(name); err != nil && !isAbsent(err) {
		c.cfg.Logger.Error("a cached object can't be removed, and takes room until the next start", slog.String("file", name), slog.Any("error", err))
		c.ledger.lose(e)
		return
	}
	c.ledger.drop(e)
}

func (c *Cache) measure() {
	c.metrics.bytes.Set(float64(c.ledger.used))
	c.metrics.objects.Set(float64(len(c.ledger.entries)))
}
