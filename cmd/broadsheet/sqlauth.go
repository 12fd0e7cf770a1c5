package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/pgwire/hba"
)

// sqlAuthFlags say who may use the Postgres port, and how it is encrypted.
type sqlAuthFlags struct {
	hba, passwordFile string
	files             certs.Files
}

func (f *sqlAuthFlags) add(p *pflag.FlagSet) {
	p.StringVar(&f.hba, "sql-hba", "", "file of rules in the form of pg_hba.conf: who may connect, and how it is proved; without it clients of this machine are trusted, and no others are served")
	p.StringVar(&f.passwordFile, "sql-password-file", "", "file with the first password of the role postgres, for when it has none")
	p.StringVar(&f.files.Cert, "sql-tls-cert", "", "file of the certificate for Postgres clients, in PEM; without it their connections aren't encrypted")
	p.StringVar(&f.files.Key, "sql-tls-key", "", "file of the certificate's key")
	p.StringVar(&f.files.CA, "sql-tls-client-ca", "", "file of the authorities of Postgres clients' certificates; rules say who has to show one")
}

// args are the flags again, for a process that is started.
func (f *sqlAuthFlags) args() []string {
	var out []string
	for _, x := range []struct{ name, value string }{
		{"sql-hba", f.hba},
		{"sql-password-file", f.passwordFile},
		{"sql-tls-cert", f.files.Cert},
		{"sql-tls-key", f.files.Key},
		{"sql-tls-client-ca", f.files.CA},
	} {
		if x.value != "" {
			out = append(out, "--"+x.name, x.value)
		}
	}
	return out
}

// sqlAuth is what the flags name, read.
type sqlAuth struct {
	rules hba.Rules // nil trusts
	tls   *tls.Config
	// password reads the first one of the role postgres; nil if no file of it was named.
	password func() (string, error)
}

// read the files, and hold them against each other and the address that is listened on. The password's is read when it
// is needed.
func (f *sqlAuthFlags) read(address string, log *slog.Logger) (sqlAuth, error) {
	var a sqlAuth
	var err error
	if f.hba != "" {
		if a.rules, err = readRules(f.hba); err != nil {
			return a, err
		}
	}
	if err := f.mayListen(a.rules, address); err != nil {
		return a, err
	}
	if a.tls, err = f.readTLS(log); err != nil {
		return a, err
	}
	if line := a.rules.NeedTLS(); line != 0 && a.tls == nil {
		return a, withHint(fmt.Errorf("--sql-hba: %s: line %d is for TLS, and there is no certificate", f.hba, line), "name one with --sql-tls-cert and --sql-tls-key")
	}
	if line := a.rules.NeedCA(); line != 0 && f.files.CA == "" {
		return a, withHint(fmt.Errorf("--sql-hba: %s: line %d is for clients' certificates, and nothing says who signs them", f.hba, line), "name the authorities' file with --sql-tls-client-ca")
	}
	if f.passwordFile != "" {
		a.password = f.readPassword
	}
	return a, nil
}

// checkPassword looks whether the file of the password has one. It needn't be there any more when the role has one.
func (f *sqlAuthFlags) checkPassword(ctx context.Context, log *slog.Logger) error {
	if f.passwordFile == "" {
		return nil
	}
	_, err := f.readPassword()
	if errors.Is(err, fs.ErrNotExist) {
		log.LogAttrs(ctx, slog.LevelWarn, "the file of the first password isn't there: SQL isn't served unless the role postgres has one", slog.String("file", f.passwordFile))
		return nil
	}
	return err
}

func readRules(file string) (hba.Rules, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator named it
	if err != nil {
		return nil, fmt.Errorf("--sql-hba: %w", err)
	}
	rules, err := hba.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("--sql-hba: %s: %s", file, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return rules, nil
}

// mayListen refuses an address that others can reach unless rules make them prove who they are.
func (f *sqlAuthFlags) mayListen(rules hba.Rules, address string) error {
	notLoopback := loopbackOnly("sql-listen", address)
	if notLoopback == nil {
		return nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return notLoopback
	}
	if rules == nil {
		return withHint(fmt.Errorf("--sql-listen %s: it isn't a loopback address, and there is no authentication", address),
			"listen on 127.0.0.1 or [::1], or say with --sql-hba how clients prove who they are")
	}
	if line := rules.Unproved(); line != 0 {
		return withHint(fmt.Errorf("--sql-listen %s: line %d of %s trusts clients of other machines", address, line, f.hba), "use scram-sha-256 or cert there, or an address of this machine's own")
	}
	return nil
}

func (f *sqlAuthFlags) readTLS(log *slog.Logger) (*tls.Config, error) {
	switch {
	case f.files.Cert == "" && f.files.CA != "":
		return nil, withHint(errors.New("--sql-tls-client-ca: clients show certificates over TLS only, and there is none"), "name a certificate with --sql-tls-cert and --sql-tls-key")
	case f.files.IsZero():
		return nil, nil
	}
	source, err := certs.Load(f.files, log)
	if err != nil {
		return nil, fmt.Errorf("--sql-tls-cert: %w", err)
	}
	config, err := source.Server()
	if err != nil {
		return nil, fmt.Errorf("--sql-tls-cert: %w", err)
	}
	return config, nil
}

// readPassword is the first line of the file.
func (f *sqlAuthFlags) readPassword() (string, error) {
	text, err := os.ReadFile(f.passwordFile)
	if err != nil {
		return "", fmt.Errorf("--sql-password-file: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", fmt.Errorf("--sql-password-file: %s has no password in its first line", f.passwordFile)
	}
	return line, nil
}
