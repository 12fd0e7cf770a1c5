package broker

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol"
)

const (
	// putChunk is how much of a request's body is gathered at once.
	putChunk = 32 << 10
	// assignPatience is how long a PUT waits for a journal that was just created to
	// be assigned to a broker, so that one can be made after the other by hand.
	assignPatience = 5 * time.Second
)

// append answers PUT of a journal: its body is one append.
func (h *handler) append(w http.ResponseWriter, r *http.Request) {
	if err := query(r, nil); err != nil {
		writeError(w, http.StatusBadRequest, err.Error(), "an append takes no arguments")
		return
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		writeError(w, http.StatusUnsupportedMediaType, fmt.Sprintf("content encoding %q is not supported", e), "send the bytes that are to be appended")
		return
	}
	source := &putSource{
		journal:  journalOf(r),
		body:     r.Body,
		control:  http.NewResponseController(w),
		patience: patience{wait: h.broker.cfg.IdleTimeout, ctx: r.Context()},
	}
	var resp *protocol.AppendResponse
	err := h.broker.observe("Append", func() (protocol.Status, error) {
		var err error
		resp, err = h.appendAssigned(r.Context(), source)
		return resp.GetStatus(), err
	})
	if err != nil {
		writeFailure(w, err)
		return
	}
	head := w.Header()
	setRoute(w, resp.GetHeader(), source.journal)
	if s := resp.GetStatus(); s != protocol.Status_OK {
		code := http.StatusInternalServerError
		if s == protocol.Status_JOURNAL_NOT_FOUND {
			code = http.StatusNotFound
		}
		text, hint := h.broker.tell(s, source.journal)
		if e := resp.GetStoreHealthError(); e != "" {
			text += ": " + e
		}
		writeStatus(w, code, source.journal, text, hint)
		return
	}
	commit := resp.GetCommit()
	digest := commit.GetSum().Digest()
	head.Set(headerCommitBegin, strconv.FormatInt(commit.GetBegin(), 10))
	head.Set(headerCommitEnd, strconv.FormatInt(commit.GetEnd(), 10))
	head.Set(headerCommitSum, hex.EncodeToString(digest[:]))
	head.Set(headerWriteHead, strconv.FormatInt(commit.GetEnd(), 10))
	w.WriteHeader(http.StatusNoContent)
}

// appendAssigned appends. While the journal has no broker yet, it waits a little.
func (h *handler) appendAssigned(ctx context.Context, source *putSource) (*protocol.AppendResponse, error) {
	patience := time.NewTimer(assignPatience)
	defer patience.Stop()
	for {
		next := h.broker.roster.Load().next
		resp, err := h.broker.append(ctx, source)
		unassigned := resp.GetStatus() == protocol.Status_NO_JOURNAL_PRIMARY_BROKER ||
			resp.GetStatus() == protocol.Status_INSUFFICIENT_JOURNAL_BROKERS
		if err != nil || !unassigned || !source.whole() {
			return resp, err
		}
		select {
		case <-next:
			source.state = putBegin
		case <-patience.C:
			return resp, nil
		case <-h.broker.stopping:
			return resp, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// putSource yields the messages of an append whose content is a request's body.
type putSource struct {
	journal  string
	body     io.Reader
	control  *http.ResponseController
	patience patience

	state putState
	buf   []byte // of the last message, which is used again but for the first
}

// putState is what a putSource yields next.
type putState int

const (
	putBegin putState = iota // the parameters
	putFirst                 // the first content, which the receiver may keep
	putMore                  // further content
	putEnd                   // the end
)

// whole tells whether nothing but the parameters was taken, so that the source may begin again. An append that
// went on to another broker has taken content, and would now be of what is left of it, or of nothing.
func (s *putSource) whole() bool { return s.state <= putFirst }

// Recv as of appendSource.
func (s *putSource) Recv() (*protocol.AppendRequest, error) {
	switch s.state {
	case putBegin:
		s.state = putFirst
		return &protocol.AppendRequest{Journal: s.journal}, nil
	case putEnd:
		return nil, io.EOF
	default:
		return s.content()
	}
}

func (s *putSource) content() (*protocol.AppendRequest, error) {
	if err := s.control.SetReadDeadline(s.patience.deadline()); err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	if s.state == putFirst || s.buf == nil {
		s.buf = make([]byte, putChunk)
	}
	n, err := readSome(s.body, s.buf)
	chunk := s.buf[:n]
	switch {
	case n > 0:
		// An error comes again with the next read.
		if s.state == putFirst {
			s.state, s.buf = putMore, nil
		}
		return &protocol.AppendRequest{Content: chunk}, nil
	case errors.Is(err, io.EOF):
		s.state = putEnd
		// It is us that the client waits for, however long: a deadline that passes now would look as if it had gone.
		if err := s.control.SetReadDeadline(time.Time{}); err != nil {
			return nil, fmt.Errorf("append: %w", err)
		}
		return new(protocol.AppendRequest), nil
	case errors.Is(err, os.ErrDeadlineExceeded) && s.patience.expired():
		return nil, errExpired
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, status.Errorf(codes.DeadlineExceeded, "journal %s: append: nothing was received for %s", s.journal, s.patience.wait)
	default:
		return nil, &bodyError{journal: s.journal, err: err}
	}
}

// bodyError is a request whose body ends before it is whole, or can't be read as it
// is framed. That is the client's doing, as far as we can tell.
type bodyError struct {
	journal string
	err     error
}

// Error names the journal.
func (e *bodyError) Error() string {
	return fmt.Sprintf("journal %s: the body of the request isn't whole: %v", e.journal, e.err)
}

// Unwrap as of errors.
func (e *bodyError) Unwrap() error { return e.err }

// readSome reads until there is something, or an error.
func readSome(r io.Reader, p []byte) (int, error) {
	for {
		if n, err := r.Read(p); n != 0 || err != nil {
			return n, err
		}
	}
}
