package cloudtest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Fault is what becomes of a request.
type Fault string

const (
	// None lets the request through.
	None Fault = ""
	// Refuse ends the connection, and the server sees nothing of the request.
	Refuse Fault = "refuse"
	// Cut gives the server half of the body, and ends both connections.
	Cut Fault = "cut"
	// Lost does the request, and ends the connection in place of an answer.
	Lost Fault = "lost"
	// Half does the request, and ends the connection amid the answer's body; one without
	// a body is lost.
	Half Fault = "half"
	// Busy answers 503, and the server sees nothing of the request.
	Busy Fault = "busy"
	// Hang answers nothing, for as long as somebody waits.
	Hang Fault = "hang"
)

// Faults are all but None.
var Faults = []Fault{Refuse, Cut, Lost, Half, Busy, Hang}

// Proxy stands before a server.
type Proxy struct {
	// URL of the proxy.
	URL string

	server *httptest.Server
	target *url.URL
	next   *http.Transport

	mu       sync.Mutex
	requests int
	fault    func(n int, r *http.Request) Fault
}

// NewProxy starts a proxy before the server of an endpoint.
func NewProxy(t *testing.T, endpoint string) *Proxy {
	t.Helper()
	return newProxy(t, endpoint, nil)
}

// newProxy is a proxy whose endpoint speaks TLS, unless that is nil.
func newProxy(t *testing.T, endpoint string, secured *tls.Config) *Proxy {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, next: &http.Transport{DisableCompression: true, TLSClientConfig: secured}}
	p.server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	p.URL = p.server.URL
	return p
}

// Close ends the proxy. It returns once no request is under way at the server any more, also of those that nobody
// waits for.
func (p *Proxy) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
	p.next.CloseIdleConnections()
}

// Reset counts requests from one again, and gives each the fault that fault says; nil is
// None. It returns how many requests there were.
func (p *Proxy) Reset(fault func(n int, r *http.Request) Fault) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.requests
	p.requests, p.fault = 0, fault
	return n
}

func (p *Proxy) take(r *http.Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	if p.fault == nil {
		return None
	}
	return p.fault(p.requests, r)
}

// errCut ends the body of a request that is cut.
var errCut = errors.New("cut")

// ServeHTTP does a request, or what a fault makes of it.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := p.take(r)
	body := io.Reader(r.Body)
	switch fault {
	case Refuse:
		panic(http.ErrAbortHandler)
	case Busy:
		http.Error(w, "", http.StatusServiceUnavailable)
		return
	case Hang:
		// That the other side has gone is seen when its body has been read.
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return
	case Cut:
		body = io.MultiReader(io.LimitReader(r.Body, max(r.ContentLength, 0)/2), failing{})
	case None, Lost, Half:
	}
	out := r.Clone(context.WithoutCancel(r.Context())) // It goes on though its client gives up.
	out.URL.Scheme, out.URL.Host, out.RequestURI = p.target.Scheme, p.target.Host, ""
	out.Body = io.NopCloser(body)
	if r.ContentLength == 0 && fault != Cut {
		out.Body = http.NoBody
	}
	response, err := p.next.RoundTrip(out)
	if err != nil || fault == Lost {
		if err == nil {
			_ = response.Body.Close()
		}
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = response.Body.Close() }()
	maps.Copy(w.Header(), response.Header)
	if fault != Half {
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, response.Body)
		return
	}
	text, _ := io.ReadAll(response.Body)
	if len(text) > 0 {
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, strings.NewReader(string(text[:len(text)/2])))
		_ = http.NewResponseController(w).Flush()
	}
	panic(http.ErrAbortHandler)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errCut }
