package keyspace

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// versionPatience bounds how long a member of etcd may take to tell its version, and versionLag how long one
// is waited for once another has.
const versionPatience, versionLag = 5 * time.Second, time.Second

// The oldest etcd that we work with: what we ask of watches and leases older ones do otherwise.
const oldestMajor, oldestMinor = 3, 5

// VersionError says that a member of etcd is too old.
type VersionError struct {
	// Endpoint of the member, and the version that it says to have.
	Endpoint, Version string
}

// Error names the member and both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("etcd at %s has version %s: it has to be %d.%d or newer", e.Endpoint, e.Version, oldestMajor, oldestMinor)
}

// checkVersion asks all members for their versions, and refuses etcd by a *VersionError if one that answers is too old.
// (The client's own check fails if any of them is down.)
func checkVersion(ctx context.Context, c *clientv3.Client) error {
	ctx, cancel := context.WithTimeout(ctx, versionPatience)
	answers := make(chan error, len(c.Endpoints()))
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()
	for _, endpoint := range c.Endpoints() {
		asked.Go(func() { answers <- checkMember(ctx, c, endpoint) })
	}
	var failed []error
	for range cap(answers) {
		err := <-answers
		if _, old := errors.AsType[*VersionError](err); old {
			return err
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		defer time.AfterFunc(versionLag, cancel).Stop()
	}
	if len(failed) == cap(answers) {
		return fmt.Errorf("keyspace: ask etcd for its version: %w", errors.Join(failed...))
	}
	return nil
}

func checkMember(ctx context.Context, c *clientv3.Client, endpoint string) error {
	r, err := c.Status(ctx, endpoint)
	if err != nil {
		return fmt.Errorf("%s: %w", endpoint, err)
	}
	if major, minor := parseVersion(r.Version); major < oldestMajor || major == oldestMajor && minor < oldestMinor {
		return &VersionError{Endpoint: endpoint, Version: r.Version}
	}
	return nil
}

// parseVersion of the form 3.5.1; what isn't one is as old as can be.
func parseVersion(s string) (major, minor int) { //nolint:nonamedreturns // which is which
	first, rest, _ := strings.Cut(s, ".")
	second, _, _ := strings.Cut(rest, ".")
	major, err := strconv.Atoi(first)
	if err != nil {
		return 0, 0
	}
	if minor, err = strconv.Atoi(second); err != nil {
		return 0, 0
	}
	return major, minor
}
