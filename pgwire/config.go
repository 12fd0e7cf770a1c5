package pgwire

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"broadsheet.dev/broadsheet/pgwire/hba"
)

// Config of a Server. Backend and Logger are needed.
type Config struct {
	Backend Backend
	Logger  *slog.Logger
	// TLS is what connections are encrypted with that ask for it; without it they are told no. Its
	// versions from 1.2 on are taken. If it has ClientCAs, clients' certificates are verified.
	TLS *tls.Config
	// Rules say who may connect, and how it is proved; without any all who connect are believed.
	// They need Users, and a MockSecret, if they ask for it.
	Rules hba.Rules
	Users Users
	// MockSecret makes users that don't exist look as if they did: at least 16 bytes that nobody
	// knows, the same for all servers of the same users.
	MockSecret []byte
	// MaxSessions bounds the sessions at one time; zero is 100. Further ones are refused
	// with 53300.
	MaxSessions int
	// MaxStarting bounds connections that aren't sessions yet; zero is 100. Further ones
	// are told 53300 once they said what they want, or after a second; at most 100 at a time.
	MaxStarting int
	// MaxPerAddress bounds the connections of one address, sessions and others, and MaxStartingPerAddress those
	// of them that aren't sessions yet; zero is three quarters of MaxSessions, and half of MaxStarting. Further ones
	// are refused as those over MaxStarting are. Connections by a unix socket and of loopback aren't counted, and
	// the first 64 bits of an address of IPv6 are one.
	MaxPerAddress, MaxStartingPerAddress int
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
	if err := c.validateRules(); err != nil {
		return err
	}
	for _, limit := range []struct {
		name  string
		value int64
		most  int64
	}{
		{"MaxSessions", int64(c.MaxSessions), 1 << 20},
		{"MaxStarting", int64(c.MaxStarting), 1 << 20},
		{"MaxPerAddress", int64(c.MaxPerAddress), 1 << 20},
		{"MaxStartingPerAddress", int64(c.MaxStartingPerAddress), 1 << 20},
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

// minSecret is the least length of a MockSecret.
const minSecret = 16

// validateRules holds the rules against what they need.
func (c *Config) validateRules() error {
	if c.Rules == nil {
		return nil
	}
	if line := c.Rules.NeedTLS(); line != 0 && c.TLS == nil {
		return fmt.Errorf("pgwire: the rule of line %d is for TLS, and there is no certificate", line)
	}
	if line := c.Rules.NeedCA(); line != 0 && c.TLS.ClientCAs == nil {
		return fmt.Errorf("pgwire: the rule of line %d is for clients' certificates, and there is no authority to verify them by", line)
	}
	if c.Users == nil {
		return errors.New("pgwire: Rules need Users")
	}
	if c.Rules.NeedPasswords() && len(c.MockSecret) < minSecret {
		return fmt.Errorf("pgwire: MockSecret has %d bytes, at least %d are needed", len(c.MockSecret), minSecret)
	}
	return nil
}

func (c *Config) withDefaults() Config {
	d := *c
	d.MaxSessions = cmp.Or(d.MaxSessions, 100)
	d.MaxStarting = cmp.Or(d.MaxStarting, 100)
	d.MaxPerAddress = cmp.Or(d.MaxPerAddress, (3*d.MaxSessions+3)/4)
	d.MaxStartingPerAddress = cmp.Or(d.MaxStartingPerAddress, (d.MaxStarting+1)/2)
	d.StartupTimeout = cmp.Or(d.StartupTimeout, 10*time.Second)
	d.MaxMessage = cmp.Or(d.MaxMessage, 64<<20)
	d.MaxRow = cmp.Or(d.MaxRow, 256<<20)
	d.MaxPrepared = cmp.Or(d.MaxPrepared, 4096)
	d.MaxPreparedBytes = cmp.Or(d.MaxPreparedBytes, 2*d.MaxMessage)
	return d
}
