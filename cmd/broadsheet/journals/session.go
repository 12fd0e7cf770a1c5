package journals

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/direct"
	"broadsheet.dev/broadsheet/client/flags"
	"broadsheet.dev/broadsheet/internal/settings"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol"
)

// Command is journals.
func Command() *cobra.Command {
	s := &shared{}
	cmd := &cobra.Command{
		Use:   "journals",
		Short: "List, change, read and append to journals",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	s.add(cmd.PersistentFlags())
	cmd.AddCommand(
		listCommand(s), applyCommand(s), editCommand(s), appendCommand(s), readCommand(s), fragmentsCommand(s),
		pruneCommand(s), resetHeadCommand(s), suspendCommand(s), storeHealthCommand(s),
	)
	settings.Bind(cmd)
	return cmd
}

// shared are the flags of all commands.
type shared struct {
	zone, logLevel, logFormat string

	address                   string
	certFile, keyFile, caFile string
	authKeys, authToken       string
	cacheSize                 int
	cacheTTL                  time.Duration
	fileRoot, storesFile      string
}

func (s *shared) add(p *pflag.FlagSet) {
	p.StringVar(&s.zone, "zone", "local", "availability zone of this process; with a cache, brokers in it are asked first")
	p.StringVar(&s.logLevel, "log.level", "warn", "least level that is logged: debug, info, warn, error")
	p.StringVar(&s.logFormat, "log.format", "text", "format of the log: text, json")
	p.StringVar(&s.address, "broker.address", "http://localhost:8080", "address of a broker: http://host:port, https://host:port or unix:///path")
	p.StringVar(&s.certFile, "broker.cert-file", "", "file of the certificate that brokers are shown")
	p.StringVar(&s.keyFile, "broker.cert-key-file", "", "file of that certificate's key")
	p.StringVar(&s.caFile, "broker.trusted-ca-file", "", "file of the authorities that brokers' certificates are of")
	p.StringVar(&s.authKeys, "broker.auth-keys", "", "keys of the brokers, to sign tokens with")
	p.StringVar(&s.authToken, "broker.auth-token", "", "token that brokers are shown")
	settings.MarkSecret(p, "broker.auth-keys")
	settings.MarkSecret(p, "broker.auth-token")
	p.IntVar(&s.cacheSize, "broker.cache.size", 0, "number of journals whose brokers are remembered and asked directly; 0 asks the one at the address")
	p.DurationVar(&s.cacheTTL, "broker.cache.ttl", time.Minute, "how long brokers are remembered")
	p.StringVar(&s.fileRoot, "broker.file-root", "", "directory that file:/// stores are rooted at")
}

// session is what a command works with.
type session struct {
	*shared
	brokers *client.Client
	log     *slog.Logger
	out     io.Writer
}

// run calls fn with a session, and closes it.
func (s *shared) run(cmd *cobra.Command, fn func(context.Context, *session) error) error {
	log, err := s.logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	cfg, err := s.clientConfig(log)
	if err != nil {
		return err
	}
	brokers, err := client.Dial(cmd.Context(), cfg)
	if err != nil {
		return speech.WithHint(err, "say where a broker is with --broker.address")
	}
	err = fn(cmd.Context(), &session{shared: s, brokers: brokers, log: log, out: cmd.OutOrStdout()})
	return s.advise(errors.Join(err, brokers.Close()))
}

func (s *shared) logger(w io.Writer) (*slog.Logger, error) {
	levels := map[string]slog.Level{
		"trace": slog.LevelDebug, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "warning": slog.LevelWarn,
		"error": slog.LevelError, "fatal": slog.LevelError, "panic": slog.LevelError,
	}
	level, ok := levels[strings.ToLower(s.logLevel)]
	if !ok {
		return nil, speech.WithHint(fmt.Errorf("--log.level: unknown level %q", s.logLevel), "levels are debug, info, warn and error")
	}
	opts := &slog.HandlerOptions{Level: level}
	switch s.logFormat {
	case "text", "color": // Gazette's default, which has no colours but on a terminal
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, speech.WithHint(fmt.Errorf("--log.format: unknown format %q", s.logFormat), "formats are text and json")
}

func (s *shared) clientConfig(log *slog.Logger) (client.Config, error) {
	cfg := client.Config{Endpoint: s.address, Logger: log}
	var err error
	if cfg.Credentials, err = flags.Credentials(s.authKeys, s.authToken); err != nil {
		return cfg, err
	}
	if s.cacheSize != 0 {
		cfg.Routes = client.RouteCache{Size: s.cacheSize, TTL: s.cacheTTL, Zone: s.zone}
	}
	if s.cacheSize != 0 && s.fileRoot != "" {
		cfg.Fragments = &direct.Config{FileRoot: s.fileRoot}
	}
	cfg.TLS, err = s.tlsConfig()
	if cfg.Fragments != nil {
		cfg.Fragments.TLS = cfg.TLS
	}
	return cfg, err
}

// tlsConfig is nil if no files are named.
func (s *shared) tlsConfig() (*tls.Config, error) {
	if s.certFile == "" && s.keyFile == "" && s.caFile == "" {
		return nil, nil //nolint:nilnil // the system's defaults
	}
	if !strings.HasPrefix(s.address, "https://") {
		return nil, speech.WithHint(fmt.Errorf("--broker.address %s: isn't https, and certificates are given", s.address), "use an https address, or leave the certificates out")
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.certFile != "" || s.keyFile != "" {
		cert, err := tls.LoadX509KeyPair(s.certFile, s.keyFile)
		if err != nil {
			return nil, fmt.Errorf("--broker.cert-file, --broker.cert-key-file: %w", err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	if s.caFile != "" {
		pem, err := os.ReadFile(s.caFile)
		if err != nil {
			return nil, fmt.Errorf("--broker.trusted-ca-file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--broker.trusted-ca-file: %s has no certificate", s.caFile)
		}
	}
	return cfg, nil
}

// advise gives errors of brokers a hint.
func (s *shared) advise(err error) error {
	hints := map[protocol.Status]string{
		protocol.Status_ETCD_TRANSACTION_FAILED:  "somebody else changed one of the journals, or it exists already: list them again, and apply to what is there",
		protocol.Status_INDEX_HAS_GREATER_OFFSET: "the journal's brokers lost its head: see 'broadsheet journals reset-head --help'",
		protocol.Status_NOT_ALLOWED:              "the journal's flags don't allow it",
	}
	for st, hint := range hints {
		if errors.Is(err, st.Err()) {
			return speech.WithHint(err, hint)
		}
	}
	grpcErr, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err)
	if !ok {
		return err
	}
	switch grpcErr.GRPCStatus().Code() {
	case codes.Unavailable:
		return speech.WithHint(err, "is there a broker at "+s.address+"? say where one is with --broker.address")
	case codes.Unauthenticated:
		return speech.WithHint(err, "give a token that allows it with --broker.auth-token")
	default:
		return err
	}
}

// selectorFlag adds -l to a command.
func selectorFlag(cmd *cobra.Command, selector *string) {
	cmd.Flags().StringVarP(selector, "selector", "l", "", "label selector of the journals, such as 'name=acme/rides' or 'prefix=acme/, env in (test, live)'")
}

// list returns the journals that a selector matches.
func (s *session) list(ctx context.Context, selector string) ([]*protocol.ListResponse_Journal, error) {
	parsed, err := parseSelector(selector)
	if err != nil {
		return nil, err
	}
	return s.brokers.List(ctx, parsed)
}

func parseSelector(selector string) (*protocol.LabelSelector, error) {
	parsed, err := protocol.ParseLabelSelector(selector)
	if err == nil {
		err = (&protocol.ListRequest{Selector: parsed}).Validate()
	}
	if err != nil {
		return nil, speech.WithHint(fmt.Errorf("--selector %q: %w", selector, err), "write it as 'name=acme/rides' or 'prefix=acme/, label=value'")
	}
	return parsed, nil
}

// choose is list of a selector that must be given, and match something.
func (s *session) choose(ctx context.Context, selector string) ([]*protocol.ListResponse_Journal, error) {
	if strings.TrimSpace(selector) == "" {
		return nil, speech.WithHint(errors.New("--selector is missing"), "say which journals are meant with -l, such as 'name=acme/rides' or 'prefix=acme/'")
	}
	out, err := s.list(ctx, selector)
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("--selector %q: no journal matches it", selector)
	}
	return out, err
}

// batchFlag adds --max-txn-size to a command that applies.
func batchFlag(cmd *cobra.Command, size *int) {
	cmd.Flags().IntVar(size, "max-txn-size", 0, "most changes of one transaction; 0 makes all in one. etcd has a limit, 128 unless set otherwise")
}

// apply changes, and say what was done.
func (s *session) apply(ctx context.Context, changes []*protocol.ApplyRequest_Change, size int) error {
	if size < 0 {
		return fmt.Errorf("--max-txn-size: %d isn't a number of changes", size)
	}
	r, err := s.brokers.ApplyInBatches(ctx, changes, size)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "applied %s at revision %d\n", plural(len(changes), "change"), r.GetHeader().GetEtcd().GetRevision())
	return err
}

func plural(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
