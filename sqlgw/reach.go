package sqlgw

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/protocol"
)

// listing is what brokers list of a journal, and where it begins: what is listed below isn't read.
type listing struct {
	begin     int64
	fragments []*protocol.Fragment
}

// from is the listing with a later begin.
func (l listing) from(begin int64) listing {
	return listing{begin: begin, fragments: slices.DeleteFunc(slices.Clone(l.fragments), func(f *protocol.Fragment) bool { return f.GetEnd() <= begin })}
}

// reach is how far back a statement reads: each of its journals from one place on, whatever retention removes while it
// runs, wherever it names a table, and in all statements of a transaction with one cut. Brokers remove what
// is older than a journal's retention after a grace. It isn't read any more by who begins now, so that who
// began before still finds it.
type reach struct {
	all   lister // of what brokers have
	young lister // without what is older than the journal's retention
	fixed *fixedBegins

	mu     sync.Mutex
	listed map[string]listing
}

// lister lists the fragments of a journal up to a head at least.
type lister func(ctx context.Context, journal string, head int64) (listing, error)

// fixedBegins are where journals begin for a transaction.
type fixedBegins struct {
	mu sync.Mutex
	of map[string]int64
}

func (b *fixedBegins) get(journal string) (int64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	begin, ok := b.of[journal]
	return begin, ok
}

func (b *fixedBegins) put(journal string, begin int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of == nil {
		b.of = map[string]int64{}
	}
	b.of[journal] = begin
}

// reach of the session's next statement.
func (s *session) reach() *reach {
	fixed := new(fixedBegins)
	if s.tx != nil && s.tx.at != nil {
		fixed = &s.tx.at.begins
	}
	return &reach{all: s.gateway.fragments, young: s.gateway.kept, fixed: fixed}
}

// list is the listing of a journal that all readings of the statement are made from. Each journal is asked for by one
// goroutine at a time.
func (r *reach) list(ctx context.Context, journal string, head int64) (listing, error) {
	r.mu.Lock()
	l, ok := r.listed[journal]
	r.mu.Unlock()
	if ok {
		return l, nil
	}
	l, err := r.listOnce(ctx, journal, head)
	if err != nil {
		return listing{}, err
	}
	r.fixed.put(journal, l.begin)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listed == nil {
		r.listed = map[string]listing{}
	}
	r.listed[journal] = l
	return l, nil
}

func (r *reach) listOnce(ctx context.Context, journal string, head int64) (listing, error) {
	begin, fixed := r.fixed.get(journal)
	if !fixed {
		return r.young(ctx, journal, head)
	}
	l, err := r.all(ctx, journal, head)
	switch {
	case err != nil:
		return listing{}, err
	case begin < head && len(l.fragments) > 0 && l.begin > begin:
		return listing{}, hinted(sqlError("72000", "journal %s begins at %d now: what the transaction has read from %d on was removed meanwhile",
			journal, l.begin, begin), "Begin the transaction again.")
	default:
		return l.from(begin), nil
	}
}

// kept lists a journal's fragments up to a head without those that are older than its retention.
func (g *Gateway) kept(ctx context.Context, journal string, head int64) (listing, error) {
	l, err := g.fragments(ctx, journal, head)
	if err != nil {
		return listing{}, err
	}
	keep, err := g.retentions.of(ctx, journal)
	if err != nil || keep == 0 {
		return l, err
	}
	return l.from(g.begins.kept(journal, keep, max(l.begin, keptFrom(l.fragments, time.Now().Add(-keep))))), nil
}

// keptFrom is where a journal begins without what was stored before a time: 0 if all of it is younger. What isn't listed
// behind a hole is with some member, so that the hole is kept.
func keptFrom(listed []*protocol.Fragment, oldest time.Time) int64 {
	list := make([]fragments.Fragment, len(listed))
	for i, p := range listed {
		list[i] = fragments.FragmentFromProto(p)
	}
	expired, begin := map[fragments.Fragment]bool{}, int64(0)
	for _, f := range fragments.Expired(list, oldest) {
		expired[f], begin = true, max(begin, f.End)
	}
	for _, f := range list {
		if !expired[f] {
			begin = min(begin, f.Begin)
		}
	}
	return begin
}

// The label by which a journal asks brokers to remove fragments that are older than its retention (broker.LabelRetention).
const (
	labelRetention    = "broadsheet.dev/retention"
	retentionEnforced = "enforced"
	recoveryLog       = "application/x-gazette-recoverylog"
)

// retentionOf a journal, which brokers enforce; 0 keeps for ever.
func retentionOf(spec *protocol.JournalSpec) time.Duration {
	labels := spec.GetLabels()
	if labels.ValueOf(labelRetention) != retentionEnforced || strings.HasPrefix(labels.ValueOf("content-type"), recoveryLog) {
		return 0
	}
	return max(0, spec.GetFragment().GetRetention().AsDuration())
}

// retentions remembers for a while how long journals are kept. It is safe for concurrent use.
type retentions struct {
	list listJournals

	mu    sync.Mutex
	known map[string]knownRetention
}

type knownRetention struct {
	keep  time.Duration
	asked time.Time
}

// retentionTTL is how long a retention is believed.
const retentionTTL = 10 * time.Second

func (r *retentions) of(ctx context.Context, journal string) (time.Duration, error) {
	now := time.Now()
	r.mu.Lock()
	k, ok := r.known[journal]
	r.mu.Unlock()
	if ok && now.Sub(k.asked) < retentionTTL {
		return k.keep, nil
	}
	listed, err := r.list(ctx, &protocol.LabelSelector{Include: protocol.MustLabelSet(protocol.MetaLabelName, journal)})
	if err != nil {
		return 0, err
	}
	k = knownRetention{asked: now}
	for _, j := range listed {
		k.keep = retentionOf(j.GetSpec())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known) >= maxRevisions {
		r.known = map[string]knownRetention{}
	}
	r.known[journal] = k
	return k.keep, nil
}
