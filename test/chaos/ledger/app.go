package ledger

import (
	"context"
	"fmt"
	"os"

	"broadsheet.dev/broadsheet/client/mapping"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/run"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// outputs are the journals of receipts. A depositor's are all in one of them.
var outputs = [...]string{"chaos/receipts/0", "chaos/receipts/1"}

// Outputs are the journals of receipts.
func Outputs() []string { return outputs[:] }

// Prefix of the hosts' keys in etcd.
const Prefix = "/gazette/consumers/ledger"

const variable = "BROADSHEET_CHAOS_LEDGER"

// Environment has a program that calls Main be a host of the application.
func Environment() string { return variable + "=1" }

// Main runs a host, by the flags of package run, if the environment says so. It doesn't return then.
func Main() {
	if os.Getenv(variable) == "" {
		return
	}
	run.Main(App{}, run.Options{Name: "ledger", Prefix: Prefix})
	os.Exit(0)
}

// App is the application.
type App struct{}

var _ consumer.Application = App{}

// NewStore as of consumer.Application.
func (App) NewStore(_ context.Context, shard *consumer.Shard) (store.Store, error) {
	r := shard.Recorder()
	return Open(shard.Spec().GetId(), r.FS(), r.Dir())
}

// NewMessage as of consumer.Application.
func (App) NewMessage(*protocol.JournalSpec) (message.Message, error) { return new(Deposit), nil }

// ConsumeMessage as of consumer.Application.
func (App) ConsumeMessage(ctx context.Context, shard *consumer.Shard, st store.Store, env message.Envelope) error {
	d, s := env.Message.(*Deposit), st.(State)
	if d.Meta.UUID.Flags() == message.AckTxn {
		return nil
	}
	if err := follows(s, env.Journal, d); err != nil {
		return err
	}
	balance, err := s.get(Balance(d.Account))
	if err != nil {
		return err
	}
	if err = s.set(Balance(d.Account), balance+d.Amount); err != nil {
		return err
	}
	_, err = shard.Publish(ctx, toOutput, &Receipt{Journal: env.Journal, Depositor: d.Depositor, Seq: d.Seq})
	return err
}

// follows notes that a deposit came, and if it isn't the one after the last.
func follows(s State, journal string, d *Deposit) error {
	name := Last(journal, d.Depositor)
	before, err := s.get(name)
	if err == nil && d.Seq != before+1 {
		err = s.set(fmt.Sprintf("%s%s/%d/%d", Wrong, journal, d.Depositor, d.Seq), before)
	}
	if err != nil {
		return err
	}
	return s.set(name, d.Seq)
}

func toOutput(m message.Message) (mapping.Partition, error) {
	to := outputs[m.(*Receipt).Depositor%len(outputs)]
	return mapping.Partition{Journal: to, ContentType: message.JSONLines}, nil
}

// FinalizeTxn as of consumer.Application.
func (App) FinalizeTxn(context.Context, *consumer.Shard, store.Store) error { return nil }
