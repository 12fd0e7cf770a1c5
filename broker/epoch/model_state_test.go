package epoch_test

import (
	"cmp"
	"slices"
	"strconv"

	"broadsheet.dev/broadsheet/broker/epoch"
	"broadsheet.dev/broadsheet/protocol"
)

const (
	maxBrokers = 4
	maxEpochs  = 5
	maxLate    = 2
	// A reset moves the head by stride positions of the model, which stand for epoch.Span.
	// Appends are of one byte, so a journal has at most stride-1 of them before it is reset.
	stride   = 4
	maxSlots = 2 * stride
)

// modelState is all there is at one moment: brokers with their disks, the list in etcd, writes
// to etcd that are on their way, and the store. What concerns one broker is in its own struct,
// so that states which differ by the order of brokers only become equal when those are sorted.
//
// Content is a number for each position; 0 is none. Each append sets the registers to its number.
type modelState struct {
	brokers [maxBrokers]modelBroker
	epochs  [maxEpochs]modelEpoch // all that were recorded; the one at i has the number i+1
	first   [maxEpochs + 1]int8   // number of the first epoch of the list when it had so many
	n       int8                  // epochs that were recorded
	late    [maxLate]modelWrite
	store   [maxSlots]int8
	acked   [maxSlots]int8 // what was acknowledged; clash if that was done twice

	appends, syncs, losses, resets int8
}

// clash marks a position that has two values.
const clash = -1

// modelBroker is one broker, and its part in each epoch.
type modelBroker struct {
	up, suspect bool
	unsynced    bool // the newest byte may be in memory only
	content     [maxSlots]int8
	begin, end  int8 // of the open fragment
	registers   int8 // at begin
	logged      int8 // epoch
	promised    int8
	watermark   int8
	pipeline    int8 // epoch of which it is the primary; 0 is none
	disk        int8

	member  [maxEpochs]int8 // 1 + disk of this broker in an epoch; 0 if it is no member
	late    [maxLate]int8   // the same of writes on their way
	primary [maxLate]bool   // who wrote
	former  [maxLate]bool   // in a former life
}

// modelEpoch is what isn't of one broker.
type modelEpoch struct {
	start, registers int8
	reset            bool
}

// modelWrite is an epoch on its way to etcd.
type modelWrite struct {
	on    bool
	n     int8 // epochs that there have to be
	first int8 // of the list that it leaves
	epoch modelEpoch
}

func (b *modelBroker) compare(o *modelBroker) int {
	return cmp.Or(
		slices.Compare(b.content[:], o.content[:]),
		cmp.Compare(b.end, o.end), cmp.Compare(b.begin, o.begin), cmp.Compare(b.logged, o.logged),
		cmp.Compare(b.promised, o.promised), cmp.Compare(b.watermark, o.watermark),
		cmp.Compare(b.pipeline, o.pipeline), cmp.Compare(b.disk, o.disk), cmp.Compare(b.registers, o.registers),
		slices.Compare(b.member[:], o.member[:]), slices.Compare(b.late[:], o.late[:]),
		cmp.Compare(b.bits(), o.bits()),
	)
}

func (b *modelBroker) bits() int {
	n := 0
	for _, v := range [...]bool{b.up, b.suspect, b.unsynced, b.primary[0], b.primary[1], b.former[0], b.former[1]} {
		if n *= 2; v {
			n++
		}
	}
	return n
}

// normalize sorts brokers and writes. It returns where each broker was before.
func (s *modelState) normalize(brokers int) [maxBrokers]int8 {
	if s.late[1].on && !s.late[0].on {
		s.late[0], s.late[1] = s.late[1], modelWrite{}
		for i := range s.brokers {
			b := &s.brokers[i]
			b.late[0], b.late[1] = b.late[1], 0
			b.primary[0], b.primary[1] = b.primary[1], false
			b.former[0], b.former[1] = b.former[1], false
		}
	}
	was := [maxBrokers]int8{0, 1, 2, 3}
	for i := 1; i < brokers; i++ {
		for j := i; j > 0 && s.brokers[j].compare(&s.brokers[j-1]) < 0; j-- {
			s.brokers[j], s.brokers[j-1] = s.brokers[j-1], s.brokers[j]
			was[j], was[j-1] = was[j-1], was[j]
		}
	}
	return was
}

// endRegisters are the registers at the broker's end.
func (b *modelBroker) endRegisters() int8 {
	if b.end > b.begin {
		return b.content[b.end-1]
	}
	return b.registers
}

