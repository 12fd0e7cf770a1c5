package journals_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/client"
)

// command runs the program in this process.
func command(ctx context.Context, b *brokertest.Broker, in io.Reader, out io.Writer, args ...string) error {
	cmd := root()
	cmd.SetArgs(append(args, "--broker.address", b.Endpoint()))
	cmd.SetIn(in)
	cmd.SetOut(out)
	cmd.SetErr(io.Discard)
	return cmd.ExecuteContext(ctx)
}

// alphabets are the letters of each journal: its stream is known from a mix of all.
var alphabets = []string{"abcdefgh", "ABCDEFGH", "01234567"}

func makeJournals(t *testing.T, b *brokertest.Broker, prefix string) []string {
	t.Helper()
	var names []string
	var spec strings.Builder
	spec.WriteString("name: " + prefix + "\nreplication: 1\nfragment: {length: 1024, compression_codec: NONE, refresh_interval: 1h, stores: [\"file:///\"]}\nchildren:\n")
	for i := range alphabets {
		names = append(names, fmt.Sprintf("%spart-%d", prefix, i))
		spec.WriteString("- name: " + names[i] + "\n")
	}
	require.NoError(t, command(t.Context(), b, strings.NewReader(spec.String()), io.Discard, "journals", "apply"))
	return names
}

// appendAll appends to all journals at once, each append ending with a line feed, and returns the
// streams.
func appendAll(t *testing.T, b *brokertest.Broker, names []string, appends int) [][]byte {
	t.Helper()
	brokers, err := client.Dial(t.Context(), client.Config{Endpoint: b.Endpoint()})
	require.NoError(t, err)
	defer func() { require.NoError(t, brokers.Close()) }()
	streams := make([][]byte, len(names))
	var appending sync.WaitGroup
	for i, name := range names {
		appending.Go(func() {
			for range appends {
				from := len(streams[i])
				for n := 1 + rand.IntN(700); n > 0; n-- {
					streams[i] = append(streams[i], alphabets[i][len(streams[i])%8])
				}
				streams[i] = append(streams[i], '\n')
				_, err := brokers.Append(t.Context(), client.AppendParams{Journal: name}, bytes.NewReader(streams[i][from:]))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	appending.Wait()
	return streams
}

// streamOf a journal, of what was read of all. Line feeds, which are no one's, are left out.
func streamOf(i int, content []byte) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(alphabets[i], r) {
			return r
		}
		return -1
	}, string(content))
}

func requireStreams(t *testing.T, want [][]byte, got []byte) {
	t.Helper()
	for i := range want {
		require.Equal(t, streamOf(i, want[i]), streamOf(i, got), "journal %d", i)
	}
}

// writes counts what is written, and calls a function once it is enough.
type writes struct {
	bytes.Buffer
	enough int
	then   func()
}

func (w *writes) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if w.Len() >= w.enough {
		w.then()
	}
	return n, err
}

// TestReadMixesWholeAppends: while journals are appended to, each line of the output is of one
// journal, and each journal's are all there, in their order.
func TestReadMixesWholeAppends(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Quiet: true})
	names := makeJournals(t, b, "mix/")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pipe, out := io.Pipe()
	var reading sync.WaitGroup
	reading.Go(func() {
		_ = out.CloseWithError(command(ctx, b, nil, out, "journals", "read", "-l", "prefix=mix/", "--block"))
	})
	want := appendAll(t, b, names, 60)
	total := 0
	for _, s := range want {
		total += len(s)
	}
	got := make([]byte, total)
	_, err := io.ReadFull(pipe, got)
	require.NoError(t, err)
	cancel()
	rest, err := io.ReadAll(pipe)
	require.NoError(t, err)
	reading.Wait()
	require.Empty(t, rest)
	requireStreams(t, want, got)
	for line := range bytes.Lines(got) {
		for i := range alphabets {
			if n := len(streamOf(i, line)); n != 0 {
				require.Len(t, line, n+1, "two journals in a line: %s", line)
			}
		}
	}
}

// TestInterruptedReadsGoOn: runs that are interrupted anywhere, each beginning at the offsets of the
// one before, have each byte once.
func TestInterruptedReadsGoOn(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Quiet: true})
	names := makeJournals(t, b, "again/")
	want := appendAll(t, b, names, 60)
	offsets := filepath.Join(t.TempDir(), "offsets.json")
	require.NoError(t, os.WriteFile(offsets, []byte("{}"), 0o600))
	var got []byte
	total := 0
	for _, s := range want {
		total += len(s)
	}
	for runs := 0; len(got) < total; runs++ {
		require.Less(t, runs, 1000)
		ctx, cancel := context.WithCancel(t.Context())
		out := writes{enough: min(1+rand.IntN(20_000), total-len(got)), then: cancel}
		require.NoError(t, command(ctx, b, nil, &out,
			"journals", "read", "-l", "prefix=again/", "--block", "--offsets", offsets, "--offsets-out", offsets))
		cancel()
		got = append(got, out.Bytes()...)
	}
	requireStreams(t, want, got)
	// Nothing is left.
	var out bytes.Buffer
	require.NoError(t, command(t.Context(), b, nil, &out, "journals", "read", "-l", "prefix=again/", "--offsets", offsets))
	require.Empty(t, out.String())
}

// TestReadTellsOfABrokenPipe, and then keeps no offsets.
func TestReadTellsOfABrokenPipe(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Quiet: true})
	names := makeJournals(t, b, "pipe/")
	appendAll(t, b, names, 3)
	offsets := filepath.Join(t.TempDir(), "offsets.json")
	pipe, out := io.Pipe()
	require.NoError(t, pipe.Close())
	err := command(t.Context(), b, nil, out, "journals", "read", "-l", "prefix=pipe/", "--offsets-out", offsets)
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.NoFileExists(t, offsets)
}
