package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// sqlLimitFlags bound the connections of the Postgres port, and their statements.
type sqlLimitFlags struct {
	sessions, starting             int
	perAddress, startingPerAddress int
	startup                        time.Duration
	statements                     statementLimitFlags
}

func (f *sqlLimitFlags) add(p *pflag.FlagSet) {
	p.IntVar(&f.sessions, "sql-max-sessions", 100, "most sessions of Postgres clients at a time")
	p.IntVar(&f.starting, "sql-max-starting", 100, "most connections at a time that aren't sessions yet")
	p.IntVar(&f.perAddress, "sql-max-per-address", 0, "most connections of one address, but for this machine's own; 0 is three quarters of --sql-max-sessions")
	p.IntVar(&f.startingPerAddress, "sql-max-starting-per-address", 0, "most of them that aren't sessions yet; 0 is half of --sql-max-starting")
	p.DurationVar(&f.startup, "sql-startup-timeout", 10*time.Second, "how long a connection has until it is a session")
	f.statements.add(p)
}

// limits are the numbers by their flags.
func (f *sqlLimitFlags) limits() []struct {
	name         string
	value, least int64
} {
	return []struct {
		name         string
		value, least int64
	}{
		{"sql-max-sessions", int64(f.sessions), 1},
		{"sql-max-starting", int64(f.starting), 1},
		{"sql-max-per-address", int64(f.perAddress), 0},
		{"sql-max-starting-per-address", int64(f.startingPerAddress), 0},
	}
}

// maxConnections is the most that a flag may say, and maxStartup of the time.
const (
	maxConnections = 100_000
	maxStartup     = time.Hour
)

func (f *sqlLimitFlags) validate() error {
	for _, l := range f.limits() {
		if l.value < l.least || l.value > maxConnections {
			return fmt.Errorf("--%s: %d is out of %d to %d", l.name, l.value, l.least, maxConnections)
		}
	}
	if f.startup < time.Millisecond || f.startup > maxStartup {
		return fmt.Errorf("--sql-startup-timeout: %s is out of 1ms to %s", f.startup, maxStartup)
	}
	return f.statements.validate()
}

// args are the flags again, for a process that is started.
func (f *sqlLimitFlags) args() []string {
	out := []string{"--sql-startup-timeout", f.startup.String()}
	for _, l := range f.limits() {
		out = append(out, "--"+l.name, strconv.FormatInt(l.value, 10))
	}
	return append(out, f.statements.args()...)
}
