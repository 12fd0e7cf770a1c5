package spool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// Durable waits until this replica keeps the promise of the mode for the commit and all
// before it: in Synced, that they are fsynced; in Replicated that is so at once. Those
// who wait at the same time share one fsync: the first makes everything durable that
// is written by then, and the others wait for it, and for the next round if they came
// too late.
//
// Whoever syncs does so to the end. The others leave when ctx ends, with its cause;
// the commit stays, and may be durable. If it was cut meanwhile the error is ErrCut.
func (c *Commit) Durable(ctx context.Context) error {
	return c.await(ctx, func(j *Journal) int64 { return j.durable })
}

// Synced waits as Durable does, until the commit and all before it are fsynced, whatever the mode promises.
func (c *Commit) Synced(ctx context.Context) error {
	return c.await(ctx, func(j *Journal) int64 { return j.synced })
}

// await until reached, which is asked with the journal locked, tells of an offset that isn't below the commit's end.
func (c *Commit) await(ctx context.Context, reached func(*Journal) int64) error {
	j := c.journal
	for {
		j.mu.Lock()
		switch {
		case c.file.voided && c.End > c.file.end:
			j.mu.Unlock()
			return ErrCut
		case reached(j) >= c.End:
			j.mu.Unlock()
			return nil
		case j.usableLocked() != nil:
			err := j.usableLocked()
			j.mu.Unlock()
			return err
		}
		if ctx.Err() != nil {
			j.mu.Unlock()
			return context.Cause(ctx)
		}
		if j.syncing == nil {
			j.syncing = make(chan struct{})
			j.mu.Unlock()
			err := j.failIf(j.syncOpen())
			j.releaseSync()
			if err != nil {
				return err
			}
			continue
		}
		round := j.syncing
		j.mu.Unlock()
		select {
		case <-round:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Acknowledge raises the watermark: all replicas have what is below end, so it may be
// read, and persisted. An end below the watermark changes nothing; one that isn't
// durable here is an error.
func (j *Journal) Acknowledge(end int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case end <= j.watermark:
		return nil
	case j.closed:
		return ErrClosed
	case end > j.durable:
		return fmt.Errorf("acknowledge up to offset %d: only what is below %d is durable", end, j.durable)
	}
	j.watermark = end
	j.open.content.limit.Store(end)
	j.notify()
	return nil
}

// takeSync makes the caller the only syncer, after the one that is at work, and
// returns what ends that.
func (j *Journal) takeSync() func() {
	for {
		j.mu.Lock()
		round := j.syncing
		if round == nil {
			j.syncing = make(chan struct{})
			j.mu.Unlock()
			return j.releaseSync
		}
		j.mu.Unlock()
		<-round
	}
}

func (j *Journal) releaseSync() {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.syncing)
	j.syncing = nil
}

// wakeWaiters lets those go on whose round it was, though the syncer stays at work.
func (j *Journal) wakeWaiters() {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.syncing)
	j.syncing = make(chan struct{})
}

// syncOpen makes all that is committed durable. The caller is the syncer. An error is a *FailedError.
func (j *Journal) syncOpen() error {
	j.mu.Lock()
	if j.failed != nil {
		defer j.mu.Unlock()
		return j.failed
	}
	target, open := j.end, j.open
	j.mu.Unlock()
	begun := time.Now()
	if err := open.sync(); err != nil {
		return err
	}
	j.dir.metrics.syncSeconds.Observe(time.Since(begun).Seconds())
	if err := j.mark(open, target); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.durable, j.synced = max(j.durable, target), max(j.synced, target)
	return nil
}

// sync makes data and log durable, in parallel.
func (f *file) sync() error {
	var both errgroup.Group
	both.Go(func() error { return syncData(f.content.file, f.content.name) })
	err := f.log.sync()
	return errors.Join(err, both.Wait())
}

// mark writes down that everything below target is durable, unless the next commit
// is there already, whose successor will tell. Otherwise the last commit of an idle
// journal would stay without proof that it was promised, and damage to it would
// look like a torn write. The mark itself becomes durable whenever the operating
// system gets to it.
func (j *Journal) mark(open *file, target int64) error {
	r := j.newRecord(recordMark)
	if r.end != target || r.promised == target && j.dir.mode == Synced {
		return nil
	}
	r.promised, r.durable = target, true
	if failure := new(FailedError); errors.As(open.log.append(&r), &failure) {
		return failure
	}
	return nil // Without a mark the next record tells.
}
