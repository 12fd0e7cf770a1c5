package broker

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// Headers of journals over HTTP: those of Gazette.
const (
	headerCloseError       = "X-Close-Error" // a trailer
	headerCommitBegin      = "X-Commit-Begin"
	headerCommitEnd        = "X-Commit-End"
	headerCommitSum        = "X-Commit-Sha1-Sum"
	headerFragmentLocation = "X-Fragment-Location"
	headerFragmentModified = "X-Fragment-Last-Modified"
	headerFragmentName     = "X-Fragment-Name"
	headerRouteToken       = "X-Route-Token"
	headerWriteHead        = "X-Write-Head"
)

// handler serves HTTP/1: PUT, GET and HEAD of /<journal name>, /v1/ and /debug/.
type handler struct {
	broker  *Broker
	json    *jsonGateway
	debug   http.Handler
	running sync.WaitGroup
}

// ServeHTTP as of http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.running.Add(1)
	defer h.running.Done()
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case strings.HasPrefix(r.URL.Path, "/debug/"):
		h.debug.ServeHTTP(w, r)
	case h.broker.cfg.Neighbour.serves(r.URL.Path):
		h.broker.cfg.Neighbour.Handler.ServeHTTP(w, r)
	case strings.HasPrefix(r.URL.Path, jsonPrefix) && isJSONMethod(r.Method):
		h.json.ServeHTTP(w, r)
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		h.broker.door.serve(w, r, auth.Read, h.read)
	case r.Method == http.MethodPut:
		h.broker.door.serve(w, r, auth.Append, h.append)
	default:
		writeError(w, http.StatusBadRequest, fmt.Sprintf("method %s is not supported", r.Method),
			"PUT appends to the journal that the path names, GET and HEAD read it")
	}
}

// journalOf is the journal that the path of a request names.
func journalOf(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, "/") }

// query reads the arguments of a request into the fields that they are named for:
// *int64 or *bool. Any other argument is an error.
func query(r *http.Request, fields map[string]any) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	values, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	for _, v := range values {
		field, ok := fields[v.key]
		if !ok {
			return fmt.Errorf("argument %q is unknown", v.key)
		}
		switch f := field.(type) {
		case *int64:
			*f, err = strconv.ParseInt(v.value, 10, 64)
		case *bool:
			*f, err = strconv.ParseBool(v.value)
		}
		if err != nil {
			return fmt.Errorf("argument %s=%q: %w", v.key, v.value, errors.Unwrap(err))
		}
	}
	return nil
}

// setRoute tells who holds the journal, in headers.
func setRoute(w http.ResponseWriter, header *protocol.Header, journal string) {
	if header == nil {
		return
	}
	w.Header().Set(headerRouteToken, routeToken(header.GetRoute()))
	if endpoint := header.GetRoute().EndpointOf(int(header.GetRoute().GetPrimary())); endpoint != "" {
		w.Header().Set("Location", strings.TrimSuffix(endpoint, "/")+(&url.URL{Path: "/" + journal}).EscapedPath())
	}
}

// routeToken is a route in the compact text format of protobuf, as Gazette spells it.
func routeToken(route *protocol.Route) string {
	var words []string
	for _, m := range route.GetMembers() {
		words = append(words, fmt.Sprintf("members:<zone:%q suffix:%q >", m.GetZone(), m.GetSuffix()))
	}
	if p := route.GetPrimary(); p != 0 {
		words = append(words, fmt.Sprintf("primary:%d", p))
	}
	for _, e := range route.GetEndpoints() {
		words = append(words, fmt.Sprintf("endpoints:%q", e))
	}
	return strings.Join(words, " ")
}

// writeError answers with an error, and what to do about it.
func writeError(w http.ResponseWriter, code int, text, hint string) {
	h := w.Header()
	h.Del("Trailer")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\nhint: "+hint+"\n") // A client that is gone can't be told.
}

// writeStatus answers with a status of the protocol: its name is the first line, as
// Gazette's brokers answer, and the journal is named in the second.
func writeStatus(w http.ResponseWriter, code int, journal, text, hint string) {
	writeError(w, code, text+"\njournal: "+journal, hint)
}

// writeFailure answers with the error of a request that has sent nothing yet.
func writeFailure(w http.ResponseWriter, err error) {
	if _, ok := errors.AsType[*bodyError](err); ok {
		writeError(w, http.StatusBadRequest, err.Error(),
			"send as many bytes as Content-Length says, or well-formed chunks to their end; nothing was appended")
		return
	}
	if invalid, ok := errors.AsType[*protocol.ValidationError](err); ok {
		hint := "an offset is 0 or more, or -1 for the head"
		if invalid.Path == "Journal" || strings.HasPrefix(invalid.Path, "Journal.") {
			hint = "a journal's name is the path after the first slash, as in /acme/clicks/part-000"
		}
		writeError(w, http.StatusBadRequest, err.Error(), hint)
		return
	}
	s, _ := status.FromError(rpcError(err))
	if s.Code() == codes.Unauthenticated || errors.Is(err, errExpired) {
		writeDenial(w, err)
		return
	}
	code, hint := http.StatusInternalServerError, "see the log of the broker"
	switch s.Code() {
	case codes.Unimplemented:
		code, hint = http.StatusNotImplemented, "this broker doesn't do that"
	case codes.ResourceExhausted:
		code, hint = http.StatusInsufficientStorage, "make room on the disk of the broker, or let it have more files open, as the error says"
	case codes.Unavailable:
		code, hint = http.StatusServiceUnavailable, "try again in a moment"
	case codes.DeadlineExceeded:
		code, hint = http.StatusRequestTimeout, "send the content without long pauses; nothing was appended"
	default:
	}
	text := err.Error()
	if s.Code() != codes.Unknown {
		text = s.Message()
	}
	writeError(w, code, text, hint)
}

// tell a client why its request was refused with a status, and in a hint what to do about it.
func (b *Broker) tell(s protocol.Status, journal string) (string, string) {
	if why := b.explain(s, journal); why != "" {
		return s.String() + ": " + why, "raise --broker.limit of the brokers, or start another one"
	}
	return s.String(), statusHint(s)
}

// statusHint is what to do about a status.
func statusHint(s protocol.Status) string {
	switch s {
	case protocol.Status_JOURNAL_NOT_FOUND:
		return "create the journal first; appending to a name doesn't make one"
	case protocol.Status_NO_JOURNAL_PRIMARY_BROKER:
		return "try again in a moment: the journal is about to be assigned to a broker"
	case protocol.Status_INSUFFICIENT_JOURNAL_BROKERS:
		return "the journal has too few brokers that can be reached: try again; if that lasts, see that its brokers run, or start another broker, in another zone if all are in one, or lower the replication"
	case protocol.Status_NOT_JOURNAL_PRIMARY_BROKER, protocol.Status_NOT_JOURNAL_BROKER:
		return "ask the broker that the headers Location and X-Route-Token name"
	case protocol.Status_OFFSET_NOT_YET_AVAILABLE:
		return "read at an offset below X-Write-Head, or add block=true to wait for more"
	case protocol.Status_NOT_ALLOWED:
		return "the flags of the journal's spec don't allow it"
	case protocol.Status_INDEX_HAS_GREATER_OFFSET:
		return "the stores have more of the journal than its broker: content was lost, and appends are stopped so that no offset is given twice"
	case protocol.Status_SUSPENDED:
		return "the journal is suspended, and has to be resumed first"
	case protocol.Status_FRAGMENT_STORE_UNHEALTHY:
		return "mend the journal's stores, or their entry in its spec"
	default:
		return "see the status in the reference of the protocol"
	}
}
