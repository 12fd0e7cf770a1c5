package system

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// Main runs the tests of a package with a server that all of them share, which is put where they find it, and returns the
// status to exit with.
func Main(m *testing.M, server **Server) int {
	dir, err := os.MkdirTemp("", "broadsheet-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if *server, err = Start(context.Background(), dir+"/data"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer (*server).Kill()
	return m.Run()
}
