//go:build cgo

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/client/flags"
	"broadsheet.dev/broadsheet/internal/roles"
)

// gatewayFlags are the flags of the gateway role.
type gatewayFlags struct {
	etcd   roles.Etcd // its connection and prefix
	broker flags.Brokers

	listen    string
	fileRoot  string
	stores    string
	defaults  []string
	dataDir   string
	dir       string
	cacheDir  string
	cacheSize string
	memory    string
	grace     time.Duration
	debugPort string

	auth   sqlAuthFlags
	limits sqlLimitFlags
	views  viewFlags
	log    roles.Log
}

func (f *gatewayFlags) add(p *pflag.FlagSet) {
	f.etcd.AddConnection(p, nil)
	p.StringVar(&f.etcd.Prefix, "etcd.prefix", defaultCatalogPrefix, "prefix of the catalog's keys in etcd")
	f.broker.Add(p, "")
	p.StringVar(&f.listen, "sql-listen", "127.0.0.1:5433", "address for Postgres clients, or fd:N for a listener that was handed down")
	p.StringVar(&f.fileRoot, "file-root", "", "directory that file:/// stores are rooted at; by default there are none, and what is in them is read through the brokers")
	p.StringVar(&f.stores, "stores", "", "file that says which other stores fragments are read from, as brokers have it, and what stores' names stand for; what is in others is read through the brokers")
	p.StringSliceVar(&f.defaults, "default-stores", []string{"file:///"}, "names or URLs of the stores of tables that name none")
	p.StringVar(&f.dataDir, "data-dir", "./data", "directory of copies, temporary files and proofs, unless --temp-dir says where they are; another gateway or broker has another one")
	p.StringVar(&f.dir, "temp-dir", "", "directory of its own for what doesn't fit into memory, proofs of fragments, and copies of objects; by default in --data-dir")
	p.StringVar(&f.cacheDir, "cache-dir", "", "directory of its own for copies of the stores' objects; by default in that directory")
	p.StringVar(&f.cacheSize, "cache-size", "8GiB", "most bytes of copies of the stores' objects; with 0 there are none, and their fragments are read through the brokers")
	p.StringVar(&f.memory, "memory", "4GiB", "most memory of this process")
	p.DurationVar(&f.grace, "grace", 15*time.Second, "how long sessions may go on once the gateway is stopped")
	p.StringVar(&f.debugPort, "debug.port", "", "a port for diagnostics, which asks nobody who they are, on 127.0.0.1; or another address of loopback with its port")
	f.auth.add(p)
	f.limits.add(p)
	f.views.add(p)
	f.log.Add(p)
}

func (f *gatewayFlags) validate() error {
	missing := ""
	switch {
	case len(f.etcd.Addresses) == 0:
		missing = "etcd.address"
	case f.broker.Address == "":
		missing = "broker.address"
	}
	if missing != "" {
		return withHint(fmt.Errorf("gateway: --%s is missing", missing), "'broadsheet serve' runs a gateway by itself; for a fleet, say where etcd and the brokers are")
	}
	if f.grace < 0 {
		return fmt.Errorf("--grace: %s is negative", f.grace)
	}
	if err := f.limits.validate(); err != nil {
		return err
	}
	if _, err := f.views.security(); err != nil {
		return err
	}
	if len(f.defaults) == 0 {
		return errors.New("--default-stores is empty")
	}
	if f.debugPort != "" {
		if err := loopbackOnly("debug.port", f.debugAddress()); err != nil {
			return err
		}
	}
	if _, err := f.cacheBound(); err != nil {
		return err
	}
	for _, dir := range []*string{&f.fileRoot, &f.dir, &f.cacheDir} {
		if *dir == "" {
			continue
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return err
		}
		*dir = abs
	}
	return nil
}

// cacheBound is the most bytes of copies.
func (f *gatewayFlags) cacheBound() (int64, error) {
	n, err := parseBytes(f.cacheSize)
	if err != nil {
		return 0, fmt.Errorf("--cache-size: %w", err)
	}
	return n, nil
}

// debugAddress is where diagnostics are served: a port alone is one of 127.0.0.1.
func (f *gatewayFlags) debugAddress() string {
	if strings.Contains(f.debugPort, ":") {
		return f.debugPort
	}
	return "127.0.0.1:" + f.debugPort
}
