package consumer_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/consumertest"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// pieces is an application that reads journals as pieces of text with a bar behind each, whatever they are said to be. A piece "p:1:t"
// is message 1 of producer p, of flags t.
type pieces struct {
	tally

	mu   sync.Mutex
	seen []string
	from []int64 // where codecs began
}

// piece is a message of it.
type piece struct {
	entry

	text string
}

func (*pieces) NewMessage(*protocol.JournalSpec) (message.Message, error) { return new(piece), nil }

func (p *pieces) NewCodec(shard *consumer.Shard, spec *protocol.JournalSpec, from int64) (message.Codec, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if shard.Spec().GetId() != "a-shard" || spec.GetName() != "some/in" {
		return nil, fmt.Errorf("it is of %s in %s", shard.Spec().GetId(), spec.GetName())
	}
	p.from = append(p.from, from)
	return bars{}, nil
}

func (p *pieces) ConsumeMessage(_ context.Context, _ *consumer.Shard, _ store.Store, env message.Envelope) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, fmt.Sprintf("%d-%d %s", env.Begin, env.End, env.Message.(*piece).text))
	return nil
}

type bars struct{}

func (bars) AppendFrame(b, m []byte) ([]byte, error)             { return append(append(b, m...), '|'), nil }
func (bars) ReadFrame(r *bufio.Reader, _ int) ([]byte, error)    { return r.ReadBytes('|') }
func (bars) Message(frame []byte) []byte                         { return bytes.TrimSuffix(frame, []byte{'|'}) }
func (bars) Marshal(b []byte, _ message.Message) ([]byte, error) { return b, nil }
func (bars) Unmarshal(content []byte, m message.Message) error {
	p := m.(*piece)
	p.text = string(content)
	parts := strings.Split(p.text, ":")
	if len(parts) == 3 {
		flags := map[string]message.Flags{"t": message.ContinueTxn, "a": message.AckTxn}[parts[2]]
		p.SetUUID(message.NewUUID(message.Producer{1, 2, 3, 4, 5, parts[0][0]}, message.Clock(parts[1][0])<<8, flags))
	}
	return nil
}

// TestFramer: an application that cuts journals into messages itself gets those, also where they are read again.
func TestFramer(t *testing.T) {
	w := newWorld(t)
	spec := lines("some/in")
	spec.Labels = protocol.MustLabelSet("content-type", "text/plain")
	w.broker.Create(spec)
	const content = "one|two\nlines|p:1:t|p:2:t|p:3:t|three|p:4:a|"
	_, err := w.client.Append(t.Context(), client.AppendParams{Journal: "some/in"}, strings.NewReader(content))
	require.NoError(t, err)
	app := &pieces{tally: tally{v: newVault()}}
	h := w.host(app, nil)
	shard := consumertest.Spec("a-shard", "some/in")
	shard.RingBufferSize = 1 // so that it reads again
	h.Apply(shard)
	h.AwaitCode("a-shard", shards.ReplicaStatus_PRIMARY)
	readThrough(t, h, "a-shard", "some/in", int64(len(content)))
	app.mu.Lock()
	defer app.mu.Unlock()
	require.Equal(t, []string{"0-4 one", "4-14 two\nlines", "32-38 three", "14-20 p:1:t", "20-26 p:2:t", "26-32 p:3:t", "38-44 p:4:a"}, app.seen)
	require.Equal(t, int64(0), app.from[0])
	require.True(t, slices.Contains(app.from, 14), "%v", app.from)
}