// cut drops what is at and above a position of the open fragment.
func (b *modelBroker) cut(at int8) {
	if at >= b.end {
		return
	}
	clear(b.content[at:])
	b.end, b.watermark, b.unsynced = at, min(b.watermark, at), false
}

// crash takes the broker down, with what it has in memory.
func (s *modelState) crash(i int) {
	b := &s.brokers[i]
	b.up, b.unsynced, b.promised, b.pipeline, b.watermark, b.former = false, false, 0, 0, b.begin, b.primary
}

func (s *modelState) closed(e int8) bool { return s.memberMask(e) == 0 }

// memberMask has a bit for each member of an epoch.
func (s *modelState) memberMask(number int8) uint8 {
	var mask uint8
	for i := range s.brokers {
		if number > 0 && s.brokers[i].member[number-1] != 0 {
			mask |= 1 << i
		}
	}
	return mask
}

// forms has a bit for each member of an epoch that is on its way to etcd.
func (s *modelState) forms(q int) uint8 {
	var mask uint8
	for i := range s.brokers {
		if s.brokers[i].late[q] != 0 {
			mask |= 1 << i
		}
	}
	return mask
}

// storeEnd is the position behind the last one of the store.
func (s *modelState) storeEnd() int8 {
	for at := int8(maxSlots); at > 0; at-- {
		if s.store[at-1] != 0 {
			return at
		}
	}
	return 0
}

// forget drops a write that is on its way.
func (s *modelState) forget(q int) {
	s.late[q] = modelWrite{}
	for i := range s.brokers {
		s.brokers[i].late[q], s.brokers[i].primary[q], s.brokers[i].former[q] = 0, false, false
	}
}

// offset of a position, and back.
func offset(at int8) int64 { return int64(at/stride)*epoch.Span + int64(at%stride) }

func position(offset int64) int8 {
	return int8(offset/epoch.Span)*stride + int8(offset%epoch.Span) //nolint:gosec // offsets are of the model
}

// Registers of the model are the number of the append that set them; of a reset, the negative
// number of the epoch.
const registerName = "append"

var modelSets = func() map[int8]*protocol.LabelSet {
	sets := map[int8]*protocol.LabelSet{0: new(protocol.LabelSet)}
	for v := int8(1); v < 2*maxSlots; v++ {
		sets[v] = protocol.MustLabelSet(registerName, strconv.Itoa(int(v)))
	}
	for v := int8(1); v <= maxEpochs; v++ {
		sets[-v] = protocol.MustLabelSet(epoch.ResetLabel, strconv.Itoa(int(v)))
	}
	return sets
}()

func registersOf(set *protocol.LabelSet) int8 {
	for v, known := range modelSets {
		if known == set || protocol.LabelSetsEqual(known, set) {
			return v
		}
	}
	panic("registers that nobody set: " + set.String())
}

func modelMember(i int, disk int8) epoch.Member {
	return epoch.Member{Broker: epoch.Broker{Zone: "zone", Suffix: string(rune('a' + i))}, Disk: epoch.Disk{byte(disk) + 1}}
}

// list is the one of etcd when it had n epochs.
func (s *modelState) list(n int8) epoch.List {
	if n == 0 {
		return nil
	}
	l := make(epoch.List, 0, maxEpochs)
	for k := s.first[n]; k <= n; k++ {
		e := &s.epochs[k-1]
		next := epoch.Epoch{Number: int64(k), Start: offset(e.start), Registers: modelSets[e.registers], Reset: e.reset}
		for i := range s.brokers {
			if disk := s.brokers[i].member[k-1]; disk != 0 {
				next.Members = append(next.Members, modelMember(i, disk-1))
			}
		}
		l = append(l, next)
	}
	return l
}

// report of a broker, and what it has promised.
func (s *modelState) report(i int) epoch.Report {
	b := &s.brokers[i]
	return epoch.Report{
		Member: modelMember(i, b.disk), Epoch: int64(b.logged), End: offset(b.end), Registers: modelSets[b.endRegisters()],
		Suspect: b.suspect, Fresh: b.logged == 0 && b.end == 0,
	}
}

func (b *modelBroker) replica() epoch.Replica {
	r := epoch.NewReplica(int64(b.logged))
	if b.promised > b.logged {
		_ = r.Poll(int64(b.promised)) // It was given.
	}
	return r
}

// covered tells whether the store has a range of offsets.
func (s *modelState) covered(begin, end int64) bool {
	if end-begin >= stride {
		return false
	}
	for at := position(begin); at < position(end); at++ {
		if s.store[at] == 0 {
			return false
		}
	}
	return true
}
