package testenv

import (
	"syscall"
	"testing"
	"time"
)

// Processor is the time of processors that this process has used. A bound on what something costs holds by it on
// a busy machine too, where the clock goes on while we wait for a processor.
func Processor(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
