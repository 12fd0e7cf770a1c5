package duck

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// Version is the only DuckDB that this package was tried with.
const Version = "v1.5.6"

// DB is an in-memory DuckDB instance behind locked settings.
type DB struct {
	native  mapping.Database
	logger  *slog.Logger
	metrics *metrics
	temp    *tempDir
	scrub   scrubber
	// held counts what DuckDB holds of ours: bound scans, their states, open sources.
	held   atomic.Int64
	styles styles

	mu     sync.Mutex
	conns  map[uint64]*Conn
	scans  map[string]bool // names of registered scans, in lower case
	closed bool
}

// Open starts an instance, locks its settings, and fails unless the self-test finds
// that scans return what they were given and that files outside are refused.
func Open(ctx context.Context, config Config) (*DB, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	if found := mapping.LibraryVersion(); found != Version {
		return nil, fmt.Errorf("duck: the library is DuckDB %s, not %s", found, Version)
	}
	temp, err := takeTempDir(config.TempDir)
	if err != nil {
		return nil, err
	}
	counted, err := newMetrics(config.Registerer)
	if err != nil {
		return nil, errors.Join(err, temp.release())
	}
	d := &DB{logger: config.Logger, metrics: counted, temp: temp, conns: map[uint64]*Conn{}, scans: map[string]bool{}, scrub: newScrubber(config)}
	if err := d.openNative(config); err != nil {
		counted.close()
		return nil, errors.Join(err, temp.release())
	}
	if err := errors.Join(d.configure(ctx, config), d.selfTest(ctx)); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.logger.InfoContext(ctx, "opened duckdb", slog.String("version", Version), slog.Int64("memory_limit", config.MemoryLimit),
		slog.Int("threads", config.Threads), slog.String("temp_dir", config.TempDir), slog.String("fragment_root", config.FragmentRoot))
	return d, nil
}

func newScrubber(config Config) scrubber {
	s := scrubber{paths: map[string]string{}}
	for _, root := range []string{config.FragmentRoot, config.CacheDir} {
		if root != "" {
			s.paths[filepath.Clean(root)] = "a fragment"
		}
	}
	if config.TempDir != "" {
		s.paths[filepath.Clean(config.TempDir)] = "a temporary file"
	}
	return s
}

// nowhere is in the place of directories that DuckDB would look for in the home directory.
const nowhere = "/nonexistent"

// openNative starts the instance with what must hold before the first statement.
func (d *DB) openNative(config Config) error {
	var native mapping.Config
	if mapping.CreateConfig(&native) != mapping.StateSuccess {
		return errors.New("duck: no memory for a configuration")
	}
	defer mapping.DestroyConfig(&native)
	options := map[string]string{
		"threads":                            strconv.Itoa(config.Threads),
		"memory_limit":                       fmt.Sprintf("%dB", config.MemoryLimit),
		"temp_directory":                     d.temp.spill,
		"autoinstall_known_extensions":       "false",
		"autoload_known_extensions":          "false",
		"allow_community_extensions":         "false",
		"allow_unsigned_extensions":          "false",
		"allow_extensions_metadata_mismatch": "false",
		"allow_persistent_secrets":           "false",
		"errors_as_json":                     "true",
		"extension_directory":                nowhere,
		"secret_directory":                   nowhere,
		"preserve_insertion_order":           "true",
	}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if mapping.SetConfig(native, name, options[name]) != mapping.StateSuccess {
			return fmt.Errorf("duck: setting %s = %q is refused", name, options[name])
		}
	}
	var message string
	if mapping.OpenExt("", &d.native, native, &message) != mapping.StateSuccess {
		return fmt.Errorf("duck: open: %w", d.scrub.newError(message))
	}
	return nil
}

// configure makes the remaining settings, locking them last.
func (d *DB) configure(ctx context.Context, config Config) error {
	c, err := d.Conn(ctx)
	if err != nil {
		return err
	}
	if err := d.registerScalars(c); err != nil {
		return errors.Join(err, c.Close())
	}
	var roots []string
	for _, root := range []string{config.FragmentRoot, config.CacheDir} {
		if root != "" {
			roots = append(roots, quoteLiteral(filepath.Clean(root)+"/"))
		}
	}
	directories := "[" + strings.Join(roots, ", ") + "]"
	for _, statement := range append(macros(), []string{
		// Given to a configuration before the start, this one is shown but not kept to.
		fmt.Sprintf("SET GLOBAL max_temp_directory_size = '%dB'", config.MaxTempSize),
		// What PostgreSQL means by the same text.
		"SET GLOBAL TimeZone = 'UTC'",
		"SET GLOBAL integer_division = true",
		"SET GLOBAL default_null_order = 'nulls_last_on_asc_first_on_desc'",
		"SET GLOBAL allowed_configs = ['streaming_buffer_size', 'TimeZone']", // see runAhead and Adopt
		"SET GLOBAL allowed_directories = " + directories,
		"SET GLOBAL enable_external_access = false",
		"SET GLOBAL lock_configuration = true",
	}...) {
		if err := c.Exec(ctx, statement); err != nil {
			return errors.Join(fmt.Errorf("duck: %s: %w", statement, err), c.Close())
		}
	}
	return c.Close()
}

// Close ends every session, as Conn.Close does, and the instance. It fails if DuckDB
// then still holds anything that scans gave it, which would be a leak in this package.
func (d *DB) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	conns := slices.Collect(maps.Values(d.conns))
	d.mu.Unlock()
	var failures []error
	for _, c := range conns {
		failures = append(failures, c.Close())
	}
	mapping.Close(&d.native)
	d.metrics.close()
	if held := d.held.Load(); held != 0 {
		failures = append(failures, fmt.Errorf("duck: close: %d scans, states or sources were not let go of", held))
	}
	return errors.Join(append(failures, d.temp.release())...)
}

// forget removes a closed connection.
func (d *DB) forget(c *Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c.id)
}

// lookup finds the connection that DuckDB calls back about.
func (d *DB) lookup(id uint64) (*Conn, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.conns[id]
	return c, ok
}

// Memory is what DuckDB's buffer manager holds, in bytes.
type Memory struct {
	InMemory  int64
	Temporary int64 // in the temporary directory
}

// MemoryUsage returns what DuckDB holds now, of all queries together.
func (d *DB) MemoryUsage(ctx context.Context) (Memory, error) {
	c, err := d.Conn(ctx)
	if err != nil {
		return Memory{}, err
	}
	used, err := c.memoryUsage(ctx)
	return used, errors.Join(err, c.Close())
}

func (c *Conn) memoryUsage(ctx context.Context) (Memory, error) {
	s, err := c.Prepare(ctx, `SELECT sum(memory_usage_bytes)::BIGINT, sum(temporary_storage_bytes)::BIGINT FROM duckdb_memory()`)
	if err != nil {
		return Memory{}, err
	}
	rows, err := s.Query(ctx, nil)
	if err != nil {
		return Memory{}, err
	}
	batch, err := rows.Next(ctx)
	if err != nil {
		return Memory{}, fmt.Errorf("duck: memory usage: %w", err)
	}
	return Memory{InMemory: batch.Cols[0].I64[0], Temporary: batch.Cols[1].I64[0]}, rows.Close()
}
