package codec_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain shows that no reader or writer leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
