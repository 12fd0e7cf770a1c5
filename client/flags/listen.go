package flags

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// Listeners of a process.
type Listeners struct {
	// Shared is that of clients and other processes, Debug that of diagnostics; nil is none.
	Shared, Debug net.Listener
}

// Listen on the port of the process, and on that of diagnostics if it has one. Where others could reach it and nobody would be
// asked who they are, it doesn't, unless that was said to be wanted.
func (f *Process) Listen(s auth.Security) (*Listeners, error) {
	network, address := "tcp", net.JoinHostPort(f.Bind, f.Port)
	if path, ok := f.socketPath(); ok {
		network, address = "unix", path
		RemoveStale(path)
	}
	if err := s.CheckAddress(network, address); err != nil {
		return nil, speech.WithHint(fmt.Errorf("--%s.bind: %w", f.kind, err), fmt.Sprintf(
			"give --%[1]s.auth-keys or --%[1]s.server-ca-file, or listen on 127.0.0.1, or say that you want it with --%[1]s.insecure", f.kind))
	}
	debug, err := f.debugAddress(s)
	if err != nil {
		return nil, err
	}
	out := new(Listeners)
	if out.Shared, err = net.Listen(network, address); err != nil {
		return nil, speech.WithHint(fmt.Errorf("--%s.port: %w", f.kind, err), fmt.Sprintf("choose another with --%s.port, or 0 for any that is free", f.kind))
	}
	if debug == "" {
		return out, nil
	}
	if out.Debug, err = net.Listen("tcp", debug); err != nil {
		return nil, errors.Join(speech.WithHint(fmt.Errorf("--debug.port: %w", err), "choose another with --debug.port"), out.Shared.Close())
	}
	return out, nil
}

// debugAddress is where diagnostics get a port of their own, which asks nobody who they are: "" is nowhere.
func (f *Process) debugAddress(s auth.Security) (string, error) {
	address := f.DebugPort
	if address == "" {
		return "", nil
	}
	if !strings.Contains(address, ":") {
		address = net.JoinHostPort("127.0.0.1", address)
	}
	if err := s.CheckDebugAddress("tcp", address); err != nil {
		return "", speech.WithHint(fmt.Errorf("--debug.port: %w", err), fmt.Sprintf(
			"give the port alone, which is of 127.0.0.1, or say that you want it with --%s.insecure", f.kind))
	}
	return address, nil
}

// Close what is open. As a rule those who serve have done so.
func (l *Listeners) Close() {
	for _, ln := range []net.Listener{l.Shared, l.Debug} {
		if ln != nil {
			_ = ln.Close()
		}
	}
}

// RemoveStale removes a socket on which nobody listens, as a process that was killed leaves it.
func RemoveStale(path string) {
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close() // It is in use, as is about to be found.
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path) // If that fails so does to listen there.
	}
}
