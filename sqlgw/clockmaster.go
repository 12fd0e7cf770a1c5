package sqlgw

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/clock"
)

// clockJournal is where marks stand, of the tables of all databases.
const clockJournal = "broadsheet/clock"

// registerBegun is set by the first mark, so that there are no two of them: an offset of 0 can't be asked for.
const registerBegun = "begun"

// clockmaster reads and writes the clock journal. Every gateway may: a mark is appended at the offset up to which the
// writer has read, and who comes second reads on and tries again. It is safe for concurrent use.
type clockmaster struct {
	brokers   *client.Client
	catalog   *catalog.Catalog
	revisions *revisions
	reader    clockReader
	list      lister

	token chan struct{} // of the log
	log   *clock.Log    // nil until it was read
}

func newClockmaster(cfg *Config, r *revisions, open openRange, list lister) *clockmaster {
	m := &clockmaster{brokers: cfg.Brokers, catalog: cfg.Catalog, revisions: r, list: list, token: make(chan struct{}, 1)}
	m.token <- struct{}{}
	m.reader.open = func(ctx context.Context, begin, end int64) (io.ReadCloser, error) {
		return open(ctx, clockJournal, begin, end)
	}
	return m
}

// span is the range of the clock journal: empty if there is none. It isn't taken to begin later than it does, for who reads none of
// the full marks that there are would write one that forgets what they have.
func (m *clockmaster) span(ctx context.Context) (begin, end int64, err error) { //nolint:nonamedreturns // which is which
	b, err := m.brokers.Barrier(ctx, clockJournal)
	if isStatus(err, protocol.Status_SUSPENDED) {
		r, err := m.brokers.Append(ctx, client.AppendParams{Journal: clockJournal}, nil)
		if err != nil {
			return 0, 0, err
		}
		b.Head = r.GetCommit().GetEnd()
	} else if err != nil {
		return 0, 0, err
	}
	l, err := m.list(ctx, clockJournal, b.Head)
	if err != nil {
		return 0, 0, err
	}
	return min(l.begin, b.Head), b.Head, nil
}

func isStatus(err error, s protocol.Status) bool {
	e, ok := errors.AsType[*protocol.StatusError](err)
	return ok && e.Status == s
}

