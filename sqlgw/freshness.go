package sqlgw

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/sqlgw/clock"
)

// The settings that say where statements read, and the one that tells.
const (
	settingFreshness = "broadsheet.freshness"
	settingMinCut    = "broadsheet.min_cut"
	settingLastCut   = "broadsheet.last_cut"
)

const hintFreshness = "strict, bounded and a time (as in 'bounded 5s'), sealed"

// freshness is how new the cuts of a session's statements are. The zero value is strict: every append
// that was acknowledged before the statement began is in its cut.
type freshness struct {
	sealed bool          // only what is persisted in fragments
	within time.Duration // if not zero, what was acknowledged that long before it began
}

// parseFreshness reads a value of the setting.
func parseFreshness(v string) (freshness, bool) {
	words := strings.Fields(strings.ToLower(v))
	switch {
	case len(words) == 1 && words[0] == "strict":
		return freshness{}, true
	case len(words) == 1 && words[0] == "sealed":
		return freshness{sealed: true}, true
	case len(words) >= 2 && words[0] == "bounded":
		ms, ok := milliseconds(strings.Join(words[1:], " "))
		return freshness{within: time.Duration(ms) * time.Millisecond}, ok && ms > 0
	}
	return freshness{}, false
}

// checkFreshness is the setting's check.
func checkFreshness(v string) (string, bool) {
	f, ok := parseFreshness(v)
	switch {
	case f.sealed:
		return "sealed", ok
	case f.within > 0:
		d, _ := duration(strconv.FormatInt(f.within.Milliseconds(), 10))
		return "bounded " + d, ok
	default:
		return "strict", ok
	}
}

// checkMinCut is that of broadsheet.min_cut: a cut, or nothing.
func checkMinCut(v string) (string, bool) {
	if v == "" {
		return "", true
	}
	_, err := clock.ParseCut(v)
	return v, err == nil
}

// knownHeads remembers the heads of journals that this process has learnt: a statement may read at
// one that is new enough for it. So sessions of one gateway never go back: a head that any of them has
// read at, or has appended up to, is never below what is known. It is safe for concurrent use.
type knownHeads struct {
	mu    sync.Mutex
	heads map[string]knownHead
	moved map[string]int64 // heads that weren't taken for a mark yet
}

// maxKnownHeads bounds them: beyond that all are forgotten, and asked for again.
const maxKnownHeads = 1 << 17

type knownHead struct {
	offset  int64
	proved  time.Time // everything acknowledged before is below offset
	changed time.Time // when this was noted
}

// learn a head that was asked for at a time, and came now.
func (k *knownHeads) learn(journal string, offset int64, asked, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.room(journal)
	if ok && offset < e.offset && !asked.After(e.changed) {
		offset = e.offset // it was overtaken by another answer
	}
	// A lower one that was asked for later is of another journal of this name.
	if e.proved.After(asked) {
		asked = e.proved
	}
	k.heads[journal] = knownHead{offset: offset, proved: asked, changed: now}
	if !ok || offset != e.offset {
		k.move(journal, offset)
	}
}

// appended notes that a journal goes as far as an append of ours.
func (k *knownHeads) appended(journal string, end int64, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, ok := k.room(journal); !ok || end > e.offset {
		k.heads[journal] = knownHead{offset: end, proved: e.proved, changed: now}
		k.move(journal, end)
	}
}

// move notes a head for the next mark. Of too many the rest is found when they are asked for.
func (k *knownHeads) move(journal string, offset int64) {
	if k.moved == nil {
		k.moved = map[string]int64{}
	}
	if len(k.moved) < maxKnownHeads {
		k.moved[journal] = offset
	}
}

// take the heads that moved since they were last taken.
func (k *knownHeads) take() map[string]int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	moved := k.moved
	k.moved = nil
	return moved
}

// putBack heads that were taken, but for those that moved since.
func (k *knownHeads) putBack(moved map[string]int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for j, offset := range moved {
		if _, ok := k.moved[j]; !ok {
			k.move(j, offset)
		}
	}
}

// room for a journal, and what is known of it.
func (k *knownHeads) room(journal string) (knownHead, bool) {
	e, ok := k.heads[journal]
	if k.heads == nil || (!ok && len(k.heads) >= maxKnownHeads) {
		k.heads = map[string]knownHead{}
	}
	return e, ok
}

// since returns a head below which is everything that was acknowledged before a time.
func (k *knownHeads) since(journal string, t time.Time) (int64, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.heads[journal]
	return e.offset, ok && !e.proved.Before(t)
}

// headOf tells the head of a journal, as a statement sees it.
type headOf func(ctx context.Context, journal string) (int64, error)

// heads are those that the session's settings ask for.
func (s *session) heads() headOf {
	fresh, _ := parseFreshness(s.settings.value(settingFreshness))
	var least clock.Cut
	if text := s.settings.value(settingMinCut); text != "" {
		least, _ = clock.ParseCut(text) // it was checked when it was set
	}
	g, began := s.gateway, time.Now()
	return func(ctx context.Context, journal string) (int64, error) {
		from, err := g.leastOf(ctx, least, journal)
		switch {
		case err != nil:
			return 0, err
		case fresh.sealed:
			return g.sealedHead(ctx, journal, from)
		case fresh.within > 0:
			if h, ok := g.known.since(journal, began.Add(-fresh.within)); ok && h >= from {
				return h, nil
			}
		}
		h, err := g.head(ctx, journal)
		if err == nil && h < from {
			return 0, sqlError("22023", "journal %s ends at %d, below its place %d in %s", journal, h, from, settingMinCut)
		}
		return h, err
	}
}

// leastOf is where a journal has to be read up to, at least.
func (g *Gateway) leastOf(ctx context.Context, c clock.Cut, journal string) (int64, error) {
	p, ok := c.Place(journal)
	if !ok {
		return 0, nil
	}
	for _, look := range []func(context.Context, []string) (map[string]int64, error){g.revisions.of, g.revisions.fresh} {
		created, err := look(ctx, []string{journal})
		if err != nil {
			return 0, err
		}
		if created[journal] == p.Revision {
			return p.Offset, nil
		}
	}
	return 0, errOtherJournal(journal, settingMinCut)
}

// sealedPoll is how often the fragments of a journal are listed, while more of it is waited for.
const sealedPoll = 200 * time.Millisecond

// sealedHead is where the last stored fragment of a journal ends, once that is far enough.
func (g *Gateway) sealedHead(ctx context.Context, journal string, least int64) (int64, error) {
	tick := time.NewTicker(sealedPoll)
	defer tick.Stop()
	for {
		list, err := g.fragments(ctx, journal, 0)
		if err != nil {
			return 0, err
		}
		end := list.begin
		for _, f := range list.fragments {
			if f.GetBackingStore() != "" {
				end = max(end, f.GetEnd())
			}
		}
		if end >= least {
			return end, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
