package flags

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/direct"
	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/settings"
	"broadsheet.dev/broadsheet/internal/speech"
)

// Brokers are the flags that say how a process reaches brokers as their client.
type Brokers struct {
	Address             string
	Files               certs.Files
	AuthKeys, AuthToken string

	// These are of AddRouting.
	CacheSize int
	CacheTTL  time.Duration
	FileRoot  string
	// Zone of the process, whose brokers are asked first if there is a cache.
	Zone string
}

// Add those that say where brokers are, and who asks them. Address is the default.
func (b *Brokers) Add(p *pflag.FlagSet, address string) {
	p.StringVar(&b.Address, "broker.address", address, "address of brokers: http://host:port, https://host:port or unix:///path; a host name may stand for several")
	p.StringVar(&b.Files.Cert, "broker.cert-file", "", "file of the certificate that brokers are shown")
	p.StringVar(&b.Files.Key, "broker.cert-key-file", "", "file of that certificate's key")
	p.StringVar(&b.Files.CA, "broker.trusted-ca-file", "", "file of the authorities that brokers' certificates are of")
	p.StringVar(&b.AuthKeys, "broker.auth-keys", "", "keys of the brokers, to sign tokens with")
	p.StringVar(&b.AuthToken, "broker.auth-token", "", "token that brokers are shown")
	settings.MarkSecret(p, "broker.auth-keys")
	settings.MarkSecret(p, "broker.auth-token")
}

// AddRouting adds those that say how brokers are asked directly.
func (b *Brokers) AddRouting(p *pflag.FlagSet) {
	p.IntVar(&b.CacheSize, "broker.cache.size", 0, "number of journals whose brokers are remembered and asked directly; 0 asks the one at the address")
	p.DurationVar(&b.CacheTTL, "broker.cache.ttl", time.Minute, "how long brokers are remembered")
	p.StringVar(&b.FileRoot, "broker.file-root", "", "directory that file:/// stores are rooted at, whose fragments are then read from there; it needs a cache")
}

// Config of a client of the brokers.
func (b *Brokers) Config(log *slog.Logger) (client.Config, error) {
	cfg := client.Config{Endpoint: b.Address, Logger: log}
	var err error
	if cfg.Credentials, err = Credentials(b.AuthKeys, b.AuthToken); err != nil {
		return cfg, err
	}
	if b.CacheSize != 0 {
		cfg.Routes = client.RouteCache{Size: b.CacheSize, TTL: b.CacheTTL, Zone: b.Zone}
	}
	if b.CacheSize != 0 && b.FileRoot != "" {
		cfg.Fragments = &direct.Config{FileRoot: b.FileRoot}
	}
	if b.Files.IsZero() {
		return cfg, nil
	}
	if !strings.HasPrefix(b.Address, "https://") {
		return cfg, speech.WithHint(fmt.Errorf("--broker.address %s: isn't https, and certificates are given", b.Address), "use an https address, or leave the certificates out")
	}
	source, err := certs.Load(b.Files, log)
	if err != nil {
		return cfg, fmt.Errorf("--broker.cert-file, --broker.trusted-ca-file: %w", err)
	}
	cfg.TLS = source.Client()
	if cfg.Fragments != nil {
		cfg.Fragments.TLS = cfg.TLS
	}
	return cfg, nil
}
