// Package testenv finds the outside programs that some tests need.
//
// # What
//
// A test that needs psql, say, asks for it by Program. Where it is missing the test is
// skipped with the words "not run: psql missing", which `make test` lists at its end and
// .ci/run takes for a failure.
//
// # Invariants
//
// A test is skipped for no other reason.
//
// # Goroutines
//
// None.
//
// # Testing
//
// By its users.
package testenv

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// debianPostgres is where Debian keeps PostgreSQL's own programs.
const debianPostgres = "/usr/lib/postgresql/15/bin"

// Program returns the path of an outside program, or skips the test if it is missing.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	for _, candidate := range []string{name, filepath.Join(debianPostgres, name)} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	tb.Skipf("not run: %s missing", name)
	return ""
}
