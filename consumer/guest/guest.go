package guest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/guest/shardv1"
	"broadsheet.dev/broadsheet/consumer/store"
	pebblestore "broadsheet.dev/broadsheet/consumer/store/pebble"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// Config of an App. The zero value is ready.
type Config struct {
	// MaxMessages and MaxBytes bound a transaction; a message that is larger is one by itself. Default: 4096, and 2 MiB.
	MaxMessages, MaxBytes int
	// Patience is how long a program that is at a transaction has for it once the shard is to leave. Default: 5 s.
	Patience time.Duration
	// Logger is nil for none; so is Registerer.
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

const (
	defaultMessages = 4096
	defaultBytes    = 2 << 20
	defaultPatience = 5 * time.Second
)

// Validate the bounds.
func (c Config) Validate() error {
	if c.MaxMessages < 0 || c.MaxBytes < 0 || c.Patience < 0 {
		return fmt.Errorf("guest: MaxMessages, MaxBytes, Patience: %d, %d or %v is negative", c.MaxMessages, c.MaxBytes, c.Patience)
	}
	return nil
}

// Host of the shards. *consumer.Host is one.
type Host interface {
	Resolve(ctx context.Context, args consumer.ResolveArgs) (consumer.Resolution, error)
	Peer(header *protocol.Header) (grpc.ClientConnInterface, error)
	// Stopping is done when it begins to stop: what waits at other hosts ends then.
	Stopping() context.Context
}

// App is the application of shards that programs do. A host has it thus:
//
//	app, err := guest.New(guest.Config{})
//	app.Configure(&cfg) // the host's configuration
//	host, err := consumer.New(cfg)
//	app.Bind(host)
//	err = host.Serve(ctx)
//	app.Close()
type App struct {
	cfg       Config
	log       *slog.Logger
	metrics   *metrics
	host      atomic.Pointer[Host]
	receivers *task.Group
}

var (
	_ consumer.Application   = (*App)(nil)
	_ consumer.FinishedTxner = (*App)(nil)
	_ consumer.Teller        = (*App)(nil)
)

// New returns an application. It registers its metrics.
func New(cfg Config) (*App, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.MaxMessages, cfg.MaxBytes = cmp.Or(cfg.MaxMessages, defaultMessages), cmp.Or(cfg.MaxBytes, defaultBytes)
	cfg.Patience = cmp.Or(cfg.Patience, defaultPatience)
	a := &App{cfg: cfg, log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), metrics: newMetrics()}
	a.receivers = task.New(context.Background(), "guest")
	if err := a.metrics.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("guest: metrics: %w", err)
	}
	return a, nil
}

// Configure a host that is to have the application: what it serves, and what tokens must allow for that. A program reads what
// its shard reads, and appends what it publishes.
func (a *App) Configure(cfg *consumer.Config) {
	cfg.Application, cfg.Register, cfg.Capabilities = a, a.Register, Capabilities()
	cfg.Handlers = append(cfg.Handlers, a.Handlers()...)
}

// Bind the application to its host, before that serves.
func (a *App) Bind(h Host) { a.host.Store(&h) }

// Close waits until nothing of a stream is left. It is called once the host serves no more.
func (a *App) Close() { _ = a.receivers.Wait() }

// Register the service.
func (a *App) Register(s grpc.ServiceRegistrar) { shardv1.RegisterShardServer(s, &service{app: a}) }

// Capabilities are what a token must allow for the methods of the service.
func Capabilities() map[string]auth.Capability {
	return map[string]auth.Capability{
		shardv1.Shard_Run_FullMethodName:    auth.Read | auth.Append,
		shardv1.Shard_Take_FullMethodName:   auth.Read | auth.Append,
		shardv1.Shard_Commit_FullMethodName: auth.Read | auth.Append,
		shardv1.Shard_Read_FullMethodName:   auth.Read,
	}
}

// kept is the store of a shard while it is primary here, and all else that is of it.
type kept struct {
	*pebblestore.Store

	desk    *desk
	outputs *outputs
	metrics *shardMetrics
}

// Close as of store.Store.
func (k *kept) Close() error {
	k.desk.close()
	k.metrics.gone()
	return k.Store.Close()
}

