// Word-count counts words, and answers how often one was there. It is one application for two kinds of shards:
//
//   - A shard whose sources are lines splits them, and publishes each word to the one of the journals of words that its text chooses.
//   - A shard whose source is a journal of words counts them, in Pebble. It is named as the last part of its journal: part-000
//     has the words of words/part-000.
//
// Any process answers GET /count?word=W: if another one has the shard of the word, the request is passed on to it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/client/mapping"
	"broadsheet.dev/broadsheet/client/tail"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/run"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/consumer/store"
	pebblestore "broadsheet.dev/broadsheet/consumer/store/pebble"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// Journals have one of these values of the label app.gazette.dev/message-type, and the content-type application/x-ndjson.
const (
	lines = "word-count.Line"
	words = "word-count.Word"
)

// tag is where messages have their UUID, by which readers know duplicates and transactions.
type tag struct {
	UUID message.UUID `json:"uuid"`
}

func (t *tag) GetUUID() message.UUID                   { return t.UUID }
func (t *tag) SetUUID(to message.UUID)                 { t.UUID = to }
func (*tag) NewAcknowledgement(string) message.Message { return new(tag) }

// Line of text. Whoever appends {"text": "some words"} needs no UUID: such a line stands for itself.
type Line struct {
	tag
	Text string `json:"text"`
}

// Word of a line.
type Word struct {
	tag
	Word string `json:"word"`
}

// counter is the application.
type counter struct {
	host    *consumer.Host
	brokers *client.Client
}

func main() {
	c := new(counter)
	run.Main(c, run.Options{
		Name: "word-count", Short: "Count words, and answer how often one was there",
		Init: func(_ context.Context, cfg *consumer.Config) error {
			c.brokers = cfg.Brokers
			cfg.Handlers = append(cfg.Handlers, consumer.Handler{
				Method: http.MethodGet, Path: "/count", Wants: auth.Read, Handler: http.HandlerFunc(c.serveCount),
			})
			return nil
		},
		Bind: func(h *consumer.Host) { c.host = h },
	})
}

// state of a shard.
type state struct {
	*pebblestore.Store                     // of a counting shard: words, and their counts in digits
	words              *mapping.Partitions // for a splitting one: where they go
}

// NewStore opens Pebble in the directory of the shard's recovery log.
func (*counter) NewStore(ctx context.Context, shard *consumer.Shard) (store.Store, error) {
	all, err := shard.Client().List(ctx, tail.Labelled(protocol.LabelMessageType, words))
	if err != nil {
		return nil, err
	}
	files := shard.Recorder() // It is there because the shard's specification has a recovery_log_prefix.
	kept, err := pebblestore.Open(pebblestore.Config{FS: files.FS(), Dir: files.Dir()})
	return &state{kept, mapping.Of(all)}, err
}

// NewMessage is what lines of a journal are decoded into.
func (*counter) NewMessage(spec *protocol.JournalSpec) (message.Message, error) {
	if spec.GetLabels().ValueOf(protocol.LabelMessageType) == lines {
		return new(Line), nil
	}
	return new(Word), nil
}

// ConsumeMessage splits a line, or counts a word. What is published and what is counted happens with the transaction, or not at all.
func (*counter) ConsumeMessage(ctx context.Context, shard *consumer.Shard, st store.Store, env message.Envelope) error {
	if env.Message.GetUUID().Flags() == message.AckTxn {
		return nil // It has no content.
	}
	if m, ok := env.Message.(*Line); ok {
		for _, w := range strings.FieldsFunc(strings.ToLower(m.Text), func(r rune) bool { return !unicode.IsLetter(r) }) {
			to := func(message.Message) (mapping.Partition, error) { return mapping.Modulo(st.(*state).words, []byte(w)) }
			if _, err := shard.Publish(ctx, to, &Word{Word: w}); err != nil {
				return err
			}
		}
		return nil
	}
	word := []byte(env.Message.(*Word).Word)
	n, err := count(st.(*state).Get(word))
	if err != nil {
		return err
	}
	return st.(*state).Set(word, strconv.AppendInt(nil, n+1, 10))
}

func count(digits []byte, there bool, err error) (int64, error) {
	if err != nil || !there {
		return 0, err
	}
	return strconv.ParseInt(string(digits), 10, 64)
}

// FinalizeTxn has nothing to do: all is in the store by now.
func (*counter) FinalizeTxn(context.Context, *consumer.Shard, store.Store) error { return nil }

// passedOn is the header of a request that another process has passed on.
const passedOn = "X-Word-Count-Passed-On"

func (c *counter) serveCount(w http.ResponseWriter, r *http.Request) {
	word := strings.ToLower(r.URL.Query().Get("word"))
	res, err := c.resolve(r, word)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer res.Done()
	if res.Store == nil {
		route := res.Header.GetRoute()
		primary, err := url.Parse(route.GetEndpoints()[route.GetPrimary()])
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		r.Header.Set(passedOn, "1")
		httputil.NewSingleHostReverseProxy(primary).ServeHTTP(w, r)
		return
	}
	n, err := committed(res.Store.(*state).Store, word)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"word": word, "count": n}) // A client that is gone can't be told.
}

// resolve who has the shard of a word: this process, whose store it is then, or another one.
func (c *counter) resolve(r *http.Request, word string) (consumer.Resolution, error) {
	all, err := c.brokers.List(r.Context(), tail.Labelled(protocol.LabelMessageType, words))
	if err != nil {
		return consumer.Resolution{}, err
	}
	of, err := mapping.Modulo(mapping.Of(all), []byte(word)) // as it was published
	if err != nil {
		return consumer.Resolution{}, err
	}
	res, err := c.host.Resolve(r.Context(), consumer.ResolveArgs{Shard: path.Base(of.Journal), MayProxy: r.Header.Get(passedOn) == ""})
	if err == nil && res.Status != shards.Status_OK {
		res.Done()
		err = errors.New("shard " + path.Base(of.Journal) + ": " + res.Status.String())
	}
	return res, err
}

// committed count of a word, as of the last transaction that is done.
func committed(in *pebblestore.Store, word string) (int64, error) {
	now, err := in.Snapshot()
	if err != nil {
		return 0, err
	}
	defer now.Close() //nolint:errcheck // it is only read
	return count(now.Get([]byte(word)))
}
