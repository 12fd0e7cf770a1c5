package spool

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"broadsheet.dev/broadsheet/protocol"
)

// Mode is what a durable commit is.
type Mode int

const (
	// Synced means that data and log were fsynced.
	Synced Mode = iota
	// Replicated means that they were written to the operating system's memory, as
	// they were by every other replica.
	Replicated
)

// String is the mode as in --ack.
func (m Mode) String() string {
	if m == Replicated {
		return "replicated"
	}
	return "synced"
}

// Config of a Dir. It needs a Dir.
type Config struct {
	// FS is the file system; nil is the operating system's. Its files must allow
	// WriteAt and Sync at the same time.
	FS vfs.FS
	// Dir is the path of the directory, which is made if there is none, in one that
	// exists. One Dir at a time may have it open, which is for the caller to see to.
	Dir string
	// Mode of all journals.
	Mode Mode
	// BootID tells one boot of the machine from another; empty is what the operating
	// system says. It is used in mode Replicated only.
	BootID string
	// Logger; nil is none.
	Logger *slog.Logger
	// Registerer of metrics; nil is none.
	Registerer prometheus.Registerer
}

// Validate the configuration.
func (c Config) Validate() error {
	if c.Dir == "" {
		return errors.New("spool: Dir is empty")
	}
	if c.Mode != Synced && c.Mode != Replicated {
		return fmt.Errorf("spool: Mode is %d", c.Mode)
	}
	return nil
}

// ID of a journal: a journal that is created anew under the same name is another.
type ID struct {
	// Journal is the name.
	Journal string
	// CreateRevision is the etcd revision at which the journal was created.
	CreateRevision int64
}

// JournalOptions are of a journal that is opened.
type JournalOptions struct {
	// Codec of the open fragment, if there is none yet.
	Codec protocol.CompressionCodec
	// FirstOffset at which the journal begins, if there is no spool of it.
	FirstOffset int64
}

// Dir is a directory of spools. Make it with Open; it is safe for concurrent use.
type Dir struct {
	fs      vfs.FS
	path    string
	mode    Mode
	boot    [16]byte
	disk    [16]byte
	logger  *slog.Logger
	metrics *metrics
	buffers buffers

	mu    sync.Mutex
	known map[ID]bool // Journals that have files; true if open.
}

// Open takes the directory, and lists whose spools are in it. None is recovered yet.
// A directory of a newer version is a *FormatError.
func Open(ctx context.Context, c Config) (*Dir, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d := &Dir{fs: c.FS, path: c.Dir, mode: c.Mode, logger: c.Logger, boot: bootID(c.BootID), known: map[ID]bool{}}
	if d.fs == nil {
		d.fs = vfs.Default
	}
	if d.logger == nil {
		d.logger = slog.New(slog.DiscardHandler)
	}
	if err := d.take(); err != nil {
		return nil, err
	}
	var err error
	if d.metrics, err = newMetrics(c.Registerer); err != nil {
		return nil, err
	}
	return d, d.list(ctx)
}

// bootID is the 128 bits of a boot id; zero if it isn't known.
func bootID(text string) [16]byte {
	if text == "" {
		// Where there is no such file the boot isn't known, and each is taken for a new one.
		b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
		text = string(b)
	}
	var id [16]byte
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(text), "-", ""))
	if err != nil || len(b) != len(id) {
		return id
	}
	return [16]byte(b)
}

// take checks the directory's version and identity, or gives it them.
func (d *Dir) take() error {
	parent := d.fs.PathDir(d.path)
	if err := d.fs.MkdirAll(d.path, 0o750); err != nil {
		return fmt.Errorf("create spool directory %s: %w", d.path, err)
	}
	format, err := d.readSmall(formatFile)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return d.initialize(parent)
	case err != nil:
		return err
	}
	name := d.fs.PathJoin(d.path, formatFile)
	text, ok := bytes.CutPrefix(format, []byte(formatHead))
	version, err := strconv.ParseUint(strings.TrimSuffix(string(text), "\n"), 10, 32)
	if !ok || err != nil || version < 1 {
		return corrupt(name, 0, "it isn't a format file of spools")
	}
	if version > Version {
		return &FormatError{File: name, Version: version, Known: Version}
	}
	if err := d.readDisk(); err != nil || version == Version {
		return err
	}
	// Programs that know only the older version refuse the directory from here on.
	return d.writeFormat()
}

const formatHead = "broadsheet spools, format "

// initialize a directory without a format file: DISK comes first, so that a
// directory that has a version has an identity.
func (d *Dir) initialize(parent string) error {
	names, err := d.fs.List(d.path)
	if err != nil {
		return fmt.Errorf("list %s: %w", d.path, err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, formatFile) && !strings.HasPrefix(name, diskFile) {
			return fmt.Errorf("spool directory %s holds %s but no %s file", d.path, name, formatFile)
		}
	}
	_, _ = rand.Read(d.disk[:]) // It never fails.
	disk := hex.EncodeToString(d.disk[:]) + "\n"
	if err := writeWhole(d.fs, d.fs.PathJoin(d.path, diskFile), []byte(disk)); err != nil {
		return err
	}
	if err := syncDir(d.fs, d.path); err != nil {
		return err
	}
	return errors.Join(d.writeFormat(), syncDir(d.fs, parent))
}