// NewStore as of consumer.Application.
func (a *App) NewStore(_ context.Context, shard *consumer.Shard) (store.Store, error) {
	r := shard.Recorder()
	if r == nil {
		return nil, fmt.Errorf("shard %s has no recovery log: a program's state is kept in one, so recovery_log_prefix must be set",
			shard.Spec().GetId())
	}
	s, err := pebblestore.Open(pebblestore.Config{FS: r.FS(), Dir: r.Dir(), Logger: a.cfg.Logger})
	if err != nil {
		return nil, err
	}
	m := a.metrics.of(shard.Spec().GetId())
	return &kept{Store: s, desk: newDesk(a.cfg, m), outputs: newOutputs(shard.Client(), shard.Spec()), metrics: m}, nil
}

// errNotOurs is of a store that NewStore didn't make.
var errNotOurs = errors.New("the shard isn't a guest's")

// NewMessage as of consumer.Application.
func (a *App) NewMessage(spec *protocol.JournalSpec) (message.Message, error) {
	return newDocument(spec)
}

// ConsumeMessage as of consumer.Application: the message is laid on the desk. Acknowledgements aren't a program's concern.
func (a *App) ConsumeMessage(_ context.Context, _ *consumer.Shard, st store.Store, env message.Envelope) error {
	doc, ok := env.Message.(document)
	if !ok {
		return fmt.Errorf("message of type %T", env.Message)
	}
	u := doc.GetUUID()
	if u.Flags() == message.AckTxn {
		return nil
	}
	m := &shardv1.Message{
		Journal: env.Journal, Begin: env.Begin, End: env.End, Document: doc.content(),
		ContentType: env.Spec.GetLabels().ValueOf("content-type"),
	}
	if len(m.GetDocument()) > maxDocument {
		return fmt.Errorf("has %d bytes, and a program is given no more than %d", len(m.GetDocument()), maxDocument)
	}
	if !u.IsZero() {
		m.Uuid, m.Clock = u.String(), uint64(u.Clock())
	}
	if !st.(*kept).desk.add(m) { //nolint:forcetypeassert // NewStore made it
		return consumer.ErrDeferToNextTransaction
	}
	return nil
}

// FinalizeTxn as of consumer.Application: it waits for a program to do the transaction, and does what that wants.
func (a *App) FinalizeTxn(ctx context.Context, shard *consumer.Shard, st store.Store) error {
	k := st.(*kept) //nolint:forcetypeassert // NewStore made it
	answer, err := k.desk.finalize(ctx, shard.Leaving())
	if err != nil || answer == nil {
		return err
	}
	if f := answer.failure; f != nil {
		k.metrics.outcome("failed")
		if f.GetJournal() == "" {
			return fmt.Errorf("its program: %s", f.GetText())
		}
		return &consumer.MessageError{Journal: f.GetJournal(), Offset: f.GetOffset(), Err: errors.New(f.GetText())}
	}
	return a.apply(ctx, shard, k, answer.changes)
}

// apply what a program wants.
func (a *App) apply(ctx context.Context, shard *consumer.Shard, k *kept, c *changes) error {
	for _, key := range c.deletes {
		if err := k.Delete(key); err != nil {
			return err
		}
	}
	for _, put := range c.puts {
		if err := k.Set(put.GetKey(), put.GetValue()); err != nil {
			return err
		}
	}
	for _, p := range c.publishes {
		if _, err := shard.Publish(ctx, p.mapping, p.message); err != nil {
			return err
		}
	}
	return nil
}

// FinishedTxn as of consumer.FinishedTxner.
func (a *App) FinishedTxn(_ context.Context, _ *consumer.Shard, st store.Store) {
	if k, ok := st.(*kept); ok && k.desk.finished() {
		k.metrics.outcome("committed")
	}
}

// Tell as of consumer.Teller: whether a program has the shard, and whether one is waited for.
func (a *App) Tell(_ context.Context, _ *consumer.Shard, st store.Store, _ []byte) ([]byte, error) {
	k, ok := st.(*kept)
	if !ok {
		return nil, errNotOurs
	}
	return []byte(`{"program":"` + k.desk.program() + `"}`), nil
}
