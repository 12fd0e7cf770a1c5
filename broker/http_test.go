package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker"
	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol"
)

// TestHTTP plays the files of testdata/http, each on a broker of its own. Commands:
//
//	http      input: a request, its lines as they are sent; a body gets its Content-Length
//	raw       input: the same without one
//	create NAME [flags=NAME] [length=N] [codec=NAME]
//	stored NAME count=N
//
// Addresses, times, and numbers of etcd in the answers are replaced by words. Pages of
// https://pages.example may use the JSON gateway.
func TestHTTP(t *testing.T) {
	datadriven.Walk(t, "testdata/http", func(t *testing.T, path string) {
		t.Helper()
		b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.AllowOrigins = []string{"https://pages.example"} }})
		s := &rpcScript{b: b, ctx: bounded(t)}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			s.t = t
			switch d.Cmd {
			case "http":
				head, content, _ := strings.Cut(d.Input, "\n\n")
				if content != "" {
					head += "\nContent-Length: " + strconv.Itoa(len(content))
				}
				return exchange(s.ctx, t, b, head+"\n\n"+content, false)
			case "raw":
				return exchange(s.ctx, t, b, strings.TrimSpace(d.Input)+"\n\n", false)
			default:
				return s.run(d)
			}
		})
	})
}

var (
	fragmentTime = regexp.MustCompile(`(?m)^X-Fragment-Last-Modified: .*$`)
	etcdNumber   = regexp.MustCompile(`"(clusterId|memberId|revision|raftTerm|modRevision|createRevision|modTime)":"[1-9][0-9]*"`)
	dateLine     = regexp.MustCompile(`(?m)^Date: .*\n`)
)

// exchange sends a request over a connection of its own, and returns the answer as text.
func exchange(ctx context.Context, t *testing.T, b *brokertest.Broker, request string, halfClose bool) string {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(b.URL(), "http://"))
	require.NoError(t, err)
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	require.NoError(t, conn.SetDeadline(deadline))
	head, content, _ := strings.Cut(request, "\n\n")
	line, rest, _ := strings.Cut(head, "\n")
	head = line + " HTTP/1.1\nHost: localhost\n"
	if rest != "" {
		head += rest + "\n"
	}
	_, err = io.WriteString(conn, strings.ReplaceAll(head, "\n", "\r\n")+"\r\n"+content)
	require.NoError(t, err)
	if halfClose {
		require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	}
	method, _, _ := strings.Cut(line, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(t, err, "the answer to %q", request)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)

	var out strings.Builder
	fmt.Fprintln(&out, resp.Status)
	writeSorted(&out, "", resp.Header)
	if len(body) != 0 {
		fmt.Fprintf(&out, "%s\n", strings.TrimSuffix(string(body), "\n"))
	}
	writeSorted(&out, "trailer ", resp.Trailer)
	text := strings.ReplaceAll(out.String(), strings.TrimPrefix(b.URL(), "http://"), "BROKER")
	text = etcdNumber.ReplaceAllString(text, `"$1":"N"`)
	text = dateLine.ReplaceAllString(text, "")
	return fragmentTime.ReplaceAllString(text, "X-Fragment-Last-Modified: TIME")
}

func writeSorted(out io.Writer, prefix string, h http.Header) {
	keys := make([]string, 0, len(h))
	for k := range h {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		for _, v := range h[k] {
			_, _ = fmt.Fprintf(out, "%s%s: %s\n", prefix, k, v)
		}
	}
}

// TestHTTPBlockingRead: content arrives as it is appended, long after the header's
// and the idle timeouts, until the broker stops.
func TestHTTPBlockingRead(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.IdleTimeout = 50 * time.Millisecond }})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	appendAtOnce(ctx, t, b, "a/journal", "first\n")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.URL()+"/a/journal?block=true", nil)
	require.NoError(t, err)
	resp, err := b.HTTP().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusPartialContent, resp.StatusCode)
	lines := bufio.NewReader(resp.Body)
	for i, want := range []string{"first\n", "second\n", "third\n"} {
		if i > 0 {
			await(ctx, t, 100*time.Millisecond) // beyond the idle timeout
			appendAtOnce(ctx, t, b, "a/journal", want)
		}
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, want, line)
	}
	b.Stop()
	rest, err := io.ReadAll(lines)
	require.NoError(t, err)
	require.Empty(t, rest)
	require.Empty(t, resp.Trailer.Get("X-Close-Error"))
}

// TestHTTPStalledPut: a PUT that stalls is ended, appends nothing, and delays nobody.
func TestHTTPStalledPut(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Adjust: func(c *broker.Config) { c.IdleTimeout = 200 * time.Millisecond }})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, b.URL()+"/a/journal", r)
	require.NoError(t, err)
	outcome := make(chan string, 1)
	go func() {
		resp, err := b.HTTP().Do(req)
		if err != nil {
			outcome <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		outcome <- resp.Status + " " + string(body)
	}()
	_, err = io.WriteString(w, "half")
	require.NoError(t, err)
	appendAtOnce(ctx, t, b, "a/journal", "whole")
	require.Contains(t, <-outcome, "408 Request Timeout journal a/journal: append: nothing was received for 200ms\nhint: ")
	require.NoError(t, w.Close())
	require.Equal(t, "whole", mustRead(ctx, t, b, "a/journal", 0))
}

