package roles

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/pflag"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/speech"
)

const (
	// etcdPatience bounds how long etcd may take to answer for the first time.
	etcdPatience = 20 * time.Second
	// etcdPing is when a silent member of etcd is asked whether it is there, and etcdPong
	// how long it may take to say so before another is asked instead.
	etcdPing, etcdPong = 5 * time.Second, 3 * time.Second
)

// Etcd are the flags that say which etcd coordinates.
type Etcd struct {
	Addresses []string
	Files     certs.Files
	Lease     time.Duration
	Prefix    string
	MaxTxnOps int
}

// AddConnection adds those that say how etcd is reached.
func (e *Etcd) AddConnection(p *pflag.FlagSet, addresses []string) {
	p.StringSliceVar(&e.Addresses, "etcd.address", addresses, "addresses of etcd's members")
	p.StringVar(&e.Files.Cert, "etcd.cert-file", "", "file of the certificate that etcd is shown")
	p.StringVar(&e.Files.Key, "etcd.cert-key-file", "", "file of that certificate's key")
	p.StringVar(&e.Files.CA, "etcd.trusted-ca-file", "", "file of the authorities that etcd's certificates are of")
}

// Member is what is said of a kind of members in the help of their flags.
type Member struct {
	// Kind and Has: "broker" and "journals", say.
	Kind, Has string
	// Prefix of their keys in etcd.
	Prefix string
}

// AddMember adds all flags, for a member of a fleet.
func (e *Etcd) AddMember(p *pflag.FlagSet, m Member) {
	e.AddConnection(p, []string{"http://localhost:2379"})
	p.DurationVar(&e.Lease, "etcd.lease", 20*time.Second, fmt.Sprintf("how long a %s that died keeps its %s", m.Kind, m.Has))
	p.StringVar(&e.Prefix, "etcd.prefix", m.Prefix, fmt.Sprintf("prefix of the %ss' keys", m.Kind))
	p.IntVar(&e.MaxTxnOps, "etcd.max-txn-ops", 0, "etcd's --max-txn-ops; 0 is its default")
}

// ValidateMember tells what isn't as a member of a fleet needs it.
func (e *Etcd) ValidateMember() error {
	if e.Lease < time.Second || e.Lease%time.Second != 0 {
		return fmt.Errorf("--etcd.lease: %s isn't a number of whole seconds", e.Lease)
	}
	if len(e.Addresses) == 0 {
		return errors.New("--etcd.address is empty")
	}
	return nil
}

// Dial returns a client of etcd, which has answered.
func (e *Etcd) Dial(ctx context.Context, log *slog.Logger) (*clientv3.Client, error) {
	cfg := clientv3.Config{
		Endpoints: e.Addresses, Logger: zap.NewNop(),
		DialKeepAliveTime: etcdPing, DialKeepAliveTimeout: etcdPong, PermitWithoutStream: true,
	}
	named := strings.Join(e.Addresses, ", ")
	if !e.Files.IsZero() {
		source, err := certs.Load(e.Files, log)
		if err != nil {
			return nil, fmt.Errorf("etcd: %w", err)
		}
		cfg.TLS = source.Client()
	} else if strings.HasPrefix(e.Addresses[0], "https://") {
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c, err := clientv3.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("etcd %s: %w", named, err)
	}
	bound, cancel := context.WithTimeout(ctx, etcdPatience)
	defer cancel()
	if _, err := c.Get(bound, e.Prefix, clientv3.WithCountOnly()); err != nil {
		return nil, speech.WithHint(errors.Join(fmt.Errorf("etcd %s: %w", named, err), c.Close()), "say where etcd is with --etcd.address")
	}
	return c, nil
}
