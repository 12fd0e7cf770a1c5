package keep

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/protocol"
)

// LabelView is the label of a shard that names the view which it keeps, by its id.
const LabelView = "broadsheet.dev/view"

// LabelSkipped is the label of a shard whose values are the rows that its view does without: <journal>=<offset>, in which a ';' of the
// journal is %3B.
const LabelSkipped = "broadsheet.dev/view-skipped"

// LogPrefix is that of the names of recovery logs.
const LogPrefix = "broadsheet/recovery/views"

// Transactions of views last no longer while the one before is committed: who reads waits for one of them, or two.
const maxTransaction = 250 * time.Millisecond

// hintBackups is how many hints of former recoveries are kept.
const hintBackups = 2

// ShardID is the id of a view's shard.
func ShardID(view int64) string { return strconv.FormatInt(view, 10) }

// Spec is the shard of a view, whose hints are below a prefix.
func Spec(v View, hints string) *shards.ShardSpec {
	spec := &shards.ShardSpec{
		Id: ShardID(v.ID), RecoveryLogPrefix: LogPrefix, HintPrefix: hints, HintBackups: hintBackups,
		MaxTxnDuration: durationpb.New(maxTransaction), HotStandbys: uint32(max(0, v.Standbys)), //nolint:gosec // there are few
		Labels: protocol.MustLabelSet(LabelView, ShardID(v.ID)),
	}
	for _, j := range slices.Compact(slices.Sorted(slices.Values(v.Journals))) {
		spec.Sources = append(spec.Sources, &shards.ShardSpec_Source{Journal: j})
	}
	for _, p := range v.Skipped {
		spec.GetLabels().AddValue(LabelSkipped, strings.ReplaceAll(p.Journal, ";", "%3B")+"="+strconv.FormatInt(p.Offset, 10))
	}
	return spec
}

// SkippedOf are the rows of each journal that labels say to do without, by their offsets, which ascend.
func SkippedOf(labels *protocol.LabelSet) (map[string][]int64, error) {
	out := map[string][]int64{}
	for _, v := range labels.ValuesOf(LabelSkipped) {
		at := strings.LastIndexByte(v, '=')
		offset, err := strconv.ParseInt(v[at+1:], 10, 64)
		if at <= 0 || err != nil || offset < 0 {
			return nil, fmt.Errorf("label %s: %q isn't <journal>=<offset>", LabelSkipped, v)
		}
		journal := strings.ReplaceAll(v[:at], "%3B", ";")
		out[journal] = append(out[journal], offset)
	}
	for journal, offsets := range out {
		slices.Sort(offsets)
		out[journal] = slices.Compact(offsets)
	}
	return out, nil
}

// follow is the spec of a shard as the view wants it to be; nil if it is so. What else an operator has set is kept.
func follow(now, wanted *shards.ShardSpec) *shards.ShardSpec {
	next := proto.CloneOf(now)
	next.Sources, next.HotStandbys = wanted.GetSources(), wanted.GetHotStandbys()
	for i, s := range next.GetSources() {
		for _, was := range now.GetSources() {
			if was.GetJournal() == s.GetJournal() {
				next.Sources[i] = was
			}
		}
	}
	if next.GetLabels() == nil {
		next.Labels = new(protocol.LabelSet)
	}
	next.GetLabels().SetValue(LabelView, wanted.GetLabels().ValueOf(LabelView)) // without which it keeps nothing
	next.GetLabels().Remove(LabelSkipped)
	for _, v := range wanted.GetLabels().ValuesOf(LabelSkipped) {
		next.GetLabels().AddValue(LabelSkipped, v)
	}
	if proto.Equal(next, now) {
		return nil
	}
	return next
}

// Log is the recovery log of a view, kept as safe as the journals that it reads, of which these are specs.
func Log(view int64, sources []*protocol.JournalSpec) *protocol.JournalSpec {
	log := &protocol.JournalSpec{
		Name: LogPrefix + "/" + ShardID(view), Replication: 1,
		Labels: protocol.MustLabelSet("content-type", "application/x-gazette-recoverylog"),
		Fragment: &protocol.JournalSpec_Fragment{
			Length: 64 << 20, CompressionCodec: protocol.CompressionCodec_SNAPPY,
			RefreshInterval: durationpb.New(time.Minute), FlushInterval: durationpb.New(10 * time.Minute),
		},
		Flags: uint32(protocol.JournalSpec_O_RDWR),
	}
	for i, s := range sources {
		log.Replication = max(log.GetReplication(), s.GetReplication())
		if i == 0 {
			log.Fragment.Stores = slices.Clone(s.GetFragment().GetStores())
		}
	}
	return log
}

// viewOf is the view that a recovery log is of.
func viewOf(log string) (int64, bool) {
	id, ok := strings.CutPrefix(log, LogPrefix+"/")
	n, err := strconv.ParseInt(id, 10, 64)
	return n, ok && err == nil && ShardID(n) == id
}
