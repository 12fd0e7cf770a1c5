package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/client/mapping"
	"broadsheet.dev/broadsheet/client/publish"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/message/committed"
	"broadsheet.dev/broadsheet/protocol"
)

// row is a message of a table's journal.
type row struct {
	Meta struct {
		UUID message.UUID `json:"uuid"`
	} `json:"_meta"`
	N int `json:"n,omitempty"`

	to string
}

func (r *row) GetUUID() message.UUID                      { return r.Meta.UUID }
func (r *row) SetUUID(u message.UUID)                     { r.Meta.UUID = u }
func (*row) NewAcknowledgement(to string) message.Message { return &row{to: to} }

func toRow(m message.Message) (mapping.Partition, error) {
	return mapping.Partition{Journal: m.(*row).to, ContentType: message.JSONLines}, nil
}

var rowJournals = []string{"acme/rows/part-000", "acme/rows/part-001"}

// TestTransactions: of transactions over two journals of a real broker, which restarts, by
// publishers that give up, that crash after the commit and are recovered, exactly what was
// committed is delivered to readers of messages, with replays, and of lines, over any cuts.
func TestTransactions(t *testing.T) {
	b := brokertest.New(t, brokertest.Config{Quiet: true})
	for _, name := range rowJournals {
		spec := brokertest.Spec(name)
		spec.Labels = protocol.MustLabelSet("content-type", message.JSONLines)
		b.Create(spec)
	}
	c, err := client.Dial(t.Context(), client.Config{Endpoint: b.Endpoint()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	service, err := async.New(t.Context(), c, async.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, service.Close()) })

	want := writeTransactions(t, b, service)
	for i, name := range rowJournals {
		barrier, err := c.Barrier(t.Context(), name)
		require.NoError(t, err)
		require.Equal(t, want[i], messagesOf(t, c, name, barrier.Head))
		require.Equal(t, want[i], linesOf(t, c, name, barrier.Head))
	}
}

// writeTransactions publishes, and returns what was committed of each journal, in order.
func writeTransactions(t *testing.T, b *brokertest.Broker, service *async.Service) [][]int {
	ctx, n, want := t.Context(), 0, make([][]int, len(rowJournals))
	put := func(p *publish.Publisher, commit bool) {
		for range 20 {
			for i, to := range rowJournals {
				n++
				_, err := p.PublishUncommitted(ctx, toRow, &row{N: n, to: to})
				require.NoError(t, err)
				if commit {
					want[i] = append(want[i], n)
				}
			}
		}
	}
	built := func(p *publish.Publisher) []message.AckIntent {
		intents, appends, err := p.BuildAckIntents()
		require.NoError(t, err)
		for _, a := range appends {
			require.NoError(t, a.Err())
		}
		return intents
	}
	acknowledge := func(p *publish.Publisher, intents []message.AckIntent) {
		acks, err := p.Acknowledge(ctx, intents)
		require.NoError(t, err)
		for _, a := range acks {
			require.NoError(t, a.Err())
		}
	}
	first := publish.New(service.NewRun(async.AtLeastOnce), publish.Config{})
	put(first, false)
	first.Rollback()
	put(first, true)
	early := built(first)
	b.Restart()
	acknowledge(first, early)

	// The process crashes after its commit; another one recovers it, and doesn't know that
	// the one before is recovered already.
	put(first, true)
	stored := built(first)
	put(publish.New(service.NewRun(async.AtLeastOnce), publish.Config{}), false)
	second := publish.New(service.NewRun(async.AtLeastOnce), publish.Config{})
	acknowledge(second, early)
	acknowledge(second, stored)
	put(second, true)
	acknowledge(second, stored)
	acknowledge(second, built(second))
	return want
}

// messagesOf a journal, by a sequencer with a small ring.
func messagesOf(t *testing.T, c *client.Client, name string, head int64) []int {
	t.Helper()
	seq, err := message.NewSequencer(message.SequencerConfig{Messages: 7})
	require.NoError(t, err)
	spec := &protocol.JournalSpec{Name: name, Labels: protocol.MustLabelSet("content-type", message.JSONLines)}
	read := func(begin, end int64) *client.Reader {
		return c.NewReader(t.Context(), &protocol.ReadRequest{Journal: name, Offset: begin, EndOffset: end})
	}
	all, err := message.ReadUncommitted(read(0, head), message.IteratorConfig{
		Spec: spec, New: func(*protocol.JournalSpec) (message.Message, error) { return new(row), nil },
	})
	require.NoError(t, err)
	replays := 0
	it := message.ReadCommitted(all, seq, func(r message.Range) (message.Reader, error) {
		replays++
		return read(r.Begin, r.End), nil
	})
	defer it.Close()
	var out []int
	for {
		env, err := it.Next()
		if errors.Is(err, io.EOF) {
			require.Positive(t, replays)
			require.Equal(t, head, seq.Checkpoint()[name].ReadThrough)
			return out
		}
		require.NoError(t, err)
		if env.Message.GetUUID().Flags() != message.AckTxn {
			out = append(out, env.Message.(*row).N)
		}
	}
}

// linesOf a journal, over some cuts.
func linesOf(t *testing.T, c *client.Client, name string, head int64) []int {
	t.Helper()
	pointer, err := committed.ParsePointer("/_meta/uuid")
	require.NoError(t, err)
	source := func(ctx context.Context, begin, end int64) (io.ReadCloser, error) {
		return c.NewReader(ctx, &protocol.ReadRequest{Journal: name, Offset: begin, EndOffset: end}), nil
	}
	var state committed.State
	var out []int
	for _, cut := range []int64{head / 7, head / 3, head/2 + 1, head} {
		r, err := committed.NewReader(source, state, cut, committed.Config{UUID: pointer.UUID})
		require.NoError(t, err)
		for {
			line, err := r.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			if line.Verdict == committed.Committed {
				var uuid string
				var n int
				_, err := fmt.Sscanf(string(line.Text), `{"_meta":{"uuid":%q},"n":%d}`, &uuid, &n)
				require.NoError(t, err)
				out = append(out, n)
			}
		}
		state = r.State()
		require.NoError(t, r.Close())
	}
	require.Equal(t, head, state.Offset)
	slices.Sort(out) // they come in the journal's order within a cut
	return out
}
