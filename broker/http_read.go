package broker

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"broadsheet.dev/broadsheet/fragments"
	"broadsheet.dev/broadsheet/protocol"
)

// argument of a query.
type argument struct{ key, value string }

// parseQuery returns the arguments of a query, each at most once.
func parseQuery(raw string) ([]argument, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fmt.Errorf("arguments can't be read: %w", err)
	}
	out := make([]argument, 0, len(values))
	for key, all := range values {
		if len(all) != 1 {
			return nil, fmt.Errorf("argument %q is given %d times", key, len(all))
		}
		out = append(out, argument{key, all[0]})
	}
	return out, nil
}

// read answers GET and HEAD of a journal.
func (h *handler) read(w http.ResponseWriter, r *http.Request) {
	req := &protocol.ReadRequest{Journal: journalOf(r), MetadataOnly: r.Method == http.MethodHead}
	if err := query(r, map[string]any{"offset": &req.Offset, "block": &req.Block}); err != nil {
		writeError(w, http.StatusBadRequest, err.Error(), "a read takes offset=<number> and block=<true or false>")
		return
	}
	if err := setRange(req, r); err != nil {
		writeError(w, http.StatusBadRequest, err.Error(), "a read takes Range: bytes=<first>- or bytes=<first>-<last>, instead of the argument offset")
		return
	}
	out := &readResponse{
		broker: h.broker, w: w, control: http.NewResponseController(w), req: req,
		patience: patience{wait: h.broker.cfg.IdleTimeout, ctx: r.Context()},
	}
	err := h.broker.observe("Read", func() (protocol.Status, error) {
		err := h.broker.read(r.Context(), req, out.send)
		return out.status, err
	})
	out.finish(err)
}

// readResponse turns the messages of a read into a response: the metadata of the
// first one into its headers, content into its body, and what went wrong after that
// into its trailer.
type readResponse struct {
	broker   *Broker
	w        http.ResponseWriter
	control  *http.ResponseController
	patience patience
	req      *protocol.ReadRequest

	begun  bool            // headers are sent
	status protocol.Status // last one
	end    int64           // of the present fragment
}

func (o *readResponse) send(m *protocol.ReadResponse) error {
	if len(m.GetContent()) == 0 {
		o.status, o.end = m.GetStatus(), m.GetFragment().GetEnd()
		if !o.begun {
			o.begin(m)
		}
		return nil
	}
	if err := o.control.SetWriteDeadline(o.patience.deadline()); err != nil {
		return err
	}
	if _, err := o.w.Write(m.GetContent()); err != nil {
		return err
	}
	if m.GetOffset()+int64(len(m.GetContent())) == o.end {
		return o.control.Flush() // What comes next may be long in coming.
	}
	return nil
}

// begin sends status and headers.
func (o *readResponse) begin(m *protocol.ReadResponse) {
	o.begun = true
	head := o.w.Header()
	setRoute(o.w, m.GetHeader(), o.req.GetJournal())
	head.Set(headerWriteHead, strconv.FormatInt(m.GetWriteHead(), 10))
	if s := m.GetStatus(); s != protocol.Status_OK {
		text, hint := o.broker.tell(s, o.req.GetJournal())
		writeStatus(o.w, readCode(s), o.req.GetJournal(), text, hint)
		return
	}
	f := fragments.FragmentFromProto(m.GetFragment())
	head.Set("Content-Type", "application/octet-stream")
	last := int64(math.MaxInt64)
	if end := o.req.GetEndOffset(); end != 0 {
		last = end - 1
	}
	head.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", m.GetOffset(), last, math.MaxInt64))
	head.Set(headerFragmentName, f.ContentName())
	if f.ModTime != 0 {
		head.Set(headerFragmentModified, time.Unix(f.ModTime, 0).UTC().Format(http.TimeFormat))
	}
	if m.GetFragmentUrl() != "" {
		head.Set(headerFragmentLocation, m.GetFragmentUrl())
	}
	if !o.req.GetMetadataOnly() {
		head.Set("Trailer", headerCloseError)
	}
	o.w.WriteHeader(http.StatusPartialContent)
}

// finish ends the response with the outcome of the read.
func (o *readResponse) finish(err error) {
	// The rest of the response is sent after this, and may not take for ever either.
	_ = o.control.SetWriteDeadline(time.Now().Add(o.patience.wait))
	switch {
	case err != nil && !o.begun:
		writeFailure(o.w, err)
	case !o.begun:
		// A blocking read that the broker ended: nothing was there yet.
		writeError(o.w, http.StatusServiceUnavailable, "the broker ended the read", "try again in a moment")
	case err != nil:
		o.w.Header().Set(headerCloseError, trailerText(err.Error()))
	case o.status != protocol.Status_OK:
		o.w.Header().Set(headerCloseError, o.status.String())
	}
}

// trailerText is a text without what would end a header.
func trailerText(text string) string {
	out := []byte(text)
	for i, c := range out {
		if c < ' ' || c == 0x7f {
			out[i] = ' '
		}
	}
	return string(out)
}

// readCode is the code of HTTP for the status of a read.
func readCode(s protocol.Status) int {
	switch s {
	case protocol.Status_JOURNAL_NOT_FOUND:
		return http.StatusNotFound
	case protocol.Status_INSUFFICIENT_JOURNAL_BROKERS:
		return http.StatusServiceUnavailable
	case protocol.Status_OFFSET_NOT_YET_AVAILABLE:
		return http.StatusRequestedRangeNotSatisfiable
	default:
		return http.StatusInternalServerError
	}
}
