package system_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/test/system"
)

// resident is the memory of a process, in bytes.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(text), "VmRSS:")
	require.True(t, ok)
	var kib int64
	_, err = fmt.Sscan(rest, &kib)
	require.NoError(t, err)
	return kib << 10
}

// reader is a client that reads a result message by message, when the test wants it to.
type reader struct {
	net.Conn
	in *bufio.Reader

	rows, bytes int64
	end         string // tag, or SQLSTATE
}

// ask begins a query and reads up to its first row.
func ask(t *testing.T, s *system.Server, sql string) *reader {
	t.Helper()
	nc, err := net.Dial("tcp", s.SQL)
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	r := &reader{Conn: nc, in: bufio.NewReaderSize(nc, 64<<10)}
	hello := &pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion30, Parameters: map[string]string{"user": "postgres"}}
	text, err := hello.Encode(nil)
	require.NoError(t, err)
	text, err = (&pgproto3.Query{String: sql}).Encode(text)
	require.NoError(t, err)
	_, err = nc.Write(text)
	require.NoError(t, err)
	for r.rows == 0 && r.end == "" {
		_, err := r.next()
		require.NoError(t, err)
	}
	return r
}

// next reads a message, and returns its type.
func (r *reader) next() (byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint32(head[1:])) - 4
	switch head[0] {
	case 'D':
		r.rows++
		r.bytes += int64(n) + 5
	case 'C', 'E':
		body := make([]byte, n)
		if _, err := io.ReadFull(r.in, body); err != nil {
			return 0, err
		}
		if r.end = strings.TrimRight(string(body), "\x00"); head[0] == 'E' {
			_, code, _ := strings.Cut(r.end, "\x00C")
			r.end, _, _ = strings.Cut(code, "\x00")
		}
		return head[0], nil
	default:
	}
	_, err := r.in.Discard(n)
	return head[0], err
}

// readOn reads the rest, and calls look now and then.
func (r *reader) readOn(t *testing.T, look func()) {
	t.Helper()
	for looked := time.Now(); ; {
		kind, err := r.next()
		require.NoError(t, err)
		if kind == 'Z' {
			return
		}
		if r.rows%1000 == 0 && time.Since(looked) > 100*time.Millisecond {
			looked = time.Now()
			look()
		}
	}
}

// TestStalledResultHoldsLittle: of a result that is ten times what the gateway may have, a client
// that doesn't read leaves it with a few MB, and gets every row when it does.
func TestStalledResultHoldsLittle(t *testing.T) {
	const ceiling, rows, times = 1 << 30, 1024, 500
	s := start(t, "--gateway.memory", "1GiB")
	run(t, s, "CREATE TABLE big (id BIGINT, pad TEXT)")
	run(t, s, fmt.Sprintf("INSERT INTO big SELECT i, repeat('x', 8192) FROM generate_series(1, %d) i", rows))
	require.Len(t, ids(t, s, "SELECT id FROM big"), rows)
	gateway, err := s.GatewayPID()
	require.NoError(t, err)
	before, most := resident(t, gateway), int64(0)
	look := func() { most = max(most, resident(t, gateway)-before) }

	r := ask(t, s, fmt.Sprintf("SELECT big.* FROM big, generate_series(1, %d)", times))
	for until := time.Now().Add(3 * time.Second); time.Now().Before(until); {
		look()
		require.Len(t, ids(t, s, "SELECT id FROM big"), rows)
	}
	t.Logf("stalled, it held %d MiB", most>>20)
	require.Less(t, most, int64(192<<20))
	began := time.Now()
	r.readOn(t, look)
	t.Logf("%d MiB in %v, with %d MiB at most", r.bytes>>20, time.Since(began), most>>20)
	require.Equal(t, fmt.Sprintf("SELECT %d", rows*times), r.end)
	require.Equal(t, int64(rows*times), r.rows)
	require.Greater(t, r.bytes, int64(3*ceiling))
	require.Less(t, most, int64(384<<20))
	now, err := s.GatewayPID()
	require.NoError(t, err)
	require.Equal(t, gateway, now, "it is the same process")
}

// TestStalledClientsKeepNobodyWaiting: many more than there are turns and places.
func TestStalledClientsKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	s := start(t)
	run(t, s, "CREATE TABLE t (id BIGINT, pad TEXT)")
	run(t, s, "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 2000) i")
	gateway, err := s.GatewayPID()
	require.NoError(t, err)
	before := resident(t, gateway)
	var stalled []*reader
	for range 24 {
		stalled = append(stalled, ask(t, s, "SELECT t.* FROM t, generate_series(1, 20)"))
	}
	for range 3 {
		began := time.Now()
		require.Len(t, ids(t, s, "SELECT id FROM t"), 2000)
		require.Less(t, time.Since(began), time.Minute, "some were ended to make room; else it would be never")
	}
	require.Less(t, resident(t, gateway)-before, int64(1<<30))
	t.Logf("%d stalled clients held %d MiB", len(stalled), (resident(t, gateway)-before)>>20)
	ends := map[string]int{}
	for _, r := range stalled {
		r.readOn(t, func() {})
		ends[r.end]++
	}
	require.Equal(t, map[string]int{"53000": 9, "SELECT 40000": 15}, ends)
}
