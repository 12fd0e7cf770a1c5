package sqlgw

import (
	"maps"
	"slices"
	"sync"

	"broadsheet.dev/broadsheet/pgwire"
)

// postOffice takes notifications from session to session. It knows who listens to what, and keeps for
// each listener what it wasn't told yet.
type postOffice struct {
	mu    sync.Mutex
	boxes map[string]map[*letterBox]bool // by channel
}

func newPostOffice() *postOffice { return &postOffice{boxes: map[string]map[*letterBox]bool{}} }

const (
	// maxWaiting bounds the bytes that wait for one listener, and letterCost is what a notification
	// costs beside its texts.
	maxWaiting = 8 << 20
	letterCost = 64
)

// letterBox is what waits for one session. Its channels are the session's own.
type letterBox struct {
	wake     func()
	end      func() // the session, which can't be told all that it listens for
	channels map[string]bool
	tables   map[string]*tableEar // by their channels; the session's own

	// Guarded by the post office.
	waiting []pgwire.Notification
	bytes   int
	full    bool              // it is being ended
	moved   map[string]string // the last that was told of each table, by its channel
}

func newLetterBox(wake, end func()) *letterBox {
	return &letterBox{wake: wake, end: end, channels: map[string]bool{}, tables: map[string]*tableEar{}, moved: map[string]string{}}
}

// listen to a channel.
func (o *postOffice) listen(b *letterBox, channel string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b.channels[channel] = true
	if o.boxes[channel] == nil {
		o.boxes[channel] = map[*letterBox]bool{}
	}
	o.boxes[channel][b] = true
}

// unlisten ends that; for all channels with the name "".
func (o *postOffice) unlisten(b *letterBox, channel string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range b.channels {
		if channel != "" && c != channel {
			continue
		}
		delete(b.channels, c)
		delete(b.moved, c)
		if delete(o.boxes[c], b); len(o.boxes[c]) == 0 {
			delete(o.boxes, c)
		}
	}
}

// send notifications to all who listen, in order and without any other between them. A listener whose box
// is full, because it has taken none for so long, is ended: it may not believe that it heard all.
func (o *postOffice) send(list []pgwire.Notification) {
	o.mu.Lock()
	defer o.mu.Unlock()
	woken := map[*letterBox]bool{}
	for _, n := range list {
		for b := range o.boxes[n.Channel] {
			cost := utterance{n.Channel, n.Payload}.cost()
			if b.full || b.bytes+cost > maxWaiting {
				if !b.full {
					b.full, b.waiting = true, nil
					b.end()
				}
				continue
			}
			b.bytes += cost
			b.waiting = append(b.waiting, n)
			woken[b] = true
		}
	}
	for b := range woken {
		b.wake()
	}
}

// tellOfTable puts into a box where a table is. What it had of that and wasn't taken is forgotten: a session is told of the last.
func (o *postOffice) tellOfTable(b *letterBox, channel, cut string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if b.full || !b.channels[channel] {
		return
	}
	b.moved[channel] = cut
	b.wake()
}

// take what waits.
func (o *postOffice) take(b *letterBox) []pgwire.Notification {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := b.waiting
	b.waiting, b.bytes = nil, 0
	for _, channel := range slices.Sorted(maps.Keys(b.moved)) {
		list = append(list, pgwire.Notification{Channel: channel, Payload: b.moved[channel]})
	}
	clear(b.moved)
	return list
}

// usage is how full the fullest box is, from 0 to 1.
func (o *postOffice) usage() float64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	most := 0
	for _, boxes := range o.boxes {
		for b := range boxes {
			most = max(most, b.bytes)
		}
	}
	return float64(most) / maxWaiting
}
