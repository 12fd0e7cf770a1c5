package epoch

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/protocol"
)

// Span is how far apart, in bytes, the starts of an epoch and of one that resets it
// are at least. An epoch is renewed before it holds as much: so a reset never hands
// an offset out twice (R7).
const Span = int64(1) << 40

// Disk identifies the disk on which a broker has its spools.
type Disk [16]byte

// Broker is the id of a broker.
type Broker struct{ Zone, Suffix string }

// String is zone#suffix.
func (b Broker) String() string { return b.Zone + "#" + b.Suffix }

// compare orders brokers as a route has them.
func (b Broker) compare(o Broker) int {
	if c := strings.Compare(b.Zone, o.Zone); c != 0 {
		return c
	}
	return strings.Compare(b.Suffix, o.Suffix)
}

// Member of an epoch: a broker that comes back with another disk is another member.
type Member struct {
	Broker
	Disk Disk
}

// Epoch is a span of a journal's life with the same members.
type Epoch struct {
	// Number of the epoch, from 1.
	Number int64
	// Members in order. An epoch without members only tells where the one before ended (R6).
	Members []Member
	// Start is the offset of the epoch's first append.
	Start int64
	// Registers at Start. They are not changed.
	Registers *protocol.LabelSet
	// Reset tells that offsets were skipped (R7): an operator gave up what the epochs before
	// may have had, or there was a Jump.
	Reset bool
	// Pruned is the offset below which the journal's retention gave up what was stored of the epoch; 0 if
	// it gave up nothing.
	Pruned int64
}

// kept is where in the epoch begins what wasn't given up by retention.
func (e Epoch) kept() int64 { return max(e.Start, e.Pruned) }

// givesUp tells whether an operator gave up what the epochs before may have had. It has the
// registers that such a reset leaves, and a jump hasn't.
func (e Epoch) givesUp() bool {
	return e.Reset && e.Registers.ValueOf(ResetLabel) == strconv.FormatInt(e.Number, 10)
}

// Closed tells whether the epoch has no members.
func (e Epoch) Closed() bool { return len(e.Members) == 0 }

// Has tells whether a member, by broker and disk, is of the epoch.
func (e Epoch) Has(m Member) bool { return slices.Contains(e.Members, m) }

// Sole tells whether m is the only member.
func (e Epoch) Sole(m Member) bool { return len(e.Members) == 1 && e.Has(m) }

// List has the epochs of a journal in order, numbered without gaps. What was before
// the first is in the stores, or was given up. An empty list is of a journal that had no
// epoch yet.
type List []Epoch

// Last epoch; ok is false if there is none.
func (l List) Last() (Epoch, bool) {
	if len(l) == 0 {
		return Epoch{}, false
	}
	return l[len(l)-1], true
}

// Next is the number of the epoch that follows.
func (l List) Next() int64 {
	last, _ := l.Last()
	return last.Number + 1
}

// with returns the list followed by another epoch.
func (l List) with(e Epoch) List { return append(slices.Clip(l), e) }

// Prune returns the list in which the journal's retention gives up what is stored below an offset. It is to be
// written before that is removed: afterwards nothing else tells it from what never was stored.
func (l List) Prune(end int64) List {
	l = slices.Clone(l)
	for i := range l {
		upto := end
		if i+1 < len(l) {
			upto = min(end, l[i+1].Start)
		}
		if upto > l[i].kept() {
			l[i].Pruned = upto
		}
	}
	return l
}

// LivesBetween tells whether a range has offsets of epochs before the last that retention didn't give up: their
// bytes are with members until the stores have them (R5).
func (l List) LivesBetween(begin, end int64) bool {
	for i := 1; i < len(l); i++ {
		if max(begin, l[i-1].kept()) < min(end, l[i].Start) {
			return true
		}
	}
	return false
}

// Retire returns the list without those epochs at its front whose whole range is in the
// stores, as covered tells of a range [begin, end), or was given up: by retention, or by a reset that isn't the
// last epoch (R5). The last epoch stays.
func (l List) Retire(covered func(begin, end int64) bool) List {
	for i := len(l) - 2; i > 0; i-- {
		if l[i].givesUp() {
			l = l[i:]
			break
		}
	}
	for len(l) > 1 && (l[0].Pruned >= l[1].Start || covered(l[0].kept(), l[1].Start)) {
		l = l[1:]
	}
	return l
}

// Encode the list for etcd.
func (l List) Encode(createRevision int64) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(l.Proto(createRevision))
	if err != nil {
		return nil, fmt.Errorf("encode epochs: %w", err)
	}
	return b, nil
}

// Proto is the list as a message.
func (l List) Proto(createRevision int64) *protocol.EpochList {
	out := &protocol.EpochList{Version: protocol.EpochListVersion, CreateRevision: createRevision}
	for _, e := range l {
		p := &protocol.Epoch{Number: e.Number, Start: e.Start, Registers: e.Registers, Reset_: e.Reset, Pruned: e.Pruned}
		for _, m := range e.Members {
			p.Members = append(p.Members, &protocol.Epoch_Member{
				Id: &protocol.ProcessSpec_ID{Zone: m.Zone, Suffix: m.Suffix}, Disk: bytes.Clone(m.Disk[:]),
			})
		}
		out.Epochs = append(out.Epochs, p)
	}
	return out
}

// Decode what Encode made. It returns the create revision of the journal's spec, too.
func Decode(b []byte) (List, int64, error) {
	p := new(protocol.EpochList)
	if err := proto.Unmarshal(b, p); err != nil {
		return nil, 0, fmt.Errorf("decode epochs: %w", err)
	}
	l, err := FromProto(p)
	return l, p.GetCreateRevision(), err
}

// FromProto is the list of a message, which is checked.
func FromProto(p *protocol.EpochList) (List, error) {
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("epochs: %w", err)
	}
	l := make(List, 0, len(p.GetEpochs()))
	for _, e := range p.GetEpochs() {
		out := Epoch{Number: e.GetNumber(), Start: e.GetStart(), Registers: e.GetRegisters(), Reset: e.GetReset_(), Pruned: e.GetPruned()}
		if out.Registers == nil {
			out.Registers = new(protocol.LabelSet)
		}
		for _, m := range e.GetMembers() {
			out.Members = append(out.Members, Member{Broker{m.GetId().GetZone(), m.GetId().GetSuffix()}, Disk(m.GetDisk())})
		}
		l = append(l, out)
	}
	return l, nil
}
