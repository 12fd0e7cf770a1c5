package allocator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"

	"broadsheet.dev/broadsheet/internal/durable"
)

// leaseFormat is the version of the file LEASE that this program writes.
const leaseFormat = 1

// ErrNewerFormat says that a file was written by a newer program.
var ErrNewerFormat = errors.New("written by a newer version of Broadsheet")

// leaseFile is the content of LEASE: which lease the process of a data directory
// has, in which etcd cluster. Ids are hexadecimal.
type leaseFile struct {
	Format  int    `json:"format"`
	Cluster string `json:"cluster"`
	Lease   string `json:"lease"`
}

func formatLease(id clientv3.LeaseID) string { return strconv.FormatInt(int64(id), 16) }

func formatCluster(id uint64) string { return strconv.FormatUint(id, 16) }

// readLease returns the lease noted in dir for the cluster, or NoLease.
func readLease(dir, cluster string) (clientv3.LeaseID, error) {
	path := filepath.Join(dir, "LEASE")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return clientv3.NoLease, nil
	}
	if err != nil {
		return clientv3.NoLease, err
	}
	var f leaseFile
	if err := json.Unmarshal(b, &f); err != nil {
		return clientv3.NoLease, fmt.Errorf("%s: %w", path, err)
	}
	if f.Format > leaseFormat {
		return clientv3.NoLease, fmt.Errorf("%s: %w: format %d, this program has %d", path, ErrNewerFormat, f.Format, leaseFormat)
	}
	id, err := strconv.ParseInt(f.Lease, 16, 64)
	if err != nil || f.Format < 1 {
		return clientv3.NoLease, fmt.Errorf("%s: not a lease: %q", path, b)
	}
	if f.Cluster != cluster {
		return clientv3.NoLease, nil
	}
	return clientv3.LeaseID(id), nil
}

// writeLease notes the lease in dir, at once and durably.
func writeLease(dir, cluster string, id clientv3.LeaseID) error {
	b, err := json.Marshal(leaseFile{Format: leaseFormat, Cluster: cluster, Lease: formatLease(id)})
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(dir, "LEASE"), append(b, '\n'))
}

func removeLease(dir string) error { return durable.Remove(filepath.Join(dir, "LEASE")) }
