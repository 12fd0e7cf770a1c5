package keyspace

import (
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// DefaultBatchDelay is what a process that mirrors large prefixes passes as
// Config.BatchDelay, unless its operator says otherwise.
const DefaultBatchDelay = 30 * time.Millisecond

// ErrOtherCluster says that the endpoint now answers for another etcd cluster than
// the one that was loaded from.
var ErrOtherCluster = errors.New("etcd is another cluster than before")

// ErrWentBack says that etcd's revision is below one that was seen already, as
// after a restore from a backup. The process has to start again.
var ErrWentBack = errors.New("etcd went back to an older revision")

// ErrWatched says that another call of Watch is running.
var ErrWatched = errors.New("key space is already watched")

// Config of a KeySpace.
type Config struct {
	Client *clientv3.Client
	// Prefix is a clean absolute path, as /broadsheet/cluster: the keys below
	// Prefix + "/" are mirrored.
	Prefix string
	// Decode returns the value of a key; it keeps nothing of its argument. What it
	// returns is shared by all readers and never changed again.
	Decode func(*mvccpb.KeyValue) (any, error)
	// BatchDelay is how long a change may wait for others before a view with them is
	// published. 0 publishes at once. A waiting WaitForRevision is never delayed.
	BatchDelay time.Duration
	Logger     *slog.Logger
}

// Validate tells what is missing or malformed.
func (c Config) Validate() error {
	switch {
	case c.Client == nil:
		return errors.New("keyspace: Client is missing")
	case c.Decode == nil:
		return errors.New("keyspace: Decode is missing")
	case c.Logger == nil:
		return errors.New("keyspace: Logger is missing")
	case c.BatchDelay < 0:
		return fmt.Errorf("keyspace: BatchDelay: %v is negative", c.BatchDelay)
	case c.Prefix == "/" || !strings.HasPrefix(c.Prefix, "/") || path.Clean(c.Prefix) != c.Prefix:
		return fmt.Errorf("keyspace: Prefix: %q is not a clean absolute path below /", c.Prefix)
	}
	return nil
}
