package run

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

// listeners of a process.
type listeners struct {
	main  net.Listener
	debug net.Listener // nil is none
}

// listen on the port of the process, and on that of diagnostics.
func (f *flags) listen(keys *auth.Keyring) (*listeners, error) {
	network, address := "tcp", net.JoinHostPort(f.bind, f.port)
	if path, ok := f.socketPath(); ok {
		network, address = "unix", path
		removeStale(path)
	} else if asks := keys != nil && !keys.AllowsMissing() || f.server.CA != ""; !asks {
		if err := f.mayListen(address); err != nil {
			return nil, speech.WithHint(fmt.Errorf("--consumer.bind: %w", err),
				"give --consumer.auth-keys or --consumer.server-ca-file, or listen on 127.0.0.1, or say that you want it with --consumer.insecure")
		}
	}
	debug := f.debugPort
	if debug != "" {
		if !strings.Contains(debug, ":") {
			debug = net.JoinHostPort("127.0.0.1", debug)
		}
		if err := f.mayListen(debug); err != nil {
			return nil, speech.WithHint(fmt.Errorf("--debug.port: %w", err),
				"give the port alone, which is of 127.0.0.1, or say that you want it with --consumer.insecure")
		}
	}
	out := new(listeners)
	var err error
	if out.main, err = net.Listen(network, address); err != nil {
		return nil, speech.WithHint(fmt.Errorf("--consumer.port: %w", err), "choose another with --consumer.port, or 0 for any that is free")
	}
	if debug == "" {
		return out, nil
	}
	if out.debug, err = net.Listen("tcp", debug); err != nil {
		return nil, errors.Join(speech.WithHint(fmt.Errorf("--debug.port: %w", err), "choose another with --debug.port"), out.main.Close())
	}
	return out, nil
}

// mayListen refuses an address that others can reach, where nobody is asked who they are.
func (f *flags) mayListen(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); f.insecure || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("%s isn't a loopback address, and clients aren't authenticated", address)
}

// close what is open. As a rule those who serve have done so.
func (l *listeners) close() {
	for _, ln := range []net.Listener{l.main, l.debug} {
		if ln != nil {
			_ = ln.Close()
		}
	}
}

// removeStale removes a socket on which nobody listens, as a process that was killed leaves it.
func removeStale(path string) {
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close() // It is in use, as is about to be found.
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path) // If that fails so does to listen there.
	}
}
