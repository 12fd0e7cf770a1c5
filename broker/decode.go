package broker

import (
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/allocator"
	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/protocol"
)

// journalItem is a journal as the allocator sees it. It is shared and never changed.
type journalItem struct {
	spec   *protocol.JournalSpec
	labels *protocol.LabelSet // what selectors are matched with
	most   int                // caps how many brokers hold it
}

// DesiredReplication is how many brokers are to hold the journal now.
func (i journalItem) DesiredReplication() int {
	switch i.spec.GetSuspend().GetLevel() {
	case protocol.JournalSpec_Suspend_FULL:
		return 0
	case protocol.JournalSpec_Suspend_PARTIAL:
		return 1
	default:
		return min(int(i.spec.GetReplication()), i.most)
	}
}

// IsConsistent tells whether the journal's replicas are as the allocator last assigned
// them: its primary has told etcd the route of all, which it does when they are in step.
func (i journalItem) IsConsistent(_ allocator.Assignment, all []allocator.Assignment) bool {
	route := protocol.EmptyRoute()
	for _, a := range slices.SortedFunc(slices.Values(all), func(a, b allocator.Assignment) int {
		return strings.Compare(a.ID.String(), b.ID.String())
	}) {
		if a.ID.Slot == 0 {
			route.Primary = int32(len(route.GetMembers())) //nolint:gosec // a journal has few members
		}
		route.Members = append(route.Members, processID(a.ID.Member))
	}
	for _, a := range all {
		if told, _ := a.Value.(*protocol.Route); told == nil || !protocol.RouteEquivalent(told, route) {
			return false
		}
	}
	return true
}

// brokerMember is a broker as the allocator sees it. It is shared and never changed.
type brokerMember struct{ spec *protocol.BrokerSpec }

// ItemLimit is how many journals the broker takes.
func (m brokerMember) ItemLimit() int { return int(m.spec.GetJournalLimit()) }

// Exiting tells that the broker hands its journals over.
func (m brokerMember) Exiting() bool { return m.spec.GetExiting() }

// decoder decodes the values of brokers' keys (docs/format/etcd-keys.md).
type decoder struct {
	most int // brokers that hold a journal, whatever its spec says
}

// DecodeItem of a JournalSpec whose name is the key's.
func (d decoder) DecodeItem(id string, value []byte) (allocator.ItemValue, error) {
	spec := new(protocol.JournalSpec)
	if err := proto.Unmarshal(value, spec); err != nil {
		return nil, err
	}
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if spec.GetName() != id {
		return nil, fmt.Errorf("spec is named %q", spec.GetName())
	}
	return journalItem{spec: spec, labels: spec.SelectableLabels(), most: d.most}, nil
}

// DecodeMember of a BrokerSpec whose process is the key's.
func (decoder) DecodeMember(id allocator.MemberID, value []byte) (allocator.MemberValue, error) {
	spec := new(protocol.BrokerSpec)
	if err := proto.Unmarshal(value, spec); err != nil {
		return nil, err
	}
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if got := memberID(spec.GetProcessSpec().GetId()); got != id {
		return nil, fmt.Errorf("spec is of process %s", got)
	}
	return brokerMember{spec}, nil
}

// DecodeAssignment of the Route that the replica knows; empty if it is new.
func (decoder) DecodeAssignment(_ allocator.AssignmentID, value []byte) (any, error) {
	if len(value) == 0 {
		return (*protocol.Route)(nil), nil
	}
	route := new(protocol.Route)
	if err := proto.Unmarshal(value, route); err != nil {
		return nil, err
	}
	if err := route.Validate(); err != nil {
		return nil, err
	}
	return route, nil
}

func memberID(id *protocol.ProcessSpec_ID) allocator.MemberID {
	return allocator.MemberID{Zone: id.GetZone(), Suffix: id.GetSuffix()}
}

func processID(id allocator.MemberID) *protocol.ProcessSpec_ID {
	return &protocol.ProcessSpec_ID{Zone: id.Zone, Suffix: id.Suffix}
}

// decodeKey is the Decode of the brokers' key space, in which no more than so many brokers are to hold a journal.
func decodeKey(prefix string, most int) func(*mvccpb.KeyValue) (any, error) {
	return func(kv *mvccpb.KeyValue) (any, error) {
		if strings.HasPrefix(string(kv.GetKey()), epochsPrefix(prefix)) {
			list, created, err := epoch.Decode(kv.GetValue())
			name := strings.TrimPrefix(string(kv.GetKey()), epochsPrefix(prefix))
			return journalEpochs{name, list, created}, err
		}
		return allocator.Decode(prefix, decoder{most}, kv)
	}
}

// journalEpochs is the value of a journal's epochs key.
type journalEpochs struct {
	journal        string
	list           epoch.List
	createRevision int64 // of the journal's spec
}

// Preferred members of the journal: those that hold its newest bytes (R6).
func (e journalEpochs) Preferred() (string, []allocator.MemberID) {
	last, _ := e.list.Last()
	ids := make([]allocator.MemberID, 0, len(last.Members))
	for _, m := range last.Members {
		ids = append(ids, allocator.MemberID{Zone: m.Zone, Suffix: m.Suffix})
	}
	return e.journal, ids
}

// Affinity of a journal: who holds its newest bytes is told by its epochs. Without stores nobody
// else could ever get them.
func (i journalItem) Affinity() ([]allocator.MemberID, bool) {
	return nil, len(i.spec.GetFragment().GetStores()) == 0
}

// epochsPrefix is what the keys of all journals' epochs begin with.
func epochsPrefix(prefix string) string { return prefix + "/epochs/" }

// epochsKey is the key of a journal's epochs.
func epochsKey(prefix, journal string) string { return epochsPrefix(prefix) + journal }
