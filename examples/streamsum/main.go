// Stream-sum finds out whether a cluster of brokers and consumers loses, doubles or changes anything. It works with any
// cluster that speaks Gazette's protocol:
//
//	stream-sum consume    runs shards that add streams up
//	stream-sum produce    publishes random streams, in chunks
//	stream-sum verify     compares what was published with what was added up
package main

import (
	"context"
	"hash/crc32"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/mapping"
	"broadsheet.dev/broadsheet/client/publish"
	"broadsheet.dev/broadsheet/client/tail"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/run"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/consumer/store/jsonfile"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// Journals are found by these values of the label app.gazette.dev/message-type. They are of content-type application/x-ndjson.
const (
	chunks = "stream-sum.Chunk"
	sums   = "stream-sum.Sum"
)

// tag is where messages have their UUID, by which readers know duplicates and transactions.
type tag struct {
	UUID message.UUID `json:"uuid"`
}

func (t *tag) GetUUID() message.UUID                   { return t.UUID }
func (t *tag) SetUUID(to message.UUID)                 { t.UUID = to }
func (*tag) NewAcknowledgement(string) message.Message { return new(tag) }

// Chunk of a stream.
type Chunk struct {
	tag
	Stream string `json:"stream"`
	Seq    int    `json:"seq"` // of the chunk in its stream: 0, 1, and so on
	Data   []byte `json:"data"`
	Sum    uint32 `json:"sum"` // of all data of the stream up to here, as the producer knows it
	Last   bool   `json:"last,omitempty"`
}

// Sum of a stream that has ended, as the consumer found it.
type Sum struct {
	tag
	Stream string `json:"stream"`
	Chunks int    `json:"chunks"`
	Sum    uint32 `json:"sum"`
}

func main() {
	root := &cobra.Command{Use: "stream-sum", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(produceCommand(), verifyCommand(), run.Command(summer{}, run.Options{Name: "consume", Prefix: "/gazette/consumers/stream-sum"}))
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	cobra.CheckErr(root.ExecuteContext(ctx))
}

// byStream maps all messages of a stream to one of the journals of a type: only there they have an order.
func byStream(ctx context.Context, brokers *client.Client, of string) (func(stream string) publish.Mapping, error) {
	all, err := brokers.List(ctx, tail.Labelled(protocol.LabelMessageType, of))
	to := mapping.Of(all)
	return func(stream string) publish.Mapping {
		return func(message.Message) (mapping.Partition, error) { return mapping.Modulo(to, []byte(stream)) }
	}, err
}

// summer is the application: it adds up the streams of its shard's sources, and publishes the sum of each once it has ended. It
// takes what comes; to judge that is for verify.
type summer struct{}

// state of a shard. The store writes Open to its file with each transaction, as JSON, and reads it when the shard begins anew.
type state struct {
	store.Store
	Open map[string]Sum // streams that haven't ended, as far as they have come
	to   func(stream string) publish.Mapping
}

// NewStore opens the state in the directory of the shard's recovery log.
func (summer) NewStore(ctx context.Context, shard *consumer.Shard) (store.Store, error) {
	to, err := byStream(ctx, shard.Client(), sums)
	if err != nil {
		return nil, err
	}
	s := &state{Open: make(map[string]Sum), to: to}
	files := shard.Recorder() // It is there because the shard's specification has a recovery_log_prefix.
	s.Store, err = jsonfile.Open(jsonfile.Config{FS: files.FS(), Dir: files.Dir()}, &s.Open)
	return s, err
}

// NewMessage is what lines of the sources are decoded into.
func (summer) NewMessage(*protocol.JournalSpec) (message.Message, error) { return new(Chunk), nil }

// ConsumeMessage adds a chunk to its stream. If it fails, nothing of the transaction has happened: there is nothing to undo.
func (summer) ConsumeMessage(ctx context.Context, shard *consumer.Shard, st store.Store, env message.Envelope) error {
	c, s := env.Message.(*Chunk), st.(*state)
	if c.UUID.Flags() == message.AckTxn {
		return nil // It has no content.
	}
	sum := Sum{Stream: c.Stream, Chunks: s.Open[c.Stream].Chunks + 1, Sum: crc32.Update(s.Open[c.Stream].Sum, crc32.IEEETable, c.Data)}
	if !c.Last {
		s.Open[c.Stream] = sum
		return nil
	}
	delete(s.Open, c.Stream)
	_, err := shard.Publish(ctx, s.to(c.Stream), &sum)
	return err
}

// FinalizeTxn has nothing to do: all is in the state by now.
func (summer) FinalizeTxn(context.Context, *consumer.Shard, store.Store) error { return nil }
