package main

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
)

// Where serve's parts keep their keys in etcd: Gazette's default for brokers, and ours for tables and for shards that programs do.
const (
	defaultBrokerPrefix   = "/gazette/cluster"
	defaultCatalogPrefix  = "/broadsheet"
	defaultConsumerPrefix = "/gazette/consumers/broadsheet"
)

// parseBytes reads a size such as 512MiB, 2GB or 1048576.
func parseBytes(s string) (int64, error) {
	units := []struct {
		suffix string
		bytes  float64
	}{
		{"KiB", 1 << 10},
		{"MiB", 1 << 20},
		{"GiB", 1 << 30},
		{"TiB", 1 << 40},
		{"KB", 1e3},
		{"MB", 1e6},
		{"GB", 1e9},
		{"TB", 1e12},
		{"B", 1},
		{"", 1},
	}
	for _, u := range units {
		text, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || n < 0 || n*u.bytes >= math.MaxInt64 || math.IsNaN(n) {
			break
		}
		return int64(n * u.bytes), nil
	}
	return 0, withHint(fmt.Errorf("%q isn't a size", s), "write it as 512MiB or 4GiB")
}

// memoryCeiling reads the most memory that a gateway may take.
func memoryCeiling(flag, s string) (int64, error) {
	const least = 1 << 30
	n, err := parseBytes(s)
	if err != nil {
		return 0, fmt.Errorf("--%s: %w", flag, err)
	}
	if n < least {
		return 0, withHint(fmt.Errorf("--%s: %d bytes are too few", flag, n), "the gateway needs at least 1GiB")
	}
	return n, nil
}

// loopbackOnly refuses an address that others could reach: nobody is asked for a password.
func loopbackOnly(flag, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return withHint(fmt.Errorf("--%s: %w", flag, err), "write it as 127.0.0.1:8080")
	}
	if ip := net.ParseIP(host); host == "localhost" || (ip != nil && ip.IsLoopback()) {
		return nil
	}
	return withHint(fmt.Errorf("--%s %s: it isn't a loopback address, and there is no authentication", flag, address),
		"listen on 127.0.0.1 or [::1]")
}
