package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/fragments/formats"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/keyspace"
	"broadsheet.dev/broadsheet/protocol"
)

const (
	// DefaultDatabase is where clients land; every catalog has it.
	DefaultDatabase = "postgres"
	// PublicSchema is made with each database.
	PublicSchema = "public"

	defaultCreateTimeout = 30 * time.Second
	// margin is how long after its deadline a request may still take effect: etcd
	// gives up on one within 7 seconds, and clocks of processes differ a little.
	margin = 15 * time.Second
)

// Journals is what the catalog asks of brokers; a client.Client is one.
type Journals interface {
	// Apply makes all changes at once, or none.
	Apply(ctx context.Context, changes []*protocol.ApplyRequest_Change) (*protocol.ApplyResponse, error)
	List(ctx context.Context, selector *protocol.LabelSelector) ([]*protocol.ListResponse_Journal, error)
}

// Config of a Catalog.
type Config struct {
	Etcd *clientv3.Client
	// Prefix is that of the deployment in etcd, as /broadsheet; keys are below
	// Prefix + "/catalog/".
	Prefix string
	// Database that the catalog is opened on; "" is DefaultDatabase.
	Database string
	Journals Journals
	// Stores are the URLs of the fragment stores of tables that name none. Without any
	// the journals of such tables are never persisted.
	Stores []string
	// CreateTimeout bounds a CreateTable; 0 is 30 seconds. What a dead process has
	// left is cleared after that and a margin of half of it, at most 15 seconds.
	CreateTimeout time.Duration
	Logger        *slog.Logger
}

// Validate tells what is missing or out of bounds.
func (c Config) Validate() error {
	switch {
	case c.Etcd == nil:
		return errors.New("catalog: Etcd is missing")
	case c.Journals == nil:
		return errors.New("catalog: Journals is missing")
	case c.Logger == nil:
		return errors.New("catalog: Logger is missing")
	case c.CreateTimeout < 0:
		return fmt.Errorf("catalog: CreateTimeout: %v is negative", c.CreateTimeout)
	case !strings.HasPrefix(c.Prefix, "/"):
		return fmt.Errorf("catalog: Prefix: %q is not an absolute path", c.Prefix)
	}
	for _, s := range c.Stores {
		if _, err := protocol.ParseFragmentStore(s); err != nil {
			return fmt.Errorf("catalog: Stores: %w", err)
		}
	}
	return nil
}

// Catalog is one database's schemas and tables. Make it with Open and drive it
// with Run; it may be used by any number of goroutines.
type Catalog struct {
	config   Config
	etcd     *clientv3.Client
	keys     keys
	database string
	journals Journals
	logger   *slog.Logger
	mirror   *keyspace.KeySpace
	newest   *barrier
}

// SystemJournal is the spec of a journal of lines that the system itself writes.
func (c *Catalog) SystemJournal(name string) *protocol.JournalSpec {
	return &protocol.JournalSpec{
		Name: name, Replication: 1,
		Labels: protocol.MustLabelSet(protocol.LabelContentType, formats.Spec{}.ContentType(), protocol.LabelManagedBy, managedBy),
		Fragment: &protocol.JournalSpec_Fragment{
			Length: defaultFragmentLength, CompressionCodec: protocol.CompressionCodec_ZSTANDARD, Stores: c.config.Stores,
			RefreshInterval: durationpb.New(defaultRefreshInterval), FlushInterval: durationpb.New(defaultFlushInterval),
			Retention: durationpb.New(0), // for ever, as of tables
		},
	}
}

// Open loads the catalog, having made what an empty one consists of: the database
// postgres with its schema public. Another database that doesn't exist is ErrNotFound.
func Open(ctx context.Context, config Config) (*Catalog, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if config.Database == "" {
		config.Database = DefaultDatabase
	}
	if config.CreateTimeout == 0 {
		config.CreateTimeout = defaultCreateTimeout
	}
	c := &Catalog{
		config: config, etcd: config.Etcd, keys: newKeys(config.Prefix), database: config.Database,
		journals: config.Journals, logger: config.Logger.With(slog.String("database", config.Database)),
	}
	c.newest = newBarrier(c.readVersion)
	if err := c.bootstrap(ctx); err != nil {
		return nil, fmt.Errorf("catalog: make %s: %w", c.keys.root, err)
	}
	mirror, err := keyspace.Load(ctx, keyspace.Config{
		Client: config.Etcd, Prefix: c.keys.root, Decode: c.keys.decoder(c.logger), Logger: config.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	c.mirror = mirror
	kv, ok := mirror.View().Get(c.keys.database(c.database))
	if !ok {
		return nil, &Error{Code: ErrNotFound, Kind: "database", Name: c.database}
	}
	if bad, ok := kv.Value.(unreadable); ok {
		return nil, &Error{Code: ErrUnreadable, Kind: "database", Name: c.database, Err: bad.err}
	}
	return c, nil
}

// bootstrap makes the first database in an empty catalog.
func (c *Catalog) bootstrap(ctx context.Context) error {
	_, err := c.etcd.Txn(ctx).
		If(absent(c.keys.version()), absent(c.keys.counter())).
		Then(
			c.putVersion(),
			clientv3.OpPut(c.keys.counter(), encode(counterEntry{Format: entryFormat, Next: firstID + 2})),
			clientv3.OpPut(c.keys.database(DefaultDatabase), encode(nameEntry{Format: entryFormat, ID: firstID, Name: DefaultDatabase})),
			clientv3.OpPut(c.keys.schema(DefaultDatabase, PublicSchema), encode(nameEntry{Format: entryFormat, ID: firstID + 1, Name: PublicSchema})),
		).Commit()
	return err
}

// putVersion is part of each transaction that changes what a Snapshot shows.
func (c *Catalog) putVersion() clientv3.Op {
	return clientv3.OpPut(c.keys.version(), encode(versionEntry{Format: entryFormat}))
}

// readVersion is the one linearizable read: the revision of the catalog's newest change.
func (c *Catalog) readVersion(ctx context.Context) (int64, error) {
	r, err := c.etcd.Get(ctx, c.keys.version(), clientv3.WithKeysOnly())
	if err != nil {
		return 0, fmt.Errorf("catalog: read the version: %w", err)
	}
	if len(r.Kvs) == 0 {
		return r.Header.GetRevision(), nil // somebody removed the catalog
	}
	return r.Kvs[0].GetModRevision(), nil
}

// Run follows etcd and clears what processes have left that died while they made or
// dropped a table. It returns when ctx is done, with its error, or when etcd can't
// be followed any more.
func (c *Catalog) Run(ctx context.Context) error {
	g := task.New(ctx, "catalog")
	g.Go("watch", c.mirror.Watch)
	g.Go("sweep", c.sweep)
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// margin is how long after the bound of a create its requests may take effect.
func (c *Catalog) margin() time.Duration { return min(margin, c.config.CreateTimeout/2) }
