package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"broadsheet.dev/broadsheet/internal/durable"
	"broadsheet.dev/broadsheet/keyspace"
)

// etcdFormat is the version of the file ETCD that this program writes.
const etcdFormat = 1

// Errors of a directory that was used with another etcd. They protect its spools:
// a journal that etcd doesn't know would be taken for a deleted one.
var (
	// ErrOtherEtcd says that the directory belongs to a broker of another cluster.
	ErrOtherEtcd = errors.New("broker directory belongs to another etcd cluster")
	// ErrOtherPrefix says that the directory belongs to brokers of another prefix of etcd's keys.
	ErrOtherPrefix = errors.New("broker directory belongs to another prefix of etcd")
	// ErrOlderEtcd says that etcd is older than the directory, as one that was
	// restored from a backup, or emptied.
	ErrOlderEtcd = errors.New("etcd is older than the broker directory")
	// ErrNewerFormat says that a file was written by a newer program.
	ErrNewerFormat = errors.New("written by a newer version of Broadsheet")
)

// etcdFile is the content of ETCD: which etcd cluster the spools beside it are of, below which prefix of its keys,
// and the newest revision that they were used with. The cluster is hexadecimal. Earlier programs noted no prefix.
type etcdFile struct {
	Format   int    `json:"format"`
	Cluster  string `json:"cluster"`
	Prefix   string `json:"prefix,omitempty"`
	Revision int64  `json:"revision"`
}

// checkEtcd compares etcd with what the directory has noted, and notes it anew.
func checkEtcd(dir, prefix string, v *keyspace.View) error {
	path := filepath.Join(dir, "ETCD")
	now := etcdFile{Format: etcdFormat, Cluster: strconv.FormatUint(v.ClusterID(), 16), Prefix: prefix, Revision: v.Revision()}
	old, err := readEtcdFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("broker: %s: %w", path, err)
	case old.Format > etcdFormat:
		return fmt.Errorf("broker: %s: %w: format %d, this program has %d", path, ErrNewerFormat, old.Format, etcdFormat)
	case old.Cluster != now.Cluster:
		return fmt.Errorf("broker: %s: %w: it is %s, and this is %s", path, ErrOtherEtcd, old.Cluster, now.Cluster)
	case old.Prefix != "" && old.Prefix != now.Prefix:
		return fmt.Errorf("broker: %s: %w: it is %s, and this is %s", path, ErrOtherPrefix, old.Prefix, now.Prefix)
	case old.Revision > now.Revision:
		return fmt.Errorf("broker: %s: %w: it was used at revision %d, and this is revision %d", path, ErrOlderEtcd, old.Revision, now.Revision)
	}
	if err := writeEtcdFile(path, now); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	return nil
}

func readEtcdFile(path string) (etcdFile, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return etcdFile{}, err
	}
	var f etcdFile
	if err := json.Unmarshal(b, &f); err != nil {
		return etcdFile{}, err
	}
	if f.Format < 1 {
		return etcdFile{}, fmt.Errorf("not a note of an etcd cluster: %q", b)
	}
	return f, nil
}

func writeEtcdFile(path string, f etcdFile) error {
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(b, '\n'))
}