// mark writes a mark if any of these places is beyond what was marked, and in any case if there is none later than
// a time.
func (m *clockmaster) mark(ctx context.Context, heads []clock.Place, beyond time.Time) error {
	select {
	case <-m.token:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { m.token <- struct{}{} }()
	for {
		done, err := m.tryMark(ctx, heads, beyond)
		switch {
		case isStatus(err, protocol.Status_WRONG_APPEND_OFFSET), isStatus(err, protocol.Status_REGISTER_MISMATCH):
			// Another gateway was first: read what it wrote.
		case err != nil:
			m.log = nil // who knows what is there
			return fmt.Errorf("clock journal: %w", err)
		case done:
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// tryMark is mark, once. The caller holds the token.
func (m *clockmaster) tryMark(ctx context.Context, heads []clock.Place, beyond time.Time) (bool, error) {
	begin, end, err := m.span(ctx)
	if isStatus(err, protocol.Status_JOURNAL_NOT_FOUND) {
		return false, m.create(ctx)
	}
	if err != nil {
		return false, err
	}
	if err := m.catchUp(ctx, begin, end); err != nil {
		return false, err
	}
	gone, err := m.gone(ctx)
	if err != nil {
		return false, err
	}
	mark, ok := m.log.Next(time.Now(), heads, gone, !beyond.IsZero() && !m.log.Time().After(beyond))
	if !ok {
		return true, nil
	}
	line, err := mark.AppendLine(nil)
	if err != nil {
		return false, err
	}
	at := client.AppendParams{Journal: clockJournal, Offset: end}
	if end == 0 {
		at.Check = &protocol.LabelSelector{Exclude: protocol.MustLabelSet(registerBegun, "")}
		at.Union = protocol.MustLabelSet(registerBegun, "1")
	}
	if _, err := m.brokers.Append(ctx, at, bytes.NewReader(line)); err != nil {
		return false, err
	}
	m.log.Read(line)
	return true, nil
}

// create the journal, unless somebody else does.
func (m *clockmaster) create(ctx context.Context) error {
	m.log = nil
	_, err := m.brokers.Apply(ctx, []*protocol.ApplyRequest_Change{{Upsert: m.catalog.SystemJournal(clockJournal)}})
	if isStatus(err, protocol.Status_ETCD_TRANSACTION_FAILED) {
		return nil
	}
	return err
}

// catchUp reads on to the end of the journal, at first from its last full mark.
func (m *clockmaster) catchUp(ctx context.Context, begin, end int64) error {
	if m.log == nil || m.log.Offset() > end || m.log.Offset() < begin {
		full, err := m.reader.fullBefore(ctx, begin, end, time.Unix(1<<40, 0))
		if err != nil {
			return err
		}
		m.log = clock.NewLog(max(full, begin))
	}
	log := m.log
	m.log = nil // unless all is read
	err := m.reader.lines(ctx, log.Offset(), end, false, func(_ int64, line []byte) error {
		log.Read(line)
		return nil
	})
	if err == nil {
		m.log = log
	}
	return err
}

// gone are the journals that the next mark, a full one, needn't have any more.
func (m *clockmaster) gone(ctx context.Context) (map[string]bool, error) {
	if !m.log.FullDue() || !m.log.Begun() {
		return nil, nil
	}
	names := m.log.Journals()
	there, err := m.revisions.fresh(ctx, names)
	if err != nil {
		return nil, err
	}
	gone := map[string]bool{}
	for _, j := range names {
		if _, ok := there[j]; !ok {
			gone[j] = true
		}
	}
	return gone, nil
}

// cutAt is the cut as of a time: that of the last mark at or before it. It stays that, for it is made sure
// that there is a later mark.
func (m *clockmaster) cutAt(ctx context.Context, t time.Time) (clock.Cut, error) {
	now := time.Now()
	if !t.After(now) {
		if err := m.mark(ctx, nil, t); err != nil {
			return clock.Cut{}, err
		}
	}
	begin, end, err := m.span(ctx)
	if err != nil && !isStatus(err, protocol.Status_JOURNAL_NOT_FOUND) {
		return clock.Cut{}, err
	}
	if t.After(now) { // by this clock; by another one's there may be a mark
		last, err := m.reader.firstAfter(ctx, begin, end, t)
		if err != nil {
			return clock.Cut{}, err
		}
		if !last {
			return clock.Cut{}, sqlError("22023", "AS OF TIMESTAMP %s is in the future: it is %s", showTime(t), showTime(now))
		}
	}
	c, ok, err := m.reader.cutAt(ctx, begin, end, t)
	if err != nil || ok {
		return c, err
	}
	first, err := m.reader.earliest(ctx, begin, end)
	if err != nil {
		return c, err
	}
	return c, sqlError("22023", "AS OF TIMESTAMP %s is before the first mark of the clock journal, at %s", showTime(t), showTime(first))
}

func showTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000000+00") }

// times are the marks of journals, by which their rows have times.
func (m *clockmaster) times(ctx context.Context, journals []string) (map[string][]clock.Point, error) {
	created, err := m.revisions.fresh(ctx, journals)
	if err != nil {
		return nil, err
	}
	begin, end, err := m.span(ctx)
	if isStatus(err, protocol.Status_JOURNAL_NOT_FOUND) {
		return map[string][]clock.Point{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("clock journal: %w", err)
	}
	return m.reader.points(ctx, begin, end, created)
}

// run marks every second what moved, until ctx is done.
func (m *clockmaster) run(ctx context.Context, g *Gateway) error {
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	w := watchman{gateway: g, pending: map[string]clock.Place{}}
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			err := w.round(ctx, now)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil && !failing {
				g.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "rows get no times for now: the clock journal can't be written", slog.Any("error", err))
			} else if err == nil && failing {
				g.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "the clock journal is written again")
			}
			failing = err != nil
		}
	}
}

// markEvery is how often there is a mark, while something moves.
const markEvery = time.Second
