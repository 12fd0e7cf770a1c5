package views

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"broadsheet.dev/broadsheet/sqlgw/duck"
)

// Config of an App. Fields with a default take it when they are zero.
type Config struct {
	// Definitions of the views.
	Definitions Definitions
	// Engine evaluates their queries. It outlives the host.
	Engine *duck.DB
	// Batch is how many bytes of lines a transaction consumes at most. A single line may be longer. Default: 8 MiB.
	Batch int
	// Transaction is how many bytes a transaction writes at most, of rows and changes. One that would write more is made of fewer lines.
	// Default: 256 MiB.
	Transaction int64
	// Cache is how many bytes of groups are held in memory, of all views that are kept here, an equal share of each. Default: 128 MiB.
	Cache int
	// Blocks is how many bytes of files are cached, of all views that are kept here. Default: 64 MiB.
	Blocks int64
	// DeltaBytes and DeltaAge bound what is kept of a view's past changes, for subscriptions that resume. Defaults: 64 MiB, 10 minutes.
	DeltaBytes int64
	DeltaAge   time.Duration
	// Clock is the wall clock. Default: time.Now.
	Clock func() time.Time

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil is none
}

// Defaults of a Config.
const (
	defaultBatch       = 8 << 20
	defaultTransaction = 256 << 20
	defaultCache       = 128 << 20
	defaultBlocks      = 64 << 20
	defaultDeltaBytes  = 64 << 20
	defaultDeltaAge    = 10 * time.Minute
)

func (c Config) withDefaults() Config {
	c.Batch = cmp.Or(c.Batch, defaultBatch)
	c.Transaction = cmp.Or(c.Transaction, defaultTransaction)
	c.Cache = cmp.Or(c.Cache, defaultCache)
	c.Blocks = cmp.Or(c.Blocks, defaultBlocks)
	c.DeltaBytes = cmp.Or(c.DeltaBytes, defaultDeltaBytes)
	c.DeltaAge = cmp.Or(c.DeltaAge, defaultDeltaAge)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c
}

// maxBatch bounds Batch, and maxTransaction Transaction: what a batch's columns hold is a multiple of it, and what is written is in memory
// twice.
const (
	maxBatch       = 64 << 20
	maxTransaction = 1 << 30
)

// Validate tells what is missing or out of bounds.
func (c Config) Validate() error {
	switch {
	case c.Definitions == nil:
		return errors.New("views: Definitions are missing")
	case c.Engine == nil:
		return errors.New("views: Engine is missing")
	case c.Logger == nil:
		return errors.New("views: Logger is missing")
	case c.Batch < 0 || c.Batch > maxBatch:
		return fmt.Errorf("views: Batch: %d isn't of 0 to %d bytes", c.Batch, maxBatch)
	case c.Transaction < 0 || c.Transaction > maxTransaction:
		return fmt.Errorf("views: Transaction: %d isn't of 0 to %d bytes", c.Transaction, maxTransaction)
	case c.Cache < 0 || c.Blocks < 0 || c.DeltaBytes < 0 || c.DeltaAge < 0:
		return fmt.Errorf("views: Cache, Blocks, DeltaBytes, DeltaAge: %d, %d, %d or %v is negative", c.Cache, c.Blocks, c.DeltaBytes, c.DeltaAge)
	}
	return nil
}
