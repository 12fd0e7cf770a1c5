package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/client/flags"
	"broadsheet.dev/broadsheet/internal/roles"
)

// brokerFlags are the flags of broker: those of Gazette's brokers, and our own.
type brokerFlags struct {
	dataDir, ack string

	process              flags.Process
	allowedHosts         []string
	fileRoot, storesFile string
	fileOnly             bool
	autoSuspend          bool
	limits               brokerLimits
	profiling            bool
}

// brokerLimits are what a broker takes.
type brokerLimits struct {
	journals, replication, message, uploads int
	maxRate, minRate                        int64
	appendMemory                            string
	idle                                    time.Duration
}

func (f *brokerFlags) add(p *pflag.FlagSet) {
	p.StringVar(&f.dataDir, "data-dir", "./data", "directory of the spools, and of what else outlives a restart")
	p.StringVar(&f.ack, "ack", "replicated", "when an append is acknowledged: replicated (all its brokers hold it) or synced (it is on their disks)")
	f.process.Add(p, roles.Member{Kind: "broker", Has: "journals", Prefix: defaultBrokerPrefix})
	p.Lookup("broker.id").Usage = "what names this broker in its zone; by default it is made up at the first start, and kept"
	p.StringSliceVar(&f.allowedHosts, "allowed-hosts", nil, "names by which HTTP may be asked for on loopback, besides localhost and --broker.endpoint's, at ports that ask nobody for a token")
	p.StringVar(&f.fileRoot, "broker.file-root", "", "directory that file:/// stores are rooted at; by default there are none")
	p.BoolVar(&f.fileOnly, "broker.file-only", false, "keep all stores, of whatever scheme, in that directory")
	p.StringVar(&f.storesFile, "stores", "", "file that says which stores journals may name, and how they are reached; by default file:/// only")
	p.BoolVar(&f.autoSuspend, "broker.auto-suspend", false, "suspend journals all of which is stored for longer than they take to flush")
	f.limits.add(p)
	p.BoolVar(&f.profiling, "debug.profiling", false, "serve profiles at the broker's port too")
}

func (l *brokerLimits) add(p *pflag.FlagSet) {
	p.IntVar(&l.journals, "broker.limit", 1024, "most journals that this broker takes")
	p.IntVar(&l.replication, "broker.max-replication", 9, "most brokers that hold a journal, whatever its spec says")
	p.IntVar(&l.message, "broker.max-grpc-recv-size", 4<<20, "most bytes of a gRPC message")
	p.IntVar(&l.uploads, "broker.max-uploads", 0, "most fragments that are stored at a time; 0 is a default")
	p.Int64Var(&l.maxRate, "broker.max-append-rate", 0, "bytes a second to which the rate of journals that bound it is lowered; 0 lowers none")
	p.Int64Var(&l.minRate, "broker.min-append-rate", 0, "bytes a second that a client has to send of an append; 0 asks for none")
	p.StringVar(&l.appendMemory, "broker.append-memory", "64MiB", "most memory of all appends that are being received; beyond it they are in files")
	p.DurationVar(&l.idle, "broker.idle-timeout", time.Minute, "how long an append may send nothing before it is ended")
}

// validate all that can be told before anything is touched.
func (f *brokerFlags) validate() error {
	if _, err := ackMode(f.ack); err != nil {
		return err
	}
	if _, err := parseBytes(f.limits.appendMemory); err != nil {
		return fmt.Errorf("--broker.append-memory: %w", err)
	}
	for name, n := range map[string]int{
		"broker.limit": f.limits.journals, "broker.max-replication": f.limits.replication, "broker.max-grpc-recv-size": f.limits.message,
	} {
		if n < 1 {
			return fmt.Errorf("--%s: %d is less than 1", name, n)
		}
	}
	for name, n := range map[string]int64{"broker.max-append-rate": f.limits.maxRate, "broker.min-append-rate": f.limits.minRate} {
		if n < 0 {
			return fmt.Errorf("--%s: %d is negative", name, n)
		}
	}
	if err := f.process.Validate(); err != nil {
		return err
	}
	if f.fileOnly && f.fileRoot == "" {
		return withHint(errors.New("--broker.file-only: there is no root for file stores"), "give one with --broker.file-root")
	}
	return nil
}
