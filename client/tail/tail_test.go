package tail_test

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// TestMadeAgain: a journal of the name of one that was deleted is read from its own begin.
func TestMadeAgain(t *testing.T) {
	w := newWorld(t)
	all := tail.New(w.client, tail.Labelled("kind", "a"), fresh)
	w.create("a/one")
	w.publish("a/one", "a message that is longer than the next one")
	require.Len(t, w.read(all), 1)
	_, err := w.client.Apply(t.Context(), []*protocol.ApplyRequest_Change{{Delete: "a/one", ExpectModRevision: -1}})
	require.NoError(t, err)
	w.create("a/one")
	w.publish("a/one", "short")
	require.Equal(t, []string{"short"}, w.read(all))
}

// TestSuspended: journals that are suspended are read to their ends, and left as they are when nothing of them is new.
func TestSuspended(t *testing.T) {
	w := newWorld(t)
	suspend := func(level protocol.JournalSpec_Suspend_Level) {
		t.Helper()
		_, err := w.client.Append(t.Context(), client.AppendParams{Journal: "a/one", Suspend: protocol.AppendRequest_SUSPEND_NOW}, nil)
		if !errors.Is(err, protocol.Status_SUSPENDED.Err()) { // as it is by now
			require.NoError(t, err)
		}
		w.awaitLevel(level)
	}
	w.create("a/one")
	suspend(protocol.JournalSpec_Suspend_FULL)
	all := tail.New(w.client, tail.Labelled("kind", "a"), fresh)
	require.Empty(t, w.read(all))
	w.awaitLevel(protocol.JournalSpec_Suspend_FULL)
	w.publish("a/one", "1")
	require.NoError(t, w.run.Wait(t.Context()))
	suspend(protocol.JournalSpec_Suspend_PARTIAL)
	require.Equal(t, []string{"1"}, w.read(all))
	require.Empty(t, w.read(all))
	w.awaitLevel(protocol.JournalSpec_Suspend_PARTIAL)
	require.Equal(t, []string{"1"}, w.read(tail.New(w.client, tail.Labelled("kind", "a"), fresh)))
	w.publish("a/one", "2")
	require.Equal(t, []string{"2"}, w.read(all))
}

// TestBeginsWhereTheJournalDoes: what was removed of it before the tail got there isn't waited for, nor an error.
func TestBeginsWhereTheJournalDoes(t *testing.T) {
	w := newWorld(t)
	line := `{"text":"left"}` + "\n"
	begin := 1000
	dir := filepath.Join(w.broker.Dir, "fragments", "a", "one")
	require.NoError(t, os.MkdirAll(dir, 0o750))
	name := fmt.Sprintf("%016x-%016x-%x.raw", begin, begin+len(line), sha1.Sum([]byte(line)))
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(line), 0o600))
	w.create("a/one")
	_, err := w.client.Append(t.Context(), client.AppendParams{Journal: "a/one", Offset: int64(begin + len(line))}, nil)
	require.NoError(t, err, "the journal goes on after what is stored")
	all := tail.New(w.client, tail.Labelled("kind", "a"), fresh)
	require.Equal(t, []string{"left"}, w.read(all))
	w.publish("a/one", "new")
	require.Equal(t, []string{"new"}, w.read(all))
}

// awaitLevel waits until the journal is suspended so.
func (w *world) awaitLevel(level protocol.JournalSpec_Suspend_Level) {
	w.Helper()
	watch := w.client.NewWatchedList(tail.Labelled("name", "a/one"))
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan error, 1)
	go func() { done <- watch.Run(ctx) }()
	_, err := watch.Await(ctx, func(s *client.Snapshot) bool {
		return len(s.Journals) == 1 && s.Journals[0].GetSpec().GetSuspend().GetLevel() == level
	})
	require.NoError(w, err)
	cancel()
	require.ErrorIs(w, <-done, context.Canceled)
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
