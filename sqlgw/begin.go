package sqlgw

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
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

// fragments lists those of a journal, from where it begins: a list without any is of a journal that has
// nothing below the head.
func (g *Gateway) fragments(ctx context.Context, journal string, head int64) (listing, error) {
	for {
		list, err := g.cfg.Brokers.Fragments(ctx, journal)
		if err != nil {
			return listing{}, fmt.Errorf("fragments of journal %s: %w", journal, err)
		}
		begin := head
		if len(list) > 0 {
			begin = list[0].GetBegin()
		}
		known := g.begins.of(journal)
		if begin == known.begin {
			return listing{begin: begin, fragments: list}, nil
		}
		created, err := g.revisions.fresh(ctx, []string{journal})
		if err != nil {
			return listing{}, err
		}
		if begin < known.begin && created[journal] == known.revision {
			return listing{fragments: list}.from(known.begin), nil
		}
		proved, err := g.provesBegin(ctx, journal, begin, len(list) == 0)
		if err != nil {
			return listing{}, err
		}
		if proved {
			g.begins.learn(journal, knownBegin{begin: begin, revision: created[journal]})
			return listing{begin: begin, fragments: list}, nil
		}
		pause := time.NewTimer(relistPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return listing{}, context.Cause(ctx)
		}
	}
}

// provesBegin tells whether a listing has the begin of a journal.
func (g *Gateway) provesBegin(ctx context.Context, journal string, begin int64, empty bool) (bool, error) {
	if begin == 0 {
		return true, nil
	}
	first, err := g.firstOffset(ctx, journal, !empty)
	switch {
	case errors.Is(err, errNotTold) && !empty:
		// The stores were listed meanwhile: if what is below is anywhere, they would have it as a rule.
		again, err := g.cfg.Brokers.Fragments(ctx, journal)
		if err != nil || len(again) == 0 || again[0].GetBegin() != begin {
			return false, err
		}
		g.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "brokers don't know what became of the begin of a journal: it is taken to be removed",
			slog.String("journal", journal), slog.Int64("begin", begin))
		return true, nil
	case err != nil:
		return false, fmt.Errorf("begin of journal %s: %w", journal, err)
	default:
		return first >= begin, nil
	}
}

// beginPatience is how long brokers may not know where a journal begins: longer than it takes them to list its stores.
const beginPatience = 3 * time.Second

// errNotTold is of a journal whose begin brokers don't know within that time: something below it may be with a broker
// that hasn't stored it, or was removed though an epoch that it is of is still listed.
var errNotTold = errors.New("not known yet")

// firstOffset is the first of a journal's that can be read. It waits while brokers don't know, unless that is not asked
// for: for beginPatience, then the error is errNotTold. Of a journal without content it is as large as can be.
func (g *Gateway) firstOffset(ctx context.Context, journal string, block bool) (int64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, beginPatience, errNotTold)
	defer cancel()
	r := g.cfg.Brokers.NewReader(ctx, &protocol.ReadRequest{Journal: journal, Block: block, MetadataOnly: true})
	_, err := r.Read(make([]byte, 1))
	_ = r.Close() // It has ended.
	if jump, ok := errors.AsType[*client.OffsetJumpError](err); ok {
		return jump.To, nil
	}
	switch {
	case errors.Is(err, io.EOF):
		return r.Offset(), nil
	case errors.Is(err, protocol.Status_OFFSET_NOT_YET_AVAILABLE.Err()):
		return math.MaxInt64, nil
	default:
		return 0, err
	}
}
