package sqlgw

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
)

// begins remembers where journals are known to begin. What is below the first fragment that a broker lists was
// removed, or isn't known to that broker yet: a member of a new route, whose predecessor has just stored it. Readers are
// told which, as brokers go over nothing that may be with others. And a broker may list what was removed since: but
// statements never go back behind a begin. It is safe for concurrent use.
type begins struct {
	patience time.Duration // with brokers that don't know of one; 0 is beginPatience

	mu    sync.Mutex
	known map[string]knownBegin
}

type knownBegin struct {
	begin, revision int64 // at which the journal was created

	keep time.Duration // its retention
	from int64         // where readers begin, by that; they don't go back either
}

// maxBegins bounds them: beyond that all are forgotten, and asked for again.
const maxBegins = 1 << 16

func (b *begins) of(journal string) knownBegin {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known[journal]
}

// learn a begin. Of one journal the last is known.
func (b *begins) learn(journal string, k knownBegin) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old, ok := b.known[journal]
	if b.known == nil || !ok && len(b.known) >= maxBegins {
		b.known = map[string]knownBegin{}
	}
	if !ok || old.revision != k.revision || old.begin < k.begin {
		if old.revision == k.revision {
			k.keep, k.from = old.keep, old.from
		}
		b.known[journal] = k
	}
}

// kept notes where readers of a journal begin by its retention, and returns where they do. It isn't remembered before
// anything was removed: until then nobody asks which journal of its name it is.
func (b *begins) kept(journal string, keep time.Duration, from int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	k, ok := b.known[journal]
	if ok && k.keep == keep {
		from = max(from, k.from)
	}
	k.keep, k.from = keep, from
	if ok && k.begin > 0 {
		b.known[journal] = k
	}
	return from
}

// relistPause is how long a listing that lacks the begin of its journal is let be, before the next is asked for.
const relistPause = 50 * time.Millisecond

// beginPatience is how long brokers may not know where a journal begins: much longer than it takes them to list its stores, or to
// store what a broker had that has left.
const beginPatience = 10 * time.Second

// errNotTold is of a journal whose begin brokers don't know within that time.
var errNotTold = errors.New("not known yet")

// fragments lists those of a journal, from where it begins: a list without any is of a journal that has
// nothing below the head. While brokers don't know whether something below is with one of them that hasn't stored it, it
// waits; it is an error then, as no row may be missing without a word.
func (g *Gateway) fragments(ctx context.Context, journal string, head int64) (listing, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, cmp.Or(g.begins.patience, beginPatience), errNotTold)
	defer cancel()
	l, err := g.listFromBegin(ctx, journal, head)
	if errors.Is(err, errNotTold) {
		return listing{}, hinted(sqlError("57P03", "where journal %s begins is not known: a broker that is away may have what is missing below offset %d",
			journal, l.begin), "Ask again once all brokers of the journal are there.")
	}
	return l, err
}

// listFromBegin lists fragments until brokers say that nothing is below the first. If that isn't known in time the listing is what it was last.
func (g *Gateway) listFromBegin(ctx context.Context, journal string, head int64) (listing, error) {
	for {
		list, err := g.cfg.Brokers.Fragments(ctx, journal)
		if err != nil {
			return listing{}, fmt.Errorf("fragments of journal %s: %w", journal, err)
		}
		l := listing{begin: head, fragments: list}
		if len(list) > 0 {
			l.begin = list[0].GetBegin()
		}
		known := g.begins.of(journal)
		if l.begin == known.begin {
			return l, nil
		}
		created, err := g.revisions.fresh(ctx, []string{journal})
		if err != nil {
			return listing{}, err
		}
		if l.begin < known.begin && created[journal] == known.revision {
			return l.from(known.begin), nil
		}
		proved, err := g.provesBegin(ctx, journal, l)
		if err != nil {
			return l, err
		}
		if proved {
			g.begins.learn(journal, knownBegin{begin: l.begin, revision: created[journal]})
			return l, nil
		}
		pause := time.NewTimer(relistPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return l, context.Cause(ctx)
		}
	}
}

// provesBegin tells whether a listing has the begin of a journal.
func (g *Gateway) provesBegin(ctx context.Context, journal string, l listing) (bool, error) {
	if l.begin == 0 {
		return true, nil
	}
	first, err := g.firstOffset(ctx, journal, l)
	if err != nil {
		return false, fmt.Errorf("begin of journal %s: %w", journal, err)
	}
	return first >= l.begin, nil
}

// firstOffset is the first of a journal's that can be read. It waits while brokers don't know, if anything is listed. Of a
// journal without content it is the head that the broker knows: one that has just got the journal may know none yet.
func (g *Gateway) firstOffset(ctx context.Context, journal string, l listing) (int64, error) {
	r := g.cfg.Brokers.NewReader(ctx, &protocol.ReadRequest{Journal: journal, Block: len(l.fragments) > 0, MetadataOnly: true})
	_, err := r.Read(make([]byte, 1))
	_ = r.Close() // It has ended.
	if jump, ok := errors.AsType[*client.OffsetJumpError](err); ok {
		return jump.To, nil
	}
	switch {
	case errors.Is(err, io.EOF):
		return r.Offset(), nil
	case errors.Is(err, protocol.Status_OFFSET_NOT_YET_AVAILABLE.Err()):
		return r.Head(), nil
	default:
		return 0, err
	}
}
