package pgwire

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sixColumns is a row of about 100 bytes, as text.
var sixColumns = [][]byte{
	[]byte("1234567"), []byte("2026-01-01 00:00:01+00"), []byte("key-000000000123"), []byte("0.123456789"), []byte("4321"),
	[]byte("0123456789abcdef0123456789abcdef"),
}

// silence takes everything.
type silence struct{ net.Conn }

func (silence) Write(p []byte) (int, error) { return len(p), nil }
func (silence) SetDeadline(time.Time) error { return nil }

func newSilentResult() (*conn, *result) {
	cfg := Config{MaxRow: 1 << 20}
	c := newConn(context.Background(), &cfg, newPool(), silence{})
	return c, c.newResult(make([]Column, len(sixColumns)), nil, 0)
}

func writeSix(w RowSink) error {
	row := w.Row(len(sixColumns))
	for i, v := range sixColumns {
		if w.Binary(i) {
			row.Null()
			continue
		}
		row.Put(append(row.Begin(), v...))
	}
	return row.End()
}

// TestRowsTakeNoMemory: none for a row, a part of a COPY, or a buffer that was sent.
func TestRowsTakeNoMemory(t *testing.T) {
	c, r := newSilentResult()
	require.NoError(t, writeSix(r))
	require.Zero(t, testing.AllocsPerRun(5000, func() {
		if writeSix(r) != nil {
			t.Fail()
		}
	}))
	r = c.newResult(nil, nil, 0)
	require.NoError(t, r.CopyOut(1, false))
	require.Zero(t, testing.AllocsPerRun(5000, func() {
		if r.CopyData(sixColumns[5]) != nil {
			t.Fail()
		}
	}))
}

// BenchmarkRows is the cost of a row of six columns, without that of sending it.
func BenchmarkRows(b *testing.B) {
	_, r := newSilentResult()
	b.ReportAllocs()
	for b.Loop() {
		if err := writeSix(r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// benchBackend has sessions with one statement, that returns as many rows as its text says.
type benchBackend struct{}

func (benchBackend) Open(context.Context, Startup) (Session, error) { return benchSession{}, nil }

type benchSession struct{}

func (benchSession) Parse(_ context.Context, sql string, _ []uint32) ([]Statement, error) {
	n, err := strconv.Atoi(sql)
	return []Statement{benchStatement(n)}, err
}
func (benchSession) TxStatus() byte             { return 'I' }
func (benchSession) Sync(context.Context) error { return nil }
func (benchSession) Close()                     {}
func (benchSession) Failed()                    {}

func (benchSession) Patience() (time.Duration, *Error) { return 0, nil }
func (benchSession) Notifications() []Notification     { return nil }

type benchStatement int

func (benchStatement) Params() []uint32                              { return nil }
func (benchStatement) Columns() []Column                             { return make([]Column, len(sixColumns)) }
func (s benchStatement) Bind(context.Context, []Arg) (Portal, error) { return s, nil }
func (benchStatement) Close()                                        {}

func (s benchStatement) Execute(_ context.Context, w ResultWriter, _ int) (bool, error) {
	if s < 0 {
		r, err := w.CopyIn(1, false)
		if err != nil {
			return false, err
		}
		_, err = io.Copy(io.Discard, struct{ io.Reader }{r})
		w.Complete("COPY 1")
		return true, err
	}
	for range s {
		if err := writeSix(w); err != nil {
			return false, err
		}
	}
	w.Complete("SELECT 1")
	return true, nil
}

func startBench(b *testing.B) (*wireClient, func()) {
	b.Helper()
	server, err := New(Config{Backend: benchBackend{}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, ln) }()
	nc, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(b, err)
	c := &wireClient{Conn: nc}
	require.Contains(b, c.start(protocol3, map[string]string{"user": "u"}), "ReadyForQuery")
	return c, func() {
		_ = nc.Close()
		cancel()
		require.NoError(b, <-ended)
	}
}

// drain reads until an answer is complete.
func drain(b *testing.B, c *wireClient, buf []byte) {
	b.Helper()
	for {
		n, err := c.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		if endsInReady(buf[:n]) {
			return
		}
	}
}

// BenchmarkSelect is a result of 100 000 rows over TCP, to a client that only reads.
func BenchmarkSelect(b *testing.B) {
	c, stop := startBench(b)
	defer stop()
	const rows = 100_000
	buf := make([]byte, 256<<10)
	for b.Loop() {
		c.send([]byte("Q\x00\x00\x00\x0b100000\x00"))
		drain(b, c, buf)
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkRoundTrip is a statement of one row, in the simple and the extended protocol.
func BenchmarkRoundTrip(b *testing.B) {
	extended := "P\x00\x00\x00\x09\x001\x00\x00\x00" + "B\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00" +
		"D\x00\x00\x00\x06P\x00" + "E\x00\x00\x00\x09\x00\x00\x00\x00\x00" + "S\x00\x00\x00\x04"
	for name, messages := range map[string]string{"simple": "Q\x00\x00\x00\x061\x00", "extended": extended} {
		b.Run(name, func(b *testing.B) {
			c, stop := startBench(b)
			defer stop()
			buf := make([]byte, 64<<10)
			b.ReportAllocs()
			for b.Loop() {
				c.send([]byte(messages))
				drain(b, c, buf)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "statements/s")
		})
	}
}

// BenchmarkCopyIn is data that comes in messages of 100 bytes, which is a row each.
func BenchmarkCopyIn(b *testing.B) {
	c, stop := startBench(b)
	defer stop()
	const rows = 100_000
	data := []byte("Q\x00\x00\x00\x07-1\x00")
	for range rows {
		data = append(append(data, "d\x00\x00\x00\x68"...), make([]byte, 100)...)
	}
	data = append(data, "c\x00\x00\x00\x04"...)
	buf := make([]byte, 1024)
	b.SetBytes(rows * 100)
	for b.Loop() {
		c.send(data)
		drain(b, c, buf)
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
}
