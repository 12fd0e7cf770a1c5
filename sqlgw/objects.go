package sqlgw

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/sync/errgroup"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/fragments/objectcache"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/protocol"
)

// fileSource says how the file of a stored fragment is come by: it lies in a file store, or has to be copied. The
// engine has neither credentials nor a network, so that nothing is read elsewhere.
type fileSource struct {
	stores *store.Registry
	cache  *objectcache.Cache // nil copies nothing
}

// find tells whether the engine can read a fragment from a file: at the path, or, if that is empty, from a copy.
func (s fileSource) find(f fragments.Fragment) (string, bool) {
	switch f.Codec {
	case protocol.CompressionCodec_NONE, protocol.CompressionCodec_GZIP, protocol.CompressionCodec_ZSTANDARD:
	default:
		return "", false
	}
	if path, ok := s.stores.LocalPath(f.Store, f.ContentPath()); ok {
		return path, true
	}
	if s.cache == nil || strings.HasPrefix(f.Store, "file:") {
		return "", false
	}
	_, err := s.stores.Open(f.Store) // whether the operator allows it
	return "", err == nil
}

// copied is find of a fragment that is about to be read by the gateway itself: what is returned beside the path is to be
// called afterwards.
func (s fileSource) copied(ctx context.Context, f fragments.Fragment) (string, func(), error) {
	if s.cache == nil {
		return "", nil, objectcache.ErrUnfit
	}
	pin, err := s.cache.Fetch(ctx, f)
	if err != nil {
		return "", nil, err
	}
	return pin.Path(), pin.Release, nil
}

// forGood tells whether an error of copied is there to stay for as long as this process runs.
func forGood(err error) bool {
	return errors.Is(err, objectcache.ErrCorrupt) || errors.Is(err, objectcache.ErrTooLarge) || errors.Is(err, objectcache.ErrUnfit)
}

// copyFanout bounds the copies that one mention of a table waits for at a time.
const copyFanout = 4

// sources are what planned journals are read from.
type sources struct {
	files  []string // by the engine
	ranges []decodeRangeOf
	pins   []*objectcache.Pin // of files, to be released when they have been read
	copied int64              // bytes of content that are read from copies
	failed int64              // and that were to be, but can't
}

// copyOf is a piece that is read from a copy.
type copyOf struct {
	piece decodeRangeOf
	fragments.Fragment
	pin *objectcache.Pin // nil if there is none
}

// split divides planned journals into the files that the engine reads in place, and the rest. What should
// be read from a copy that can't be had, as there is no room or the store doesn't answer, is among the rest: each piece
// that is read in place begins and ends where lines do, so that it can be read by itself either way.
func (g *Gateway) split(ctx context.Context, plans []journalScan) (sources, error) {
	out := sources{ranges: decodedRanges(plans)}
	var copies []copyOf
	listed := map[string]bool{}
	for _, p := range plans {
		for i, x := range p.pieces {
			if x.InPlace == nil {
				continue
			}
			path, ok := g.files.find(*x.InPlace)
			piece := decodeRangeOf{journal: p.journal, begin: x.Begin, end: x.End, newest: i == len(p.pieces)-1}
			switch {
			case !ok: // its file vanished since it was chosen
				out.failed += piece.end - piece.begin
				out.ranges = append(out.ranges, piece)
			case path != "":
				out.files = append(out.files, path)
			default:
				copies = append(copies, copyOf{piece: piece, Fragment: *x.InPlace})
			}
		}
	}
	err := g.copyAll(ctx, copies)
	for _, c := range copies {
		switch {
		case c.pin == nil:
			out.failed += c.piece.end - c.piece.begin
			out.ranges = append(out.ranges, c.piece)
		case listed[c.pin.Path()]: // the same content elsewhere: the engine is given each file once
			c.pin.Release()
			out.failed += c.piece.end - c.piece.begin
			out.ranges = append(out.ranges, c.piece)
		default:
			listed[c.pin.Path()] = true
			out.copied += c.piece.end - c.piece.begin
			out.files, out.pins = append(out.files, c.pin.Path()), append(out.pins, c.pin)
		}
	}
	if err != nil {
		releaseAll(out.pins)
		return sources{}, err
	}
	return out, nil
}

// copyAll pins copies, first those that are there, so that what is brought doesn't take their room. It fails only with ctx.
func (g *Gateway) copyAll(ctx context.Context, copies []copyOf) error {
	for i := range copies {
		copies[i].pin, _ = g.files.cache.Pin(copies[i].Fragment)
	}
	var eg errgroup.Group
	eg.SetLimit(copyFanout)
	for i := range copies {
		if copies[i].pin == nil && ctx.Err() == nil {
			// Why one can't be had is counted by the cache, and no error of the query.
			eg.Go(func() error { copies[i].pin, _ = g.files.cache.Fetch(ctx, copies[i].Fragment); return nil })
		}
	}
	_ = eg.Wait()
	return context.Cause(ctx)
}

func releaseAll(pins []*objectcache.Pin) {
	for _, p := range pins {
		p.Release()
	}
}

// decodedRanges are what is decoded of planned journals.
func decodedRanges(plans []journalScan) []decodeRangeOf {
	var out []decodeRangeOf
	for _, p := range plans {
		for i, x := range p.pieces {
			if x.InPlace == nil {
				out = append(out, decodeRangeOf{journal: p.journal, begin: x.Begin, end: x.End, newest: i == len(p.pieces)-1 && !p.part})
			}
		}
	}
	return out
}
