package shards

import (
	"fmt"
	"strconv"

	"broadsheet.dev/broadsheet/consumer/recoverylog"
)

// PrimaryHintsKey is the etcd key of the hints that the shard's primary writes now and then.
func (x *ShardSpec) PrimaryHintsKey() string { return x.hintsKey("primary") }

// BackupHintsKeys are the etcd keys of the hints by which the shard was recovered before, the newest first.
func (x *ShardSpec) BackupHintsKeys() []string {
	keys := make([]string, 0, x.GetHintBackups())
	for i := range int(x.GetHintBackups()) {
		keys = append(keys, x.hintsKey("backup."+strconv.Itoa(i)))
	}
	return keys
}

func (x *ShardSpec) hintsKey(kind string) string {
	if x.GetHintPrefix() == "" {
		return ""
	}
	return x.GetHintPrefix() + "/" + x.GetId() + "." + kind
}

// PickHints to recover the shard by, of those at PrimaryHintsKey and BackupHintsKeys, nil where there are none: the first that are
// there, or else none: the log from its begin. They may be of a log that the shard had before, and say nothing of the one it has: it
// isn't begun anew for that.
func (x *ShardSpec) PickHints(all ...*recoverylog.FSMHints) (*recoverylog.FSMHints, error) {
	for _, hints := range all {
		switch {
		case hints == nil:
		case hints.GetLog() != x.RecoveryLog():
			return nil, fmt.Errorf("hints of shard %s are of log %q, and the shard's is %q", x.GetId(), hints.GetLog(), x.RecoveryLog())
		default:
			return hints, nil
		}
	}
	return &recoverylog.FSMHints{Log: x.RecoveryLog()}, nil
}
