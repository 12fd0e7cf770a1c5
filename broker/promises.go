package broker

import (
	"sync"

	"broadsheet.dev/broadsheet/fragments/spool"
)

// promises are the epochs below which this process has promised to refuse all of a journal, whether it holds that now
// or not: they outlive an assignment. Else a broker that closed an epoch, and was given the journal again, could go on
// with that epoch while the write that closes it is still on its way.
//
// There are those of journals with a spool here that has yet to log the epoch.
type promises struct {
	mu sync.Mutex
	of map[spool.ID]int64
}

// raise the promise for a journal.
func (p *promises) raise(id spool.ID, epoch int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.of = make(map[spool.ID]int64)
	}
	p.of[id] = max(p.of[id], epoch)
}

// get the promise for a journal; 0 if there is none.
func (p *promises) get(id spool.ID) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of[id]
}

// logged tells that the spool has logged an epoch, which stands for all promises up to it.
func (p *promises) logged(id spool.ID, epoch int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of[id] <= epoch {
		delete(p.of, id)
	}
}

// forget a journal whose spool is gone.
func (p *promises) forget(id spool.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.of, id)
}
