package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/cmd/broadsheet/settings"
	"broadsheet.dev/broadsheet/cmd/broadsheet/tokens"
	"broadsheet.dev/broadsheet/internal/certs"
)

// brokerClientFlags say how a process reaches brokers as their client.
type brokerClientFlags struct {
	address             string
	files               certs.Files
	authKeys, authToken string
}

func (b *brokerClientFlags) add(p *pflag.FlagSet) {
	p.StringVar(&b.address, "broker.address", "", "address of brokers: http://host:port, https://host:port or unix:///path; a host name may stand for several")
	p.StringVar(&b.files.Cert, "broker.cert-file", "", "file of the certificate that brokers are shown")
	p.StringVar(&b.files.Key, "broker.cert-key-file", "", "file of that certificate's key")
	p.StringVar(&b.files.CA, "broker.trusted-ca-file", "", "file of the authorities that brokers' certificates are of")
	p.StringVar(&b.authKeys, "broker.auth-keys", "", "keys of the brokers, to sign tokens with")
	p.StringVar(&b.authToken, "broker.auth-token", "", "token that brokers are shown")
	settings.MarkSecret(p, "broker.auth-keys")
	settings.MarkSecret(p, "broker.auth-token")
}

// config of a client of the brokers.
func (b *brokerClientFlags) config(log *slog.Logger) (client.Config, error) {
	cfg := client.Config{Endpoint: b.address, Logger: log}
	var err error
	if cfg.Credentials, err = tokens.Credentials(b.authKeys, b.authToken); err != nil {
		return cfg, err
	}
	if b.files.IsZero() {
		return cfg, nil
	}
	if !strings.HasPrefix(b.address, "https://") {
		return cfg, withHint(fmt.Errorf("--broker.address %s: isn't https, and certificates are given", b.address), "use an https address, or leave the certificates out")
	}
	source, err := certs.Load(b.files, log)
	if err != nil {
		return cfg, fmt.Errorf("--broker.cert-file, --broker.trusted-ca-file: %w", err)
	}
	cfg.TLS = source.Client()
	return cfg, nil
}