// writeFormat gives the directory the version that this package writes.
func (d *Dir) writeFormat() error {
	format := formatHead + strconv.Itoa(Version) + "\n"
	if err := writeWhole(d.fs, d.fs.PathJoin(d.path, formatFile), []byte(format)); err != nil {
		return err
	}
	return syncDir(d.fs, d.path)
}

func (d *Dir) readDisk() error {
	b, err := d.readSmall(diskFile)
	if err != nil {
		return err
	}
	text, ok := strings.CutSuffix(string(b), "\n")
	if !ok || !isHex(text, 2*len(d.disk)) {
		return corrupt(d.fs.PathJoin(d.path, diskFile), 0, "it has no disk identity")
	}
	_, err = hex.Decode(d.disk[:], []byte(text))
	return err
}

// readSmall reads a file of at most a few bytes.
func (d *Dir) readSmall(name string) ([]byte, error) {
	f, err := d.fs.Open(d.fs.PathJoin(d.path, name))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, 128))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

// Disk is the random identity of the directory. One that was lost and made anew has
// another.
func (d *Dir) Disk() [16]byte { return d.disk }

// list finds the journals, and removes what Discard left.
func (d *Dir) list(ctx context.Context) error {
	names, err := d.fs.List(d.path)
	if err != nil {
		return fmt.Errorf("list %s: %w", d.path, err)
	}
	for _, name := range names {
		path := d.fs.PathJoin(d.path, name)
		switch gone, ok := strings.CutSuffix(name, goneSuffix); {
		case ok && isDirName(gone):
			if err := d.fs.RemoveAll(path); err != nil {
				return fmt.Errorf("remove %s: %w", path, err)
			}
		case isDirName(name):
			id, ok, err := d.identify(path)
			if err != nil {
				return err
			}
			if ok && dirName(id) == name {
				d.known[id] = false
				continue
			}
			d.logger.LogAttrs(ctx, slog.LevelWarn, "spool directory without a readable log", slog.String("path", path))
		}
	}
	return nil
}

// identify returns whose spools a directory has, and whether a log says so. Damage is
// found when the journal is opened.
func (d *Dir) identify(path string) (ID, bool, error) {
	names, err := d.fs.List(path)
	if err != nil {
		return ID{}, false, fmt.Errorf("list %s: %w", path, err)
	}
	for _, name := range names {
		if _, suffix, ok := parseFileName(name); !ok || suffix != logSuffix {
			continue
		}
		h, err := d.readHeaderOf(d.fs.PathJoin(path, name))
		if err == nil {
			return h.id, true, nil
		}
	}
	return ID{}, false, nil
}

func (d *Dir) readHeaderOf(name string) (header, error) {
	f, err := d.fs.Open(name)
	if err != nil {
		return header{}, fmt.Errorf("open %s: %w", name, err)
	}
	h, err := readHeader(name, f)
	return h, errors.Join(err, f.Close())
}

// Journals whose spools are here, ordered by name and create revision. One whose
// logs can't be read at all isn't among them: that is found when it is opened.
func (d *Dir) Journals() []ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := make([]ID, 0, len(d.known))
	for id := range d.known {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b ID) int {
		return cmp.Or(cmp.Compare(a.Journal, b.Journal), cmp.Compare(a.CreateRevision, b.CreateRevision))
	})
	return ids
}

// hold marks a journal as open, and returns whether it was known.
func (d *Dir) hold(id ID) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	open, known := d.known[id]
	if open {
		return known, fmt.Errorf("spool of journal %s (revision %d) is open already", id.Journal, id.CreateRevision)
	}
	d.known[id] = true
	return known, nil
}

// restore undoes hold.
func (d *Dir) restore(id ID, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known {
		d.known[id] = false
	} else {
		delete(d.known, id)
	}
}

func (d *Dir) release(id ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known[id] = false
}

// Discard removes the spools of a journal that was deleted, with all their content.
// It must not be open. To discard what isn't there is no error.
func (d *Dir) Discard(id ID) error {
	known, err := d.hold(id)
	if err != nil {
		return fmt.Errorf("discard: %w", err)
	}
	path := d.fs.PathJoin(d.path, dirName(id))
	if err := d.discard(path); err != nil {
		d.restore(id, known)
		return fmt.Errorf("discard %s: %w", path, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.known, id)
	return nil
}

// discard renames the directory first, so that half of it is never taken for a spool.
func (d *Dir) discard(path string) error {
	if err := d.fs.RemoveAll(path + goneSuffix); err != nil {
		return err
	}
	if err := d.fs.Rename(path, path+goneSuffix); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	if err := syncDir(d.fs, d.path); err != nil {
		return err
	}
	return d.fs.RemoveAll(path + goneSuffix)
}
