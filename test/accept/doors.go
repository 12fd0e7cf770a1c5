package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/test/system"
)

// padding makes records of about 120 bytes that compress like records do.
const padding = "the quick brown fox jumps over the lazy dog and then goes on its way"

// appendRecords appends the records of a batch as JSON lines.
func appendRecords(dst []byte, b batch) []byte {
	for id := b.first; id < b.first+b.n; id++ {
		dst = append(dst, `{"door":"`...)
		dst = append(dst, b.door.String()...)
		dst = append(dst, `","id":`...)
		dst = strconv.AppendInt(dst, id, 10)
		dst = append(dst, `,"note":"`...)
		dst = append(dst, padding[id%40:]...)
		dst = append(dst, '"', '}', '\n')
	}
	return dst
}

// writer sends one batch and returns once it is acknowledged.
type writer interface {
	send(ctx context.Context, b batch) error
	close()
}

// grpcWriter appends by the journal protocol.
type grpcWriter struct {
	client   *client.Client
	journals []string
	buf      []byte
}

func newGRPCWriter(ctx context.Context, s *system.Server, journals []string) (writer, error) {
	c, err := client.Dial(ctx, client.Config{Endpoint: "http://" + s.Broker})
	return &grpcWriter{client: c, journals: journals}, err
}

func (w *grpcWriter) send(ctx context.Context, b batch) error {
	w.buf = appendRecords(w.buf[:0], b)
	_, err := w.client.Append(ctx, client.AppendParams{Journal: pick(w.journals)}, bytes.NewReader(w.buf))
	return err
}

func (w *grpcWriter) close() { _ = w.client.Close() }

func pick(journals []string) string { return journals[rand.IntN(len(journals))] }

// httpWriter appends by PUT, as curl does.
type httpWriter struct {
	base     string
	journals []string
	client   *http.Client
	buf      []byte
}

func newHTTPWriter(s *system.Server, journals []string) writer {
	return &httpWriter{base: "http://" + s.Broker + "/", journals: journals, client: &http.Client{Transport: &http.Transport{}}}
}

func (w *httpWriter) send(ctx context.Context, b batch) error {
	w.buf = appendRecords(w.buf[:0], b)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, w.base+pick(w.journals), bytes.NewReader(w.buf))
	if err != nil {
		return err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("PUT: %s: %s", resp.Status, text)
	}
	return nil
}

func (w *httpWriter) close() { w.client.CloseIdleConnections() }

// psqlWriter runs psql with COPY FROM STDIN for each batch.
type psqlWriter struct {
	url string
	buf []byte
}

func (w *psqlWriter) send(ctx context.Context, b batch) error {
	w.buf = w.buf[:0]
	for id := b.first; id < b.first+b.n; id++ {
		w.buf = fmt.Appendf(w.buf, "%s\t%d\t%s\n", b.door, id, padding[id%40:])
	}
	cmd := exec.CommandContext(ctx, "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", w.url, "-c", "COPY accept FROM STDIN")
	cmd.Stdin = bytes.NewReader(w.buf)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("psql: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (w *psqlWriter) close() {}
