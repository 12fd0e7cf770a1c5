package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// diskProbe is how often a disk that was full is tried, and probeSize how many bytes it has to take
	// to be taken for one that has room again.
	diskProbe, probeSize = time.Second, 1 << 20
	// diskReminder is how often it is said that the disk is full still.
	diskReminder = time.Minute
)

// isFull tells whether an error is that a disk has no room.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// diskError is an error of our own disk, which a client understands.
type diskError struct{ err error }

// Error is that of the disk.
func (e *diskError) Error() string { return e.err.Error() }

// Unwrap is the error of the disk.
func (e *diskError) Unwrap() error { return e.err }

// GRPCStatus as of status.FromError.
func (e *diskError) GRPCStatus() *status.Status {
	if isFull(e.err) || isScarce(e.err) {
		return status.New(codes.ResourceExhausted, e.Error())
	}
	return status.New(codes.Internal, e.Error())
}

// notAppliedError is of an append that failed and left nothing behind.
type notAppliedError struct {
	err  error
	said bool // by err itself: it is of the broker that the append was forwarded to
}

// Error says so.
func (e *notAppliedError) Error() string {
	if e.said {
		return e.err.Error()
	}
	return e.err.Error() + "; nothing was appended"
}

// Unwrap is why it failed.
func (e *notAppliedError) Unwrap() error { return e.err }

// GRPCStatus as of status.FromError.
func (e *notAppliedError) GRPCStatus() *status.Status {
	if e.said {
		return status.Convert(e.err)
	}
	return status.New(status.Code(e.err), e.Error())
}

// beforeWrite is the error of an append of which nothing was written yet. Of a full disk, and of files that can't be
// opened, clients are told so.
func beforeWrite(err error) error {
	if isFull(err) || isScarce(err) {
		return &notAppliedError{err: err}
	}
	return err
}

// disk is what is known of the room on the broker's disk. Once it was full it is tried until it takes something
// again; until then the broker isn't ready, as it can't do what it is there for.
type disk struct {
	fs    vfs.FS
	probe string // file that is written to find out
	log   *slog.Logger
	found chan struct{} // cap 1: it was found to be full
	files *descriptors  // that it is opened by

	full   prometheus.Gauge   // 1 while it is
	errors prometheus.Counter // operations that it had no room for

	mu     sync.Mutex
	reason error // why it is taken to be full; nil if it isn't
}

func newDisk(fs vfs.FS, dir string, files *descriptors, log *slog.Logger) *disk {
	return &disk{
		fs: fs, probe: filepath.Join(dir, "probe"), log: log, found: make(chan struct{}, 1), files: files,
		full: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "broadsheet_broker_disk_full", Help: "1 while the disk has no room for appends, 0 otherwise.",
		}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "broadsheet_broker_disk_full_errors_total", Help: "Operations on spools that failed for want of room on the disk.",
		}),
	}
}

// failed makes an error of our own disk one that a client understands, and notes if that is full, or too many files
// are open.
func (d *disk) failed(err error) error {
	if err == nil {
		return nil
	}
	if isFull(err) {
		d.note(err)
	}
	d.files.note(err)
	return &diskError{err}
}

func (d *disk) note(err error) {
	d.errors.Inc()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reason == nil {
		d.full.Set(1)
		d.log.LogAttrs(context.Background(), slog.LevelError,
			"the disk is full: appends fail, and the broker isn't ready, until there is room", slog.Any("error", err))
	}
	d.reason = err
	notify(d.found)
}

// isFull tells why the disk is taken to be full; nil if it isn't.
func (d *disk) isFull() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reason
}

// run tries the disk whenever it was full, until it isn't.
func (d *disk) run(ctx context.Context) error {
	for {
		select {
		case <-d.found:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := d.awaitRoom(ctx); err != nil {
			return err
		}
	}
}

func (d *disk) awaitRoom(ctx context.Context) error {
	began, reminded := time.Now(), time.Now()
	for {
		if err := wait(ctx, diskProbe); err != nil {
			return err
		}
		select {
		case <-d.found: // It is tried now.
		default:
		}
		err := d.try()
		if err == nil && d.clear() {
			d.log.LogAttrs(ctx, slog.LevelInfo, "the disk has room again", slog.Duration("took", time.Since(began)))
			return nil
		}
		if err != nil && time.Since(reminded) >= diskReminder {
			reminded = time.Now()
			d.log.LogAttrs(ctx, slog.LevelError, "the disk is full still", slog.Any("error", err))
		}
	}
}

// clear forgets that the disk was full, unless it was found to be since it was tried last. It tells which.
func (d *disk) clear() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.found) > 0 {
		return false
	}
	d.reason = nil
	d.full.Set(0)
	return true
}

// try to write a file, and remove it.
func (d *disk) try() error {
	f, err := d.fs.Create(d.probe, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("try the disk: %w", err)
	}
	_, err = f.Write(make([]byte, probeSize))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close(), d.fs.Remove(d.probe)); err != nil {
		return fmt.Errorf("try the disk: %w", err)
	}
	return nil
}
