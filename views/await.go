package views

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/protocol"
)

// await a state that has read through a cut. The caller releases it.
func (v *view) await(ctx context.Context, cut map[string]int64) (*state, error) {
	w := waiter{view: v, left: maps.Clone(cut), newline: make(map[string]int64)}
	for {
		at, changed, err := v.board.hold()
		if err != nil {
			return nil, err
		}
		if at != nil {
			reached, err := w.reached(ctx, at)
			if err == nil && reached {
				return at, nil
			}
			at.release()
			if err != nil {
				return nil, err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait until the view has read on: %w", context.Cause(ctx))
		}
	}
}

// waiter waits for a cut.
type waiter struct {
	view *view
	left map[string]int64 // of journals that weren't reached, the offsets to be reached
	// newline is where the first line ends that was not read yet when it was looked at.
	newline map[string]int64
}

// reached tells whether a state has read through the cut: whole lines before it. What is a line without its newline at the cut isn't a
// row of it.
func (w *waiter) reached(ctx context.Context, at *state) (bool, error) {
	for journal, offset := range w.left {
		read := at.cut[journal]
		if read < offset && read <= w.newline[journal] && w.newline[journal] > 0 {
			return false, nil
		}
		if read < offset {
			end, found, err := w.view.lineEnd(ctx, journal, read, offset)
			if err != nil {
				return false, err
			}
			if found {
				w.newline[journal] = end
				return false, nil
			}
		}
		delete(w.left, journal) // Later states have read as much.
	}
	return true, nil
}

// lineEnd finds the first newline in a range of a journal. Bytes that the journal has no more count as none.
func (v *view) lineEnd(ctx context.Context, journal string, from, to int64) (int64, bool, error) {
	for from < to {
		end, found, err := v.lineEndIn(ctx, journal, from, to)
		if jump, jumps := errors.AsType[*client.OffsetJumpError](err); jumps {
			from = jump.To
			continue
		}
		if err != nil {
			return 0, false, fmt.Errorf("look for a line in %s: %w", journal, err)
		}
		return end, found, nil
	}
	return 0, false, nil
}

func (v *view) lineEndIn(ctx context.Context, journal string, from, to int64) (int64, bool, error) {
	r := v.shard.Client().NewReader(ctx, &protocol.ReadRequest{Journal: journal, Offset: from, EndOffset: to, Block: true})
	defer r.Close() //nolint:errcheck // it never fails
	buf := make([]byte, 16<<10)
	for at := from; ; {
		n, err := r.Read(buf)
		if i := bytes.IndexByte(buf[:n], '\n'); i >= 0 {
			return at + int64(i), true, nil
		}
		at += int64(n)
		if errors.Is(err, io.EOF) {
			return 0, false, nil
		}
		if err != nil {
			return 0, false, err
		}
	}
}
