package run

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	clientflags "broadsheet.dev/broadsheet/client/flags"
	"broadsheet.dev/broadsheet/internal/roles"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// flags of a program: those of Gazette's consumers, and our own.
type flags struct {
	dataDir string

	process                  clientflags.Process
	limit, standbys, message int
	hints                    time.Duration
	allowedHosts             []string

	broker clientflags.Brokers
}

func (f *flags) add(p *pflag.FlagSet, o Options) {
	p.StringVar(&f.dataDir, "data-dir", o.dataDir(), "directory of shards' files while they run here; another process has another one")
	f.process.Add(p, roles.Member{Kind: "consumer", Has: "shards", Prefix: o.prefix()})
	p.IntVar(&f.limit, "consumer.limit", 1024, "most shards that this consumer takes")
	p.IntVar(&f.standbys, "consumer.max-hot-standbys", 3, "most hot standbys of a shard, whatever its spec says")
	p.IntVar(&f.message, "consumer.max-grpc-recv-size", 4<<20, "most bytes of a gRPC message")
	p.DurationVar(&f.hints, "consumer.hints-interval", 5*time.Minute, "how often a shard notes from where its recovery log has to be read")
	p.StringSliceVar(&f.allowedHosts, "allowed-hosts", nil, "names by which HTTP may be asked for on loopback, besides localhost and --consumer.endpoint's, at ports that ask nobody for a token")
	f.broker.Add(p, "http://localhost:8080")
	f.broker.AddRouting(p)
}

// validate all that can be told before anything is touched.
func (f *flags) validate() error {
	for name, n := range map[string]int{"limit": f.limit, "max-grpc-recv-size": f.message} {
		if n < 1 {
			return fmt.Errorf("--consumer.%s: %d is less than 1", name, n)
		}
	}
	if f.standbys < 0 {
		return fmt.Errorf("--consumer.max-hot-standbys: %d is negative", f.standbys)
	}
	if f.hints <= 0 {
		return fmt.Errorf("--consumer.hints-interval: %s isn't positive", f.hints)
	}
	if err := auth.ValidateHosts(f.allowedHosts); err != nil {
		return fmt.Errorf("--allowed-hosts: %w", err)
	}
	if f.broker.Address == "" {
		return speech.WithHint(errors.New("--broker.address is empty"), "say where the brokers of the shards' journals are")
	}
	if f.broker.CacheSize < 0 || f.broker.CacheTTL < 0 {
		return fmt.Errorf("--broker.cache.size, --broker.cache.ttl: %d or %s is negative", f.broker.CacheSize, f.broker.CacheTTL)
	}
	if f.broker.FileRoot != "" && f.broker.CacheSize == 0 {
		return speech.WithHint(errors.New("--broker.file-root: without a cache everything is read through the broker at the address"), "give --broker.cache.size")
	}
	return f.process.Validate()
}
