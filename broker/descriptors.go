package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// journalFiles is how many files a journal keeps open: data and log of its open fragment, and one more for a
	// fragment that was completed and isn't stored yet.
	journalFiles = 3
	// minReserve is the least that is left to all else than journals: listeners, etcd, other brokers, a few clients.
	minReserve = 64
	// scarceFor is for how long the broker isn't ready after a file or connection couldn't be opened.
	scarceFor = 10 * time.Second
)

// journalsWithin is how many journals a broker may take whose process may have so many files open. A quarter is kept
// for all else, which isn't known beforehand: connections, appends that are gathered on disk, fragments that are
// read and uploaded, and in serve the files of etcd. Without it the journals of a broker would leave nobody a
// connection to reach them by, and no file to begin their next fragment in.
func journalsWithin(files int) int {
	return max(0, (files-max(files/4, minReserve))/journalFiles)
}

// limitJournals lowers the limit of journals to what the process has files for, if that is known.
func (c *Config) limitJournals(log *slog.Logger) error {
	if c.OpenFiles == 0 {
		return nil
	}
	most := journalsWithin(c.OpenFiles)
	if most == 0 {
		return fmt.Errorf("broker: OpenFiles: %d are too few to hold a journal: %d are kept for connections and all else, and a journal takes %d; raise the limit, as by 'ulimit -n'",
			c.OpenFiles, minReserve, journalFiles)
	}
	if c.JournalLimit > most {
		log.LogAttrs(context.Background(), slog.LevelWarn,
			"the process may have too few files open for its limit of journals, which is lowered: raise the former, as by 'ulimit -n'",
			slog.Int("limit", c.JournalLimit), slog.Int("open_files", c.OpenFiles), slog.Int("lowered_to", most))
		c.JournalLimit = most
	}
	return nil
}

// isScarce tells whether an error is that the process, or the machine, has as many files open as it may.
func isScarce(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// descriptors is what is known of the files that the process may open yet. While there were none lately the broker
// isn't ready: it can't be connected to, nor open spools.
type descriptors struct {
	log    *slog.Logger
	now    func() time.Time
	open   func() error       // opens a file, and closes it
	errors prometheus.Counter // what couldn't be opened

	mu     sync.Mutex
	last   time.Time // zero is never
	reason error
}

func newDescriptors(log *slog.Logger) *descriptors {
	return &descriptors{
		log: log, now: time.Now, open: openNothing,
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "broadsheet_broker_descriptor_errors_total", Help: "Files and connections that couldn't be opened as the process had as many as it may.",
		}),
	}
}

func openNothing() error {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	return f.Close()
}

// note an error if it is that there are no descriptors.
func (d *descriptors) note(err error) {
	if !isScarce(err) {
		return
	}
	d.errors.Inc()
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if d.last.IsZero() || now.Sub(d.last) >= scarceFor {
		d.log.LogAttrs(context.Background(), slog.LevelError,
			"too many files are open: connections and spools fail, and the broker isn't ready", slog.Any("error", err))
	}
	d.last, d.reason = now, err
}

// scarce tells why there were no descriptors lately, or are none now; nil if there are.
func (d *descriptors) scarce() error {
	d.note(d.open())
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last.IsZero() || d.now().Sub(d.last) >= scarceFor {
		return nil
	}
	return d.reason
}

// watch returns a listener of whose failures to accept note is taken.
func (d *descriptors) watch(ln net.Listener) net.Listener { return &watchedListener{ln, d} }

type watchedListener struct {
	net.Listener

	descriptors *descriptors
}

// Accept as of net.Listener.
func (l *watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	l.descriptors.note(err)
	return conn, err
}
