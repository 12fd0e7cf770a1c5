package duck_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain runs the tests, or, in a child of TestCeiling, what has to be done under a
// limit of memory.
func TestMain(m *testing.M) {
	if os.Getenv(ceilingVariable) != "" {
		os.Exit(underCeiling(os.Stdout))
	}
	goleak.VerifyTestMain(m)
}
