package pgwire

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Config of a Server. Backend and Logger are needed.
type Config struct {
	Backend Backend
	Logger  *slog.Logger
	// MaxSessions bounds the sessions at one time; zero is 100. Further ones are refused
	// with 53300.
	MaxSessions int
	// MaxStarting bounds connections that aren't sessions yet; zero is 100. Further ones
	// are told 53300 once they said what they want, or after a second; at most 100 at a time.
	MaxStarting int
	// StartupTimeout bounds the time until a connection is a session; zero is 10 s.
	StartupTimeout time.Duration
	// MaxMessage bounds a message of a client but for the data of COPY, in bytes; zero is
	// 64 MiB. A longer one fails with 54000.
	MaxMessage int
	// MaxRow bounds a row that is sent, or a part of the data of COPY TO STDOUT, in bytes;
	// zero is 256 MiB. A longer one fails with 54000.
	MaxRow int
	// MaxPrepared bounds the prepared statements, and the open portals, of a session; zero
	// is 4096. Further ones fail with 53400.
	MaxPrepared int
	// MaxPreparedBytes bounds the messages by which a session's prepared statements and open
	// portals were made, in bytes; zero is twice MaxMessage. Further ones fail with 53400.
	MaxPreparedBytes int
}

// Validate tells what is missing or out of range.
func (c *Config) Validate() error {
	if c.Backend == nil || c.Logger == nil {
		return errors.New("pgwire: a Backend and a Logger are needed")
	}
	for _, limit := range []struct {
		name  string
		value int64
		most  int64
	}{
		{"MaxSessions", int64(c.MaxSessions), 1 << 20},
		{"MaxStarting", int64(c.MaxStarting), 1 << 20},
		{"StartupTimeout", int64(c.StartupTimeout), int64(time.Hour)},
		{"MaxMessage", int64(c.MaxMessage), longMessage},
		{"MaxRow", int64(c.MaxRow), longMessage},
		{"MaxPrepared", int64(c.MaxPrepared), 1 << 20},
		{"MaxPreparedBytes", int64(c.MaxPreparedBytes), 1 << 40},
	} {
		if limit.value < 0 || limit.value > limit.most {
			return fmt.Errorf("pgwire: %s is %d, out of 0 to %d", limit.name, limit.value, limit.most)
		}
	}
	return nil
}

func (c *Config) withDefaults() Config {
	d := *c
	d.MaxSessions = cmp.Or(d.MaxSessions, 100)
	d.MaxStarting = cmp.Or(d.MaxStarting, 100)
	d.StartupTimeout = cmp.Or(d.StartupTimeout, 10*time.Second)
	d.MaxMessage = cmp.Or(d.MaxMessage, 64<<20)
	d.MaxRow = cmp.Or(d.MaxRow, 256<<20)
	d.MaxPrepared = cmp.Or(d.MaxPrepared, 4096)
	d.MaxPreparedBytes = cmp.Or(d.MaxPreparedBytes, 2*d.MaxMessage)
	return d
}
