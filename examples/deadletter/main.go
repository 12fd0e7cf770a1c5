// Dead-letter keeps balances of accounts, and shows two ways to go on past payments that can't be booked:
//
//   - With --bad=fail the shard fails on one, and says on which. Nothing is lost while somebody looks at it, and either mends the
//     program, or has the message skipped by two labels of the shard: broadsheet.dev/skip and broadsheet.dev/dead-letters.
//   - With --bad=publish the application itself publishes it to the journal of dead letters, and goes on at once.
//
// Either way the payment is there exactly once, as a consumer.DeadLetter.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/client/mapping"
	"broadsheet.dev/broadsheet/client/publish"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/run"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/consumer/store/jsonfile"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// labelBalances of a shard is the journal that new balances are published to.
const labelBalances = "balances"

// tag is where messages have their UUID, by which readers know duplicates and transactions.
type tag struct {
	UUID message.UUID `json:"uuid"`
}

func (t *tag) GetUUID() message.UUID                   { return t.UUID }
func (t *tag) SetUUID(to message.UUID)                 { t.UUID = to }
func (*tag) NewAcknowledgement(string) message.Message { return new(tag) }

// Line is a payment before anybody has looked at it. To decode it never fails, as long as it is JSON: so it is for ConsumeMessage to
// say what is wrong. On a line that isn't JSON a shard fails, whatever --bad says, and the two labels help.
type Line struct {
	tag
	text []byte
}

// UnmarshalJSON as of json.Unmarshaler.
func (l *Line) UnmarshalJSON(text []byte) error { //nolint:unparam // as of json.Unmarshaler
	l.text = bytes.Clone(text)
	_ = json.Unmarshal(text, &l.tag) // Without a UUID it stands for itself.
	return nil
}

// Payment of an account.
type Payment struct {
	Account string
	Cents   int64
}

func (l *Line) parse() (Payment, error) {
	var p Payment
	switch err := json.Unmarshal(l.text, &p); {
	case err != nil:
		return p, err
	case p.Account == "":
		return p, errors.New("it has no account")
	case p.Cents <= 0:
		return p, fmt.Errorf("%d cents are no payment", p.Cents)
	}
	return p, nil
}

// Balance of an account, as it is after a payment.
type Balance struct {
	tag
	Account string `json:"account"`
	Cents   int64  `json:"cents"`
}

// bank is the application.
type bank struct{ bad string }

func main() {
	b := new(bank)
	run.Main(b, run.Options{
		Name: "dead-letter", Short: "Keep balances of accounts",
		Flags: func(p *pflag.FlagSet) {
			p.StringVar(&b.bad, "bad", "fail", "what to do about payments that can't be booked: fail, or publish them as dead letters")
		},
		Init: func(context.Context, *consumer.Config) error {
			if b.bad != "fail" && b.bad != "publish" {
				return fmt.Errorf("--bad %s: isn't fail or publish", b.bad)
			}
			return nil
		},
	})
}

// state of a shard.
type state struct {
	store.Store
	Cents map[string]int64 // by account
}

// NewStore opens a file of JSON in the directory of the shard's recovery log.
func (*bank) NewStore(_ context.Context, shard *consumer.Shard) (store.Store, error) {
	s := &state{Cents: make(map[string]int64)}
	files := shard.Recorder() // It is there because the shard's specification has a recovery_log_prefix.
	var err error
	s.Store, err = jsonfile.Open(jsonfile.Config{FS: files.FS(), Dir: files.Dir()}, &s.Cents)
	return s, err
}

// NewMessage is what lines of the sources are decoded into.
func (*bank) NewMessage(*protocol.JournalSpec) (message.Message, error) { return new(Line), nil }

// ConsumeMessage books a payment.
func (b *bank) ConsumeMessage(ctx context.Context, shard *consumer.Shard, st store.Store, env message.Envelope) error {
	line, cents := env.Message.(*Line), st.(*state).Cents
	if line.UUID.Flags() == message.AckTxn {
		return nil // It has no content.
	}
	p, err := line.parse()
	if err != nil {
		if b.bad == "fail" {
			return err // The host adds which message it is.
		}
		letter := &consumer.DeadLetter{
			Shard: shard.Spec().GetId(), Journal: env.Journal, Begin: env.Begin, End: env.End, Error: err.Error(), Bytes: line.text,
		}
		_, err = shard.Publish(ctx, journalOf(shard, consumer.LabelDeadLetters), letter)
		return err
	}
	cents[p.Account] += p.Cents
	_, err = shard.Publish(ctx, journalOf(shard, labelBalances), &Balance{Account: p.Account, Cents: cents[p.Account]})
	return err
}

// journalOf a label of the shard: it is of content-type application/x-ndjson. If there is none, the append says so, and the shard fails.
func journalOf(shard *consumer.Shard, label string) publish.Mapping {
	return func(message.Message) (mapping.Partition, error) {
		return mapping.Partition{Journal: shard.Spec().GetLabels().ValueOf(label), ContentType: message.JSONLines}, nil
	}
}

// FinalizeTxn has nothing to do: all is in the state by now.
func (*bank) FinalizeTxn(context.Context, *consumer.Shard, store.Store) error { return nil }
