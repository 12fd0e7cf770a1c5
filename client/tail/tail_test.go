package tail_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/client/mapping"
	"broadsheet.dev/broadsheet/client/publish"
	"broadsheet.dev/broadsheet/client/tail"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

type entry struct {
	UUID message.UUID `json:"uuid"`
	Text string       `json:"text"`
}

func (e *entry) GetUUID() message.UUID                   { return e.UUID }
func (e *entry) SetUUID(u message.UUID)                  { e.UUID = u }
func (*entry) NewAcknowledgement(string) message.Message { return new(entry) }

func fresh(*protocol.JournalSpec) (message.Message, error) { return new(entry), nil }

// world is a broker, and who publishes to it.
type world struct {
	*testing.T

	broker    *brokertest.Broker
	client    *client.Client
	run       *async.Run
	publisher *publish.Publisher
}

func newWorld(t *testing.T) *world {
	t.Helper()
	b := brokertest.New(t, brokertest.Config{Quiet: true})
	c, err := client.Dial(t.Context(), client.Config{Endpoint: b.Endpoint()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	s, err := async.New(context.WithoutCancel(t.Context()), c, async.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	run := s.NewRun(async.AtLeastOnce)
	return &world{t, b, c, run, publish.New(run, publish.Config{})}
}

func (w *world) create(journal string) {
	w.Helper()
	spec := brokertest.Spec(journal)
	spec.Labels = protocol.MustLabelSet("content-type", message.JSONLines, "kind", "a")
	w.broker.Create(spec)
}

func to(journal string) publish.Mapping {
	return func(message.Message) (mapping.Partition, error) {
		return mapping.Partition{Journal: journal, ContentType: message.JSONLines}, nil
	}
}

func (w *world) publish(journal, text string) {
	w.Helper()
	_, err := w.publisher.PublishCommitted(w.Context(), to(journal), &entry{Text: text})
	require.NoError(w, err)
}

func (w *world) publishOpen(journal, text string) {
	w.Helper()
	_, err := w.publisher.PublishUncommitted(w.Context(), to(journal), &entry{Text: text})
	require.NoError(w, err)
}

func (w *world) commit() {
	w.Helper()
	intents, _, err := w.publisher.BuildAckIntents()
	require.NoError(w, err)
	_, err = w.publisher.Acknowledge(w.Context(), intents)
	require.NoError(w, err)
}

func (w *world) read(t *tail.Tail) []string {
	w.Helper()
	require.NoError(w, w.run.Wait(w.Context()))
	var out []string
	require.NoError(w, t.Read(w.Context(), func(env message.Envelope) error {
		out = append(out, env.Message.(*entry).Text)
		return nil
	}))
	return out
}

// TestParts: each message is given once, in the part in which it is committed, of journals that come, too.
func TestParts(t *testing.T) {
	w := newWorld(t)
	all := tail.New(w.client, tail.Labelled("kind", "a"), fresh)
	w.create("a/one")
	require.Empty(t, w.read(all))
	w.publish("a/one", "1")
	w.publishOpen("a/one", "2")
	w.publish("a/one", "3")
	require.Equal(t, []string{"1", "3"}, w.read(all))
	require.Empty(t, w.read(all))
	w.create("a/two")
	w.publish("a/two", "4")
	w.commit()
	require.Equal(t, []string{"2", "4"}, w.read(all))
	w.publishOpen("a/two", "never")
	require.NoError(t, w.run.Wait(t.Context()))
	w.publisher.Rollback()
	w.publish("a/two", "5")
	require.Equal(t, []string{"5"}, w.read(all))
}

// TestErrorsAreTheLast: a tail that has failed gives nothing more.
func TestErrorsAreTheLast(t *testing.T) {
	w := newWorld(t)
	require.ErrorIs(t, tail.New(w.client, tail.Labelled("kind", "a"), fresh).Read(t.Context(), nil), tail.ErrNoJournals)
	w.create("a/one")
	w.publish("a/one", "1")
	w.publish("a/one", "2")
	require.NoError(t, w.run.Wait(t.Context()))
	all := tail.New(w.client, tail.Labelled("kind", "a"), fresh)
	refused := errors.New("refused")
	for range 2 {
		err := all.Read(t.Context(), func(message.Envelope) error { return refused })
		require.ErrorIs(t, err, refused)
		require.ErrorContains(t, err, "message of a/one at 0")
	}
	_, err := w.client.Append(t.Context(), client.AppendParams{Journal: "a/one"}, strings.NewReader("no JSON\n"))
	require.NoError(t, err)
	err = tail.New(w.client, tail.Labelled("kind", "a"), fresh).Read(t.Context(), func(message.Envelope) error { return nil })
	require.ErrorContains(t, err, "a/one [")
}
