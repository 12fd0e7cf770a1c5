// Package testenv finds the outside programs that some tests need.
//
// # What
//
// A test that needs psql, say, asks for it by Program, or by Tool for one that "make deps"
// builds for us. Where it is missing the test is
// skipped with the words "not run: psql missing", which `make test` lists at its end and
// .ci/run takes for a failure. Processor tells what a test has cost, whatever else the machine does.
// FreePorts finds ports for servers that can't be asked for theirs.
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
// By its users, and FreePorts by itself.
package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Tool returns the path of a program that "make deps" puts into .tools/bin, or skips the
// test if it is missing.
func Tool(tb testing.TB, name string) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(dir, ".tools", "bin", name)); err == nil {
			return path
		}
	}
	tb.Skipf("not run: %s missing", name)
	return ""
}

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

// Uncached keeps go test from taking this process's results from its cache in a later `make test`: it is for tests of programs that they
// build, whose source isn't among what the cache looks at. (That has the variables that a test looks up: this one is another in each run.)
func Uncached() { _ = os.Getenv("BROADSHEET_TEST_RUN") }
