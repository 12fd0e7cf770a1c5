package sqlgw

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/fragments/objectcache"
	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/internal/task"
	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/sqlgw/duck"
	"broadsheet.dev/broadsheet/sqlgw/pgcatalog"
	"broadsheet.dev/broadsheet/sqlgw/staging"
)

// Config of a Gateway. Limits, Objects, HeadCache, Dir, Queries, Unread and Fatal may be left out.
type Config struct {
	Brokers *client.Client
	Catalog *catalog.Catalog
	Engine  *duck.DB
	// Stores tells where the files of stored fragments are.
	Stores *store.Registry
	// Objects copies those of other stores than files, for the engine to read. Nil copies none: such fragments are
	// decoded from what brokers serve.
	Objects *objectcache.Cache
	// Database is the name of the one database.
	Database string
	// HeadCache bounds the memory of decoded heads, in bytes; zero is 256 MiB.
	HeadCache int64
	// Dir keeps what is worth keeping over a restart: which fragments DuckDB may read in
	// place. It is made if it isn't there; what is in it may be deleted at any time before the
	// start. Empty: nothing is kept.
	Dir string
	// Queries bounds the statements that read tables at the same time, for each takes memory of
	// the engine: 32 MiB a thread where files are read in place. Further ones wait their turn.
	// Zero is 8.
	Queries int
	// Unread bounds those that are open beside them, with as much memory, and wait for their
	// clients to take rows. Zero is 8.
	Unread int
	// Views reads materialized views. Nil: none can be made or read.
	Views Views
	// Limits bound each statement.
	Limits Limits
	// Parsing bounds the memory of statements that are being parsed, and of those that are prepared or run, in bytes; zero is
	// 512 MiB.
	Parsing int64
	// Transaction bounds what one transaction is to append when it commits, and Transactions what
	// all of them are, in bytes; zero is 1 GiB, and four times as much as Transaction. All but 1 MiB of each
	// is in a file without a name, in TempDir, or the system's directory of temporary files if that is empty.
	Transaction, Transactions int64
	TempDir                   string
	// Fatal is called once, with what happened, when a session panicked or the engine failed a
	// check of its own: neither can be trusted afterwards, so that it should end the process.
	// The gateway refuses everything from then on. Nil does no more than that.
	Fatal  func(error)
	Logger *slog.Logger
}

// Validate tells what is missing.
func (c *Config) Validate() error {
	if c.Brokers == nil || c.Catalog == nil || c.Engine == nil || c.Stores == nil || c.Database == "" || c.Logger == nil {
		return errors.New("sqlgw: Brokers, Catalog, Engine, Stores, Database and Logger are needed")
	}
	if c.Queries < 0 || c.Unread < 0 || c.HeadCache < 0 || c.Parsing < 0 || c.Transaction < 0 || c.Transactions < 0 {
		return errors.New("sqlgw: Queries, Unread, HeadCache, Parsing, Transaction and Transactions can't be negative")
	}
	return c.Limits.Validate()
}

// Gateway opens SQL sessions. Make it with New, and let Run run beside it.
type Gateway struct {
	cfg   Config
	heads *headCache
	// commits tells what is committed of tables of messages.
	commits *commits
	// atomic commits transactions of transactional tables.
	atomic *coordinator
	proofs *proofs
	files  fileSource
	scans  *scanRegistry
	// known and revisions are of journals.
	known      knownHeads
	begins     begins
	revisions  revisions
	seen       seenRevision
	retentions retentions
	clock      *clockmaster
	views      map[viewName]*systemView
	pg         *pgcatalog.Catalog
	office     *postOffice
	watches    *tableWatches
	roster     *roster
	locks      *lockTable
	numbers    transactionNumbers
	started    time.Time
	// staging is how transactions hold what they are to append.
	staging staging.Config
	turns   *turns
	temps   tempBudget
	open    atomic.Int64 // engine connections
	broken  atomic.Bool  // Fatal was called
	left    leftCalls    // of the engine
	parsing *parsing
	// returning is what statements hold for RETURNING, in bytes.
	returning atomic.Int64
}

// idleHead is how long a head stays decoded after its last use.
const idleHead = 5 * time.Minute

