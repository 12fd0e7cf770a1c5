package async

import "fmt"

// Write is content on its way into an append, as a whole. It isn't safe for concurrent
// use.
type Write struct {
	run    *Run
	queue  *queue
	append *pending
	from   int64
	err    error // of a Write, or ErrEnded
}

// Write adds content. If it fails, which ErrFull may be the reason of, the write can only
// be discarded.
func (w *Write) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if err := w.add(p); err != nil {
		w.err = fmt.Errorf("append to %s: %w", w.queue.journal, err)
		return 0, w.err
	}
	return len(p), nil
}

func (w *Write) add(p []byte) error {
	if err := w.run.service.budget.take(int64(len(p))); err != nil {
		return err
	}
	w.append.charged += int64(len(p))
	return w.append.body.write(p)
}

// Release hands the content over to be appended. If a Write failed, or an earlier append
// has by now, it returns that and discards.
func (w *Write) Release() (*Future, error) {
	if w.err != nil {
		w.Discard()
		return nil, w.err
	}
	f := &Future{outcome: w.append.outcome, from: w.from, to: w.append.body.size()}
	if !w.end(true) {
		return nil, f.Err() // it has its outcome
	}
	w.run.service.metrics.writes.Inc()
	return f, nil
}

// Discard the content: nothing of it is appended. After Release it does nothing, so that
// it may be deferred.
func (w *Write) Discard() {
	if w.queue == nil {
		return
	}
	size := w.append.body.size()
	w.append.body.truncate(w.from)
	w.append.charged -= size - w.from
	w.run.service.budget.give(size - w.from)
	w.end(false)
}

// end the write, and tell whether the append is still to be made.
func (w *Write) end(release bool) bool {
	r, a := w.run, w.append
	r.mu.Lock()
	close(a.open)
	a.open = nil
	if release {
		a.writes++
	}
	alive := !a.decided
	if !alive {
		r.free(a)
	}
	r.mu.Unlock()
	<-w.queue.writing
	r.leave(w.queue)
	w.queue, w.append = nil, nil
	if w.err == nil {
		w.err = ErrEnded
	}
	return alive
}
