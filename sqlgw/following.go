package sqlgw

import (
	"context"
	"maps"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/fragments/columnar"
)

// Kinds of subscriptions, by the statement that asks for their rows.
const (
	followsBySubscribe = "SUBSCRIBE"
	followsByCursor    = "cursor"
	followsByCopy      = "COPY"
)

// stallsAfter is how long a write to a client takes at least that is told as a stall.
const stallsAfter = time.Second

// following is what others may know of a subscription that is open.
type following struct {
	table catalog.Table
	began time.Time

	mu       sync.Mutex
	kind     string
	journals map[string]followed
	// waiting is since when the client has to take rows: they are being written, or it has to fetch; zero if it hasn't.
	waiting time.Time
	writing bool
}

// followed is how far a journal was sent.
type followed struct{ reached, rows int64 }

func newFollowing(t catalog.Table, from []position) *following {
	f := &following{table: t, began: time.Now(), kind: followsBySubscribe, journals: make(map[string]followed, len(from))}
	for _, p := range from {
		f.journals[p.journal] = followed{reached: p.begin}
	}
	return f
}

// askedBy notes the kind of the statement that asks.
func (f *following) askedBy(kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kind = kind
}

// write does what sends something to the client.
func (f *following) write(send func() error) error {
	f.mu.Lock()
	f.waiting, f.writing = time.Now(), true
	f.mu.Unlock()
	err := send()
	f.mu.Lock()
	f.waiting, f.writing = time.Time{}, false
	f.mu.Unlock()
	return err
}

// sent notes that rows of a batch were sent.
func (f *following) sent(b *columnar.Batch, from, to int) {
	if to <= from || len(b.Ends) < to {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.journals[b.Journal] = followed{reached: b.Ends[to-1], rows: f.journals[b.Journal].rows + int64(to-from)}
}

// comesTo notes that the rows of a view up to a cut are being sent, so many more; they are told of each of its journals.
func (f *following) comesTo(at map[string]int64, rows int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for j, offset := range at {
		f.journals[j] = followed{reached: offset, rows: f.journals[j].rows + rows}
	}
}

// asks notes whether the client waits for rows, or they for it: between what it asks for by a cursor or by parts.
func (f *following) asks(now bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting = time.Now(); now {
		f.waiting = time.Time{}
	}
}

// followedNow is a copy of what is known.
type followedNow struct {
	kind     string
	journals map[string]followed
	stalled  time.Time // if there are rows to take
}

func (f *following) now() followedNow {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := followedNow{kind: f.kind, journals: maps.Clone(f.journals), stalled: f.waiting}
	if f.writing && time.Since(f.waiting) < stallsAfter {
		out.stalled = time.Time{}
	}
	return out
}

// follows notes a subscription of the session's, and leaves that it is over.
func (a *activity) follows(f *following) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.following == nil {
		a.following = map[*following]bool{}
	}
	a.following[f] = true
}

func (a *activity) leaves(f *following) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.following, f)
}

// subscriptionColumns are those of bs_catalog.subscriptions.
func subscriptionColumns() []columnar.Column {
	at := func(name string) columnar.Column {
		return columnar.Column{Name: name, Type: columnar.Type{Kind: columnar.TimestampTZ}}
	}
	return []columnar.Column{
		bigint("pid"), text("usename"), text("application_name"), at("since"), text("kind"), text("table_schema"), text("table_name"), text("journal"),
		bigint("offset"), bigint("head"), bigint("lag"), bigint("rows_sent"), at("stalled_since"),
	}
}

// subscriptionRows tell how far each open subscription has come, in each journal. Of the sessions of others only that they have one.
func subscriptionRows(ctx context.Context, s viewState, add func(*columnar.Batch) error) error {
	b := newViewRows(subscriptionColumns())
	heads := map[string]int64{}
	for _, a := range s.session.gateway.roster.all() {
		a.mu.Lock()
		user, application, open := a.user, a.application, make([]*following, 0, len(a.following))
		for f := range a.following {
			open = append(open, f)
		}
		a.mu.Unlock()
		for _, f := range open {
			now := f.now()
			if !s.mayActOn(a) {
				b.subscription(a.pid, user, application, f.began, now.kind)
				b.nulls(5)
				continue
			}
			for journal, x := range now.journals {
				if !s.asked.has(journal) {
					continue
				}
				head, known := heads[journal]
				if !known {
					var err error
					if head, err = s.session.gateway.head(ctx, journal); err != nil {
						return err
					}
					heads[journal] = head
				}
				b.subscription(a.pid, user, application, f.began, now.kind)
				b.followed(f.table, journal, x, head, now.stalled)
			}
		}
	}
	return add(b.batch())
}

func (r *viewRows) subscription(pid uint32, user, application string, since time.Time, kind string) {
	r.cols[0].AppendInt64(int64(pid))
	r.text(1, user)
	r.text(2, application)
	r.cols[3].AppendInt64(since.UnixMicro())
	r.text(4, kind)
}

// nulls fills the columns from one on.
func (r *viewRows) nulls(from int) {
	for _, c := range r.cols[from:] {
		c.AppendNull()
	}
}

func (r *viewRows) followed(t catalog.Table, journal string, x followed, head int64, stalled time.Time) {
	lag := max(0, head-x.reached)
	r.text(5, t.Schema)
	r.text(6, t.Name)
	r.text(7, journal)
	for i, n := range []int64{x.reached, head, lag, x.rows} {
		r.cols[8+i].AppendInt64(n)
	}
	if stalled.IsZero() || lag == 0 {
		r.nulls(12)
	} else {
		r.cols[12].AppendInt64(stalled.UnixMicro())
	}
}
