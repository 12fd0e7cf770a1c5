package duck_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// ceilingVariable makes the test program run underCeiling instead of the tests.
const ceilingVariable = "BROADSHEET_DUCK_CEILING"

// Statements whose single values pass memory_limit by; in a process without a ceiling the
// first takes 18 GB and can't be interrupted.
var bottomless = []string{
	"SELECT len(range(200000000))",
	"SELECT length(repeat('x', 4000000000))",
	"SELECT len(list(i)) FROM range(2000000000) t(i)",
	"SELECT length(string_agg(repeat('x', 1000), '')) FROM range(100000000) t(i)",
}

// TestCeiling runs them in a process with a ceiling: each fails as out of memory, and the
// next statement works.
func TestCeiling(t *testing.T) {
	program, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, program)
	child.Env = append(os.Environ(), ceilingVariable+"=1")
	var stderr strings.Builder
	child.Stderr = &stderr
	out, err := child.Output()
	require.NoError(t, err, stderr.String())
	want := ""
	var wantSb46 strings.Builder
	for _, sql := range bottomless {
		wantSb46.WriteString(sql + ": 53200, then 1\n")
	}
	want += wantSb46.String()
	require.Equal(t, want, string(out))
}

// underCeiling is the child: it limits itself before it runs anything.
func underCeiling(out io.Writer) int {
	err := func() error {
		ctx := context.Background()
		ceiling := uint64(3 << 30)
		if err := unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: ceiling, Max: ceiling}); err != nil {
			return err
		}
		db, err := duck.Open(ctx, duck.Config{MemoryLimit: 128 << 20, Threads: 2})
		if err != nil {
			return err
		}
		c, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		for _, sql := range bottomless {
			_, err := query(ctx, c, sql, nil)
			var failed *duck.Error
			if !errors.As(err, &failed) {
				return fmt.Errorf("%s: %w", sql, err)
			}
			after := strings.TrimSpace(lines(ctx, c, "SELECT 1"))
			if _, err := fmt.Fprintf(out, "%s: %s, then %s\n", sql, failed.SQLSTATE, after); err != nil {
				return err
			}
		}
		return db.Close()
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
