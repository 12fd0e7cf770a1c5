package flags

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/internal/certs"
	"broadsheet.dev/broadsheet/internal/roles"
	"broadsheet.dev/broadsheet/internal/settings"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// Process are the flags of a process that is one of a fleet, a broker or a consumer: who it is, where it listens and what others
// call it, who may use it, how it keeps up with etcd and how it leaves. They begin with the kind of the process.
type Process struct {
	Zone, ID                   string
	Host, Port, Bind, Endpoint string
	Server, Peer               certs.Files
	AuthKeys                   string
	Insecure                   bool
	AllowOrigins               []string
	WatchDelay, Drain, Grace   time.Duration
	DebugPort                  string
	DebugPrivate               bool

	Etcd roles.Etcd
	Log  roles.Log

	kind string
}

// Add the flags of a kind of processes.
func (f *Process) Add(p *pflag.FlagSet, m roles.Member) {
	f.kind = m.Kind
	of := func(flag string) string { return m.Kind + "." + flag }
	this, others := "this "+m.Kind, "other "+m.Kind+"s"
	p.StringVar(&f.Zone, of("zone"), "local", "availability zone of "+this)
	p.StringVar(&f.ID, of("id"), "", "what names "+this+" in its zone; by default it is made up at each start")
	p.StringVar(&f.Host, of("host"), "", fmt.Sprintf("host name or address that others reach %s by; by default that of the machine", this))
	p.StringVar(&f.Port, of("port"), "0", "port to listen on, 0 for any that is free; or unix:///path")
	p.StringVar(&f.Bind, of("bind"), "", "address of this machine to listen on; by default all")
	p.StringVar(&f.Endpoint, of("endpoint"), "", fmt.Sprintf("URL that others reach %s by; by default that of its host and port", this))
	p.StringVar(&f.Server.Cert, of("server-cert-file"), "", "file of the certificate that is shown to clients and "+others)
	p.StringVar(&f.Server.Key, of("server-cert-key-file"), "", "file of that certificate's key")
	p.StringVar(&f.Server.CA, of("server-ca-file"), "", "file of the authorities that clients' certificates have to be of")
	p.StringVar(&f.Peer.Cert, of("peer-cert-file"), "", fmt.Sprintf("file of the certificate that %s are shown by this one as a client", others))
	p.StringVar(&f.Peer.Key, of("peer-cert-key-file"), "", "file of that certificate's key")
	p.StringVar(&f.Peer.CA, of("peer-ca-file"), "", fmt.Sprintf("file of the authorities that %s' certificates have to be of", others))
	p.StringVar(&f.AuthKeys, of("auth-keys"), "", "keys that tokens are signed and verified with; none asks for no token")
	settings.MarkSecret(p, of("auth-keys"))
	p.BoolVar(&f.Insecure, of("insecure"), false, fmt.Sprintf("let other machines reach a %s, or its --debug.port, that asks nobody who they are", m.Kind))
	p.StringSliceVar(&f.AllowOrigins, of("allow-origin"), nil, "origins whose pages may use the JSON gateway; * is all")
	p.DurationVar(&f.WatchDelay, of("watch-delay"), 30*time.Millisecond, "how long a change in etcd may wait for others")
	p.DurationVar(&f.Drain, of("drain"), 5*time.Minute, fmt.Sprintf("how long a %s that is stopped may serve on to hand its %s over; 0 is not at all", m.Kind, m.Has))
	p.DurationVar(&f.Grace, of("grace"), 15*time.Second, "how long requests may go on after that")
	p.StringVar(&f.DebugPort, "debug.port", "", "a port of its own for diagnostics, which asks nobody who they are, on 127.0.0.1; or host:port, for which others have to be let in by --"+of("insecure"))
	p.BoolVar(&f.DebugPrivate, "debug.private", false, "serve diagnostics at that port only")
	f.Etcd.AddMember(p, m)
	f.Log.Add(p)
}

// Validate all that can be told before anything is touched.
func (f *Process) Validate() error {
	for name, d := range map[string]time.Duration{"watch-delay": f.WatchDelay, "drain": f.Drain, "grace": f.Grace} {
		if d < 0 {
			return fmt.Errorf("--%s.%s: %s is negative", f.kind, name, d)
		}
	}
	if f.DebugPrivate && f.DebugPort == "" {
		return speech.WithHint(errors.New("--debug.private: there is no port for diagnostics"), "give one with --debug.port")
	}
	return f.Etcd.ValidateMember()
}

// Security of the process.
func (f *Process) Security() (auth.Security, error) {
	s := auth.Security{Server: f.Server, Peer: f.Peer, Insecure: f.Insecure}
	if f.AuthKeys != "" {
		keys, err := auth.ParseKeys(f.AuthKeys)
		if err != nil {
			return s, fmt.Errorf("--%s.auth-keys: %w", f.kind, err)
		}
		s.Keys = keys
	}
	if err := s.Validate(); err != nil {
		return s, fmt.Errorf("%s: %w", f.kind, err)
	}
	return s, nil
}

// Identity of the process with an id in its zone; "" makes one up.
func (f *Process) Identity(id string) (*protocol.ProcessSpec_ID, error) {
	if id == "" {
		var b [4]byte
		_, _ = rand.Read(b[:]) // which doesn't fail
		id = f.kind + "-" + hex.EncodeToString(b[:])
	}
	out := &protocol.ProcessSpec_ID{Zone: f.Zone, Suffix: id}
	if err := out.Validate(); err != nil {
		flag := "id"
		if invalid, ok := errors.AsType[*protocol.ValidationError](err); ok && invalid.Path == "Zone" {
			flag = "zone"
		}
		return nil, speech.WithHint(fmt.Errorf("%s %s in zone %s: %w", f.kind, id, f.Zone, err), fmt.Sprintf("choose another --%s.%s", f.kind, flag))
	}
	return out, nil
}

// EndpointAt is the URL that others reach the process by, once it listens.
func (f *Process) EndpointAt(ln net.Listener, s auth.Security) (string, error) {
	if f.Endpoint != "" {
		return f.Endpoint, nil
	}
	if path, ok := f.socketPath(); ok {
		return "unix://localhost" + path, nil // URLs of processes have a host.
	}
	host := f.Host
	if host == "" {
		var err error
		if host, err = os.Hostname(); err != nil {
			return "", speech.WithHint(err, fmt.Sprintf("say what others reach this %s by with --%s.host", f.kind, f.kind))
		}
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return "", fmt.Errorf("--%s.port: %w", f.kind, err)
	}
	return (&url.URL{Scheme: s.Scheme(), Host: net.JoinHostPort(strings.Trim(host, "[]"), port)}).String(), nil
}

// socketPath is the path of a port that is a unix socket.
func (f *Process) socketPath() (string, bool) { return strings.CutPrefix(f.Port, "unix://") }
