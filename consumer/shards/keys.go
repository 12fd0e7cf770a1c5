package shards

import "strconv"

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
