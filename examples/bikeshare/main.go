// Bike-share reads rides of bikes, as rows of CSV, and publishes each cycle: a bike that comes back to a station from which it
// left no more than ten rides ago. The last rides of each bike are in a table, in SQLite, under the shard's recovery log,
// or in a PostgreSQL that all shards share: the application is the same.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/client/mapping"
	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/run"
	"broadsheet.dev/broadsheet/consumer/store"
	"broadsheet.dev/broadsheet/consumer/store/remote"
	"broadsheet.dev/broadsheet/consumer/store/sqlite"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// labelCycles of a shard is the journal that its cycles are published to. It is of content-type application/x-ndjson.
const labelCycles = "cycles"

// remembered is how many rides of a bike are.
const remembered = 10

// schema is what both databases take. Rides of a bike are numbered as they come.
const schema = `CREATE TABLE IF NOT EXISTS rides (
	bike TEXT NOT NULL, n BIGINT NOT NULL, departed TEXT NOT NULL, arrived TEXT NOT NULL, PRIMARY KEY (bike, n))`

// Ride is a row: a UUID, or nothing, and then the bike, the station at which it departed and that at which it arrived.
type Ride struct{ message.CSVRecord }

// NewAcknowledgement as of message.Message.
func (*Ride) NewAcknowledgement(string) message.Message { return new(Ride) }

func (r *Ride) bike() string     { return r.CSVRecord[1] }
func (r *Ride) departed() string { return r.CSVRecord[2] }
func (r *Ride) arrived() string  { return r.CSVRecord[3] }

// Cycle of a bike.
type Cycle struct {
	UUID     message.UUID `json:"uuid"`
	Bike     string       `json:"bike"`
	Stations []string     `json:"stations"` // The first one is the last one.
}

func (c *Cycle) GetUUID() message.UUID                   { return c.UUID }
func (c *Cycle) SetUUID(u message.UUID)                  { c.UUID = u }
func (*Cycle) NewAcknowledgement(string) message.Message { return new(Cycle) }

// share is the application.
type share struct {
	postgres string
	db       *sql.DB // of postgres; nil for SQLite
}

func main() {
	s := new(share)
	run.Main(s, run.Options{
		Name: "bike-share", Short: "Find cycles in rides of bikes",
		Flags: func(p *pflag.FlagSet) {
			p.StringVar(&s.postgres, "postgres", "", "URL of the PostgreSQL to keep rides in; without it each shard has a SQLite of its own")
		},
		Init:  func(ctx context.Context, _ *consumer.Config) error { return s.open(ctx) },
		Close: s.close,
	})
}

// open PostgreSQL, and make its tables.
func (s *share) open(ctx context.Context) error {
	if s.postgres == "" {
		return nil
	}
	var err error
	if s.db, err = sql.Open("pgx", s.postgres); err != nil {
		return fmt.Errorf("--postgres: %w", err)
	}
	for _, statement := range []string{schema, remote.CreateTable(remote.PostgreSQL, "")} {
		if _, err = s.db.ExecContext(ctx, statement); err != nil {
			return errors.Join(fmt.Errorf("--postgres: %w", err), s.db.Close())
		}
	}
	return nil
}

func (s *share) close() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// kept is what both stores are: the transaction under way is committed with the shard's checkpoint, or neither is.
type kept interface {
	store.Store
	Tx(ctx context.Context) (*sql.Tx, error)
}

// NewStore is a store in PostgreSQL, if there is one, which lets no second primary of the shard commit. Else it is SQLite, in the
// directory of the shard's recovery log.
func (s *share) NewStore(ctx context.Context, shard *consumer.Shard) (store.Store, error) {
	if s.db != nil {
		return remote.New(remote.Config{DB: s.db, ShardFQN: shard.FQN()})
	}
	files := shard.Recorder()
	if files == nil {
		return nil, errors.New("a shard needs a recovery_log_prefix, or --postgres")
	}
	st, err := sqlite.Open(ctx, sqlite.Config{FS: files.FS(), Dir: files.Dir()})
	if err != nil {
		return nil, err
	}
	if err = st.Between(ctx, schema); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

// NewMessage is what rows of the sources are decoded into.
func (*share) NewMessage(*protocol.JournalSpec) (message.Message, error) { return new(Ride), nil }

// ConsumeMessage keeps a ride, and publishes the cycle that it closes, if it does.
func (*share) ConsumeMessage(ctx context.Context, shard *consumer.Shard, st store.Store, env message.Envelope) error {
	ride := env.Message.(*Ride)
	if ride.GetUUID().Flags() == message.AckTxn {
		return nil // It has no content.
	}
	if len(ride.CSVRecord) != 4 {
		return fmt.Errorf("a row of %d fields (expected 4)", len(ride.CSVRecord))
	}
	tx, err := st.(kept).Tx(ctx)
	if err != nil {
		return err
	}
	if err = keep(ctx, tx, ride); err != nil {
		return err
	}
	stations, err := cycle(ctx, tx, ride)
	if err != nil || stations == nil {
		return err
	}
	to := mapping.Partition{Journal: shard.Spec().GetLabels().ValueOf(labelCycles), ContentType: message.JSONLines}
	_, err = shard.Publish(ctx, func(message.Message) (mapping.Partition, error) { return to, nil }, &Cycle{Bike: ride.bike(), Stations: stations})
	return err
}

// keep a ride, and forget one that is too old.
func keep(ctx context.Context, tx *sql.Tx, ride *Ride) error {
	var n int64
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(n), 0) + 1 FROM rides WHERE bike = $1", ride.bike()).Scan(&n); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO rides VALUES ($1, $2, $3, $4)", ride.bike(), n, ride.departed(), ride.arrived())
	if err == nil {
		_, err = tx.ExecContext(ctx, "DELETE FROM rides WHERE bike = $1 AND n <= $2", ride.bike(), n-remembered)
	}
	return err
}

// cycle that a ride closes: the shortest one. It is nil if there is none.
func cycle(ctx context.Context, tx *sql.Tx, ride *Ride) ([]string, error) {
	const query = `SELECT departed FROM rides WHERE bike = $1 AND n >= (SELECT max(n) FROM rides WHERE bike = $1 AND departed = $2) ORDER BY n`
	rows, err := tx.QueryContext(ctx, query, ride.bike(), ride.arrived())
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	var stations []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		stations = append(stations, s)
	}
	if stations != nil {
		stations = append(stations, ride.arrived())
	}
	return stations, rows.Err()
}

// FinalizeTxn has nothing to do: all is in the transaction by now.
func (*share) FinalizeTxn(context.Context, *consumer.Shard, store.Store) error { return nil }