// TestHTTPTornPut: a body that ends early, or isn't framed as HTTP says, is the client's
// fault: it is told so by the journal's name, and nothing is appended.
func TestHTTPTornPut(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	for _, c := range []struct{ name, request, want string }{
		{"before Content-Length", "PUT /a/journal\nContent-Length: 100\n\ntorn", "unexpected EOF"},
		{"before any content", "PUT /a/journal\nContent-Length: 100\n\n", "unexpected EOF"},
		{"within a chunk", "PUT /a/journal\nTransfer-Encoding: chunked\n\n64\r\ntorn", "unexpected EOF"},
		{"between chunks", "PUT /a/journal\nTransfer-Encoding: chunked\n\n4\r\ntorn\r\n", "unexpected EOF"},
		{"a chunk without a length", "PUT /a/journal\nTransfer-Encoding: chunked\n\nmany\r\ntorn\r\n0\r\n\r\n", "invalid byte in chunk length"},
		{"a chunk longer than it says", "PUT /a/journal\nTransfer-Encoding: chunked\n\n2\r\ntorn\r\n0\r\n\r\n", "malformed chunked encoding"},
		{"a chunk of a length that is too great", "PUT /a/journal\nTransfer-Encoding: chunked\n\nfffffffffffffffff\r\n", "http chunk length too large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := exchange(ctx, t, b, c.request, true)
			require.Contains(t, answer, "400 Bad Request")
			require.Contains(t, answer, "journal a/journal: the body of the request isn't whole: "+c.want)
			require.Contains(t, answer, "hint: send as many bytes as Content-Length says")
			require.Empty(t, mustRead(ctx, t, b, "a/journal", 0))
		})
	}
	mustAppend(ctx, t, b, "a/journal", "whole")
	require.Equal(t, "whole", mustRead(ctx, t, b, "a/journal", 0))
}

// TestHTTPPutRightAfterCreate: a PUT waits for the journal to be assigned.
func TestHTTPPutRightAfterCreate(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	for i := range 5 {
		name := "a/journal-" + strconv.Itoa(i)
		r, err := b.Client().Apply(ctx, &protocol.ApplyRequest{Changes: []*protocol.ApplyRequest_Change{{Upsert: brokertest.Spec(name)}}})
		require.NoError(t, err)
		require.Equal(t, protocol.Status_OK, r.GetStatus())
		require.Contains(t, exchange(ctx, t, b, "PUT /"+name+"\nContent-Length: 3\n\nabc", false), "204 No Content")
		require.Equal(t, "abc", mustRead(ctx, t, b, name, 0))
	}
}

// TestHTTPLarge sends and reads a body of many chunks, compressed in between.
func TestHTTPLarge(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	content := strings.Repeat("0123456789abcdef", 200_000)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, b.URL()+"/a/journal", strings.NewReader(content))
	require.NoError(t, err)
	client := b.HTTP()
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	mustAppend(ctx, t, b, "a/journal", "end")
	awaitStored(ctx, t, b, "a/journal", 1)
	req, err = http.NewRequestWithContext(ctx, http.MethodGet, b.URL()+"/a/journal?offset=16", nil)
	require.NoError(t, err)
	resp, err = client.Do(req)
	require.NoError(t, err)
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, content[16:]+"end", string(got))
	require.Equal(t, "OFFSET_NOT_YET_AVAILABLE", resp.Trailer.Get("X-Close-Error"))
}

// TestOversizedHeader is refused, and not read to its end.
func TestOversizedHeader(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.URL(), "http://"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, "GET /a/journal HTTP/1.1\r\nHost: localhost\r\n")
	require.NoError(t, err)
	sent := 0
	for ; err == nil && sent < 1<<20; sent += 1000 {
		_, err = io.WriteString(conn, "X-Big: "+strings.Repeat("x", 991)+"\r\n")
	}
	// The answer may be lost with the connection, which is closed on what we still send.
	answer, _ := io.ReadAll(conn)
	require.True(t, err != nil || len(answer) == 0 || strings.Contains(string(answer), "431 Request Header Fields Too Large"), "%s", answer)
}

// TestReadiness: not ready before, ready after, and it is told by name.
func TestReadiness(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	require.Contains(t, exchange(bounded(t), t, b, "GET /debug/ready", false), "200 OK")
	require.Contains(t, exchange(bounded(t), t, b, "GET /debug/pprof/", false), "404 Not Found")
}

// TestMetrics: a journal's head, and what of it only the broker has.
func TestMetrics(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{})
	ctx := bounded(t)
	b.Create(brokertest.Spec("a/journal"))
	mustAppend(ctx, t, b, "a/journal", "hello")
	answer := exchange(ctx, t, b, "GET /debug/metrics", false)
	require.Contains(t, answer, "gazette_write_head{journal=\"a/journal\"} 5\n")
	require.Contains(t, answer, "broadsheet_broker_unstored_bytes{journal=\"a/journal\"} 5\n")
	require.Contains(t, answer, "gazette_journal_server_started_totals{operation=\"Append\"} 1\n")
	require.Contains(t, answer, "gazette_journal_server_completed_totals{operation=\"Append\",status=\"OK\"} 1\n")
}

// await waits for a time that has to pass.
func await(ctx context.Context, t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
}
