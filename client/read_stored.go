package client

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"broadsheet.dev/broadsheet/client/direct"
)

// storedBuffer is how much content of a store is read at once.
const storedBuffer = 64 << 10

// storedRead is a Reader's way to stores.
type storedRead struct {
	file io.ReadCloser // the fragment that is being read; nil if none is
	buf  []byte
	// until is the end of a fragment that couldn't be read from its store: below it,
	// brokers are asked.
	until int64
	told  bool // that a store couldn't be read
}

// avoids reports whether content at an offset is to be read through brokers.
func (s *storedRead) avoids(offset int64) bool { return offset < s.until }

func (s *storedRead) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
	s.file, s.buf = nil, nil
}

// openStored opens the fragment that the last RPC told of.
func (r *Reader) openStored() error {
	m := r.fsm.stored()
	file, err := r.client.stores.Open(r.ctx, m.GetFragment(), m.GetFragmentUrl(), r.fsm.offset, r.fsm.limit())
	if err != nil {
		return r.storedFailed(err)
	}
	labels := []string{r.fsm.req.GetJournal(), m.GetFragment().GetCompressionCodec().String()}
	metrics := r.client.metrics
	metrics.fragmentOpens.WithLabelValues(labels...).Inc()
	metrics.fragmentBytes.WithLabelValues(labels...).Add(float64(m.GetFragment().GetEnd() - m.GetFragment().GetBegin()))
	metrics.fragmentLengths.WithLabelValues(labels...).Add(float64(file.StoredLength()))
	metrics.fragmentDiscard.WithLabelValues(labels...).Add(float64(file.Discarded()))
	r.stored.file = file
	if r.stored.buf == nil {
		r.stored.buf = make([]byte, storedBuffer)
	}
	return nil
}

// readStored makes content of a store pending, if there is some yet, or leaves the fragment.
func (r *Reader) readStored() error {
	n, err := r.stored.file.Read(r.stored.buf)
	if n != 0 {
		r.fsm.advance(n)
		r.pending = r.stored.buf[:n]
		journal, codec := r.fsm.req.GetJournal(), r.fsm.at.GetFragment().GetCompressionCodec().String()
		r.client.metrics.readBytes.WithLabelValues(journal).Add(float64(n))
		r.client.metrics.fragmentRead.WithLabelValues(journal, codec).Add(float64(n))
		return nil
	}
	if err == nil {
		return nil // a reader may return nothing, and is asked again
	}
	_ = r.stored.file.Close()
	r.stored.file = nil
	if errors.Is(err, io.EOF) {
		return nil
	}
	return r.storedFailed(err)
}

// storedFailed leaves the rest of the fragment to brokers, unless they may not proxy or
// what was returned may be wrong.
func (r *Reader) storedFailed(err error) error {
	_, wrong := errors.AsType[*direct.SumError](err)
	switch {
	case r.ctx.Err() != nil:
		return context.Cause(r.ctx)
	case wrong || r.fsm.req.GetDoNotProxy():
		return err
	}
	if !r.stored.told {
		r.client.log.LogAttrs(r.ctx, slog.LevelWarn, "store can't be read directly, reading through brokers",
			slog.String("journal", r.fsm.req.GetJournal()), slog.String("error", err.Error()))
	}
	r.stored.told, r.stored.until = true, r.fsm.until
	return nil
}