// New returns a gateway.
func New(cfg Config) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.HeadCache == 0 {
		cfg.HeadCache = 256 << 20
	}
	if cfg.Queries == 0 {
		cfg.Queries = 8
	}
	if cfg.Unread == 0 {
		cfg.Unread = 8
	}
	g := &Gateway{turns: newTurns(cfg.Queries, cfg.Unread), cfg: cfg, proofs: newProofs(cfg.Logger, cfg.Dir), scans: newScanRegistry(), views: viewsByName()}
	g.files = fileSource{stores: cfg.Stores, cache: cfg.Objects}
	g.proofs.copied = g.files.copied
	g.staging = stagingConfig(&cfg)
	g.office, g.roster, g.locks, g.started = newPostOffice(), newRoster(), newLockTable(), time.Now()
	g.parsing = newParsing(cmp.Or(cfg.Parsing, 512<<20), g.breakDown)
	g.watches = newTableWatches(g)
	g.heads = newHeadCache(g.openRange, cfg.HeadCache)
	g.commits = newCommits(g.openRange, maxIndexes)
	var err error
	if g.atomic, err = newCoordinator(&cfg, g.openRange); err != nil {
		return nil, err
	}
	g.revisions.list, g.retentions.list = g.list, cfg.Brokers.List
	g.clock = newClockmaster(&cfg, &g.revisions, g.openRange, g.fragments)
	if err := g.addCatalog(); err != nil {
		return nil, err
	}
	if err := cfg.Engine.RegisterScan(scanFunction, g.scans.bind); err != nil {
		return nil, fmt.Errorf("sqlgw: %w", err)
	}
	return g, nil
}

// stagingConfig is how transactions hold what they are to append.
func stagingConfig(cfg *Config) staging.Config {
	most := cmp.Or(cfg.Transaction, 1<<30)
	return staging.Config{
		Dir: cfg.TempDir, Memory: 1 << 20, Limit: most, Budget: staging.NewBudget(cmp.Or(cfg.Transactions, 4*most)),
	}
}

// Run proves fragments, forgets idle heads, settles transactions and writes the clock journal until ctx is done.
func (g *Gateway) Run(ctx context.Context) error {
	t := task.New(ctx, "sqlgw")
	t.Go("proofs", g.proofs.run)
	t.Go("clock", func(ctx context.Context) error { return g.clock.run(ctx, g) })
	t.Go("transactions", g.runCoordinator)
	t.Go("heads", func(ctx context.Context) error {
		tick := time.NewTicker(idleHead / 5)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case now := <-tick.C:
				g.heads.dropIdle(now.Add(-idleHead))
			}
		}
	})
	return t.Wait()
}

// Open begins a session, for pgwire.
func (g *Gateway) Open(ctx context.Context, s pgwire.Startup) (pgwire.Session, error) {
	if s.Database != g.cfg.Database {
		e := sqlError("3D000", "database %q does not exist", s.Database)
		return nil, hinted(e, fmt.Sprintf("Connect to the database %q.", g.cfg.Database))
	}
	if g.broken.Load() {
		return nil, errBroken()
	}
	settings := newSettings(s.Params)
	settings.limit(g.cfg.Limits)
	if err := g.admit(ctx, s, settings); err != nil {
		return nil, err
	}
	session := &session{
		gateway: g, settings: settings, user: s.User, trusted: s.Peer.Method == "", pid: s.PID,
		names: s.Names, line: s.Line, activity: newActivity(s), locks: newLockHolder(g.locks, s.PID),
	}
	if err := session.settings.start(s.Parameters); err != nil {
		return nil, err
	}
	session.settings.reportAll()
	g.roster.add(session.activity)
	return session, nil
}

// openRange reads a range of a journal from the brokers; an end of 0 is none, and waits
// for what isn't there yet.
func (g *Gateway) openRange(ctx context.Context, journal string, begin, end int64) (io.ReadCloser, error) {
	return g.cfg.Brokers.NewReader(ctx, &protocol.ReadRequest{Journal: journal, Offset: begin, EndOffset: end, Block: true}), nil
}

func (g *Gateway) openAppend(ctx context.Context, params client.AppendParams) (appender, error) {
	a, err := g.cfg.Brokers.NewAppender(ctx, params)
	if err != nil {
		return nil, err
	}
	return a, nil
}
