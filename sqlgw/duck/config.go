package duck

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// The defaults of Config, in bytes.
const (
	defaultMemoryLimit = 1 << 30
	minMemoryLimit     = 32 << 20
	tempPerMemory      = 8
)

// jsonBuffer is what a thread needs to read JSON in place: DuckDB takes twice the longest line.
const jsonBuffer = 2 * columnar.MaxLine

// Config says what one DuckDB instance may use.
type Config struct {
	// MemoryLimit is DuckDB's memory_limit in bytes; 0 is 1 GiB, or 64 MiB for each thread if that is more.
	// The least is 32 MiB, and with a FragmentRoot 32 MiB for each thread and one more: so much does each
	// statement that reads JSON in place take. It bounds
	// what DuckDB's buffer manager hands out, not the process: single values and lists (range,
	// repeat) pass it by, which is what the process's own RLIMIT_AS is for.
	MemoryLimit int64
	// Threads is the number of threads that run queries; 0 is GOMAXPROCS.
	Threads int
	// TempDir is a directory of this instance alone, made if missing, for what doesn't fit
	// MemoryLimit. It is emptied by Open and by Close. Empty: nothing is spilled, and a query
	// that needs it fails with out of memory. SQL can reach files in it, so nothing else may
	// be kept there.
	TempDir string
	// MaxTempSize bounds what is in TempDir, in bytes; 0 is eight times MemoryLimit.
	MaxTempSize int64
	// FragmentRoot is a directory whose files SQL can reach, too. DuckDB doesn't tell
	// reading from writing: keep it read-only by the file system's permissions. Empty: none.
	FragmentRoot string
	// CacheDir is another such directory, of copies of fragments. Empty: none.
	CacheDir string
	// Logger receives what no caller gets as an error; nil discards.
	Logger *slog.Logger
	// Registerer receives the metrics of the instance; nil means none.
	Registerer prometheus.Registerer
}

// Validate tells what is wrong with the configuration.
func (c Config) Validate() error {
	switch {
	case c.MemoryLimit != 0 && c.MemoryLimit < minMemoryLimit:
		return fmt.Errorf("duck: MemoryLimit %d is under %d bytes", c.MemoryLimit, int64(minMemoryLimit))
	case c.Threads < 0:
		return fmt.Errorf("duck: Threads %d is negative", c.Threads)
	case c.MaxTempSize < 0:
		return fmt.Errorf("duck: MaxTempSize %d is negative", c.MaxTempSize)
	case c.MaxTempSize > 0 && c.TempDir == "":
		return errors.New("duck: MaxTempSize without TempDir")
	}
	if d := c.withDefaults(); c.FragmentRoot+c.CacheDir != "" && d.MemoryLimit < int64(d.Threads+1)*jsonBuffer {
		return fmt.Errorf("duck: MemoryLimit %d is under %d bytes, which %d threads need to read JSON", d.MemoryLimit, int64(d.Threads+1)*jsonBuffer, d.Threads)
	}
	for name, dir := range map[string]string{"TempDir": c.TempDir, "FragmentRoot": c.FragmentRoot, "CacheDir": c.CacheDir} {
		switch {
		case dir == "":
		case !filepath.IsAbs(dir):
			return fmt.Errorf("duck: %s %q isn't an absolute path", name, dir)
		case filepath.Dir(filepath.Clean(dir)) == filepath.Clean(dir):
			return fmt.Errorf("duck: %s is the root of the file system", name)
		case strings.ContainsAny(dir, "*?["):
			return fmt.Errorf("duck: %s %q has characters that DuckDB takes for a pattern", name, dir)
		}
	}
	return nil
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	if c.Threads == 0 {
		c.Threads = runtime.GOMAXPROCS(0)
	}
	if c.MemoryLimit == 0 {
		c.MemoryLimit = max(defaultMemoryLimit, 2*jsonBuffer*int64(c.Threads))
	}
	if c.MaxTempSize == 0 {
		c.MaxTempSize = tempPerMemory * c.MemoryLimit
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
