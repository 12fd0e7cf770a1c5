package epoch_test

import (
	"fmt"
	"math/bits"

	"broadsheet.dev/broadsheet/broker/epoch"
)

// model is how much may happen.
type model struct {
	brokers, replication int
	fewer                bool // epochs may have fewer members than replication
	appends              int8
	syncs                int8 // attempts to form or close an epoch
	losses               int8 // disks that are lost, or machines whose memory is
	resets               int8
	replicated           bool // memory is lost, rather than a disk: mode replicated
	rules                rules
}

// expansion makes what may follow a state.
type expansion struct {
	*model
	s      *modelState
	lists  [maxEpochs + 1]epoch.List
	emit   func(next *modelState, t step, fault string)
	formed bool // an epoch could be formed
}

// list is that of etcd when it had n epochs.
func (x *expansion) list(n int8) epoch.List {
	if x.lists[n] == nil {
		x.lists[n] = x.s.list(n)
	}
	return x.lists[n]
}

func (x *expansion) run() {
	for i := range x.brokers {
		if x.s.brokers[i].up {
			x.crash(i)
			x.serve(i)
			x.continueSole(i)
			x.close(i)
			x.reassign(i)
		} else {
			x.restart(i)
			x.lose(i)
		}
		if x.s.brokers[i].pipeline != 0 {
			x.append(i)
			x.tell(i)
			for j := range x.brokers {
				x.align(i, j)
			}
		}
	}
	for set := uint8(1); set < 1<<x.brokers; set++ {
		x.poll(set)
	}
	for q := range x.s.late {
		x.record(q)
	}
}

func (x *expansion) crash(i int) {
	next := *x.s
	next.crash(i)
	x.emit(&next, step{kind: stepCrash, who: int8(i)}, "")
	if b := x.s.brokers[i]; b.unsynced {
		next = *x.s
		next.brokers[i].cut(b.end - 1)
		next.crash(i)
		x.emit(&next, step{kind: stepCrashTorn, who: int8(i)}, "")
	}
}

// restart a broker, whose view of etcd may be a little behind.
func (x *expansion) restart(i int) {
	for behind := range min(2, x.s.n+1) {
		next := *x.s
		fault := x.adopt(&next, i, x.list(x.s.n-behind))
		x.emit(&next, step{kind: stepRestart + stepKind(behind), who: int8(i)}, fault)
	}
}

// adopt a recovered spool, by a list.
func (x *expansion) adopt(next *modelState, i int, l epoch.List) string {
	b := &next.brokers[i]
	b.up, b.promised = true, b.logged
	keep, ok := x.rules.keep(l, int64(b.logged), offset(b.begin))
	if ok && keep < offset(b.end) {
		at := position(keep)
		if fault := b.void(at); fault != "" {
			return fault
		}
		b.registers = b.endRegisters()
		b.begin = at
	}
	b.watermark = max(b.begin, position(x.rules.agreed(l, next.report(i), offset(b.begin))))
	return ""
}

// void cuts the open fragment, in which the spool refuses to cut what was acknowledged.
func (b *modelBroker) void(at int8) string {
	switch {
	case at < b.begin:
		return "STUCK: a cut below the open fragment, which is all that may be cut"
	case at < b.watermark:
		return "LOST: a cut below the watermark"
	}
	b.cut(at)
	return ""
}

func (x *expansion) lose(i int) {
	b := &x.s.brokers[i]
	if x.s.losses >= x.losses || b.end == 0 && b.logged == 0 {
		return
	}
	if !x.replicated {
		next := *x.s
		next.brokers[i] = modelBroker{
			disk: b.disk + 1, member: b.member, late: b.late, primary: b.primary, former: b.former,
		}
		next.losses++
		x.emit(&next, step{kind: stepLoseDisk, who: int8(i)}, "")
		return
	}
	for at := b.begin; at <= b.end; at++ {
		next := *x.s
		next.brokers[i].cut(at)
		next.brokers[i].suspect = true
		next.losses++
		x.emit(&next, step{kind: stepLoseMemory, who: int8(i), what: at}, "")
	}
}

// poll a set of brokers, and write the epoch that they form. Each of them may be the primary.
func (x *expansion) poll(set uint8) {
	if n := bits.OnesCount8(set); n > x.replication || n < x.replication && !x.fewer {
		return
	}
	q, ok := x.freeWrite()
	if !ok {
		return
	}
	next := *x.s
	number := int64(x.s.n) + 1
	var reports []epoch.Report
	for i := range x.brokers {
		if set>>i&1 == 0 {
			continue
		}
		b := &next.brokers[i]
		r := b.replica()
		if !b.up || x.rules.poll(&r, number) != nil {
			return
		}
		b.promised = int8(r.Promised())
		if !x.rules.reportsUnsynced {
			b.unsynced = false
		}
		if b.promised == int8(number) {
			b.pipeline = 0
		}
		reports = append(reports, next.report(i))
	}
	next.syncs++
	l := x.list(x.s.n)
	e, err := x.rules.form(l, reports, 0)
	switch {
	case err == nil:
		x.formed = true
		x.write(next, q, set, e, step{kind: stepPoll, set: set})
		if stored := x.s.storeEnd(); offset(stored) > e.Start {
			e, err := l.Jump(reports, offset(stored))
			if err == nil {
				x.write(next, q, set, e, step{kind: stepJump, set: set, what: stored})
			}
		}
	case x.s.resets < x.resets:
		e, err := x.rules.reset(l, reports, offset(x.s.storeEnd()))
		if err == nil {
			next.resets++
			x.write(next, q, set, e, step{kind: stepReset, set: set})
		}
	}
}

func (x *expansion) freeWrite() (int, bool) {
	if x.s.syncs >= x.syncs || x.s.n >= maxEpochs {
		return 0, false
	}
	for q := range x.s.late {
		if !x.s.late[q].on {
			return q, true
		}
	}
	return 0, false
}

// write sends an epoch to etcd, by each of its members.
func (x *expansion) write(next modelState, q int, set uint8, e epoch.Epoch, t step) {
	x.place(&next, q, e)
	for i := range x.brokers {
		if set>>i&1 == 0 {
			continue
		}
		b := &next.brokers[i]
		b.late[q] = 1 + b.disk
		if x.rules.cutsBeforeRecord {
			b.cut(max(b.begin, next.late[q].epoch.start))
		}
	}
	for i := range x.brokers {
		if set>>i&1 == 1 {
			by := next
			by.brokers[i].primary[q] = true
			t.who = int8(i)
			x.emit(&by, t, "")
		}
	}
}

func (x *expansion) place(next *modelState, q int, e epoch.Epoch) {
	l := x.rules.follow(x.list(x.s.n), e, x.s.covered)
	next.late[q] = modelWrite{on: true, n: x.s.n, first: int8(l[0].Number), epoch: modelEpoch{
		start: position(e.Start), registers: registersOf(e.Registers), reset: e.Reset,
	}}
}

// close the last epoch, as one of its members knows it.
func (x *expansion) close(i int) {
	q, ok := x.freeWrite()
	if !ok || x.s.n == 0 || x.s.closed(x.s.n) {
		return
	}
	next := *x.s
	b := &next.brokers[i]
	if r := b.replica(); !x.rules.closesUnpromised {
		if x.rules.poll(&r, int64(x.s.n)+1) != nil {
			return
		}
		b.promised = int8(r.Promised())
	}
	b.pipeline, b.unsynced = 0, false
	e, err := x.rules.closing(x.list(x.s.n), next.report(i))
	if err != nil {
		return
	}
	next.syncs++
	x.place(&next, q, e)
	b.primary[q] = true
	x.emit(&next, step{kind: stepClose, who: int8(i)}, "")
}

// record a write that was on its way, if the list is what it was compared with.
func (x *expansion) record(q int) {
	w := x.s.late[q]
	if !w.on {
		return
	}
	gone := *x.s
	gone.forget(q)
	x.emit(&gone, step{kind: stepLoseWrite, who: int8(q)}, "")
	if w.n != x.s.n {
		return
	}
	next := gone
	next.epochs[next.n], next.first[next.n+1] = w.epoch, w.first
	for i := range next.brokers {
		next.brokers[i].member[next.n] = x.s.brokers[i].late[q]
	}
	next.n++
	x.emit(&next, step{kind: stepRecordUnheard, who: int8(q)}, "")
	for i := range x.brokers {
		b := &next.brokers[i]
		// A promise is lost with the process, and so is what it waited for.
		if x.s.brokers[i].primary[q] && b.up && b.member[next.n-1] == 1+b.disk && b.promised <= next.n && b.pipeline == 0 {
			b.pipeline = next.n
			x.emit(&next, step{kind: stepRecord, who: int8(q)}, "")
		}
	}
}

// align a member, as its primary asks it to.
func (x *expansion) align(p, i int) {
	k, b := x.s.brokers[p].pipeline, &x.s.brokers[i]
	if !b.up || b.member[k-1] == 0 || b.logged >= k {
		return
	}
	l, r := x.list(k), b.replica()
	a, err := x.rules.align(&r, l, modelMember(i, b.disk), offset(b.watermark))
	if err != nil {
		return
	}
	next := *x.s
	b = &next.brokers[i]
	t := step{kind: stepAlign, who: int8(i), what: k}
	if a.Keep < offset(b.end) {
		if fault := b.void(position(a.Keep)); fault != "" {
			x.emit(&next, t, fault)
			return
		}
	}
	e := next.epochs[k-1]
	if e.start < b.end {
		x.emit(&next, t, "STUCK: the epoch starts below what is kept")
		return
	}
	r.Aligned(a.Epoch.Number)
	b.begin, b.end, b.watermark, b.registers = e.start, e.start, e.start, e.registers
	b.logged, b.promised, b.suspect, b.unsynced = int8(r.Logged()), int8(r.Promised()), false, false
	x.emit(&next, t, "")
}

// append a byte. It reaches all members, or some and the primary, or all but the primary
// doesn't hear of that.
func (x *expansion) append(p int) {
	k := x.s.brokers[p].pipeline
	at := x.s.brokers[p].end
	if x.s.appends >= x.appends || at%stride == stride-1 {
		return
	}
	members := x.s.memberMask(k)
	reachable := uint8(0)
	for i := range x.brokers {
		b := &x.s.brokers[i]
		r := b.replica()
		if members>>i&1 == 0 {
			continue
		}
		aligned := b.logged == k
		if !aligned && !x.rules.appendsUnaligned {
			return
		}
		if b.up && b.end == at && b.member[k-1] == 1+b.disk && x.rules.accepts(&r, int64(k)) {
			reachable |= 1 << i
		}
	}
	if reachable>>p&1 == 0 {
		return
	}
	for set := reachable; set > 0; set = (set - 1) & reachable {
		if set>>p&1 == 1 {
			x.appendTo(p, at, set, set == members)
		}
	}
}

func (x *expansion) appendTo(p int, at int8, set uint8, all bool) {
	next := *x.s
	next.appends++
	was := next.brokers[p].endRegisters()
	for i := range x.brokers {
		if set>>i&1 == 1 {
			b := &next.brokers[i]
			b.content[at], b.end, b.unsynced = next.appends, at+1, true
		}
	}
	part := next
	part.brokers[p].pipeline = 0
	if !all {
		x.emit(&part, step{kind: stepAppendPartly, who: int8(p), set: set}, "")
		return
	}
	x.emit(&part, step{kind: stepAppendUnheard, who: int8(p), set: set}, "")
	for i := range x.brokers {
		if set>>i&1 == 1 {
			next.brokers[i].unsynced = false
		}
	}
	next.brokers[p].watermark = at + 1
	fault := ""
	if next.acked[at] != 0 {
		next.acked[at] = clash
	} else {
		next.acked[at] = next.appends
	}
	if at > 0 && at%stride != 0 && next.acked[at-1] > 0 && was >= 0 && was != next.acked[at-1] {
		fault = fmt.Sprintf("DIVERGE: the registers at position %d are %d, and were %d when that was acknowledged", at, was, next.acked[at-1])
	}
	x.emit(&next, step{kind: stepAppend, who: int8(p)}, fault)
}

// tell members the watermark, one at a time.
func (x *expansion) tell(p int) {
	from := &x.s.brokers[p]
	if from.logged != from.pipeline {
		return
	}
	for i := range x.brokers {
		b := &x.s.brokers[i]
		r := b.replica()
		if i == p || !b.up || b.member[from.pipeline-1] != 1+b.disk || b.watermark >= from.watermark || !x.rules.accepts(&r, int64(from.pipeline)) {
			continue
		}
		next := *x.s
		next.brokers[i].watermark = min(from.watermark, b.end)
		x.emit(&next, step{kind: stepTell, who: int8(p), what: int8(i)}, "")
	}
}

// serve to readers what is below the watermark. What a reader saw is as much out of our hands as what is stored:
// the model doesn't tell them apart.
func (x *expansion) serve(i int) {
	b := &x.s.brokers[i]
	upTo := b.watermark
	if x.rules.servesUnacknowledged {
		upTo = b.end
	}
	next := *x.s
	for at, v := range b.content[:upTo] {
		switch {
		case v == 0 || next.store[at] == v:
		case next.store[at] == 0:
			next.store[at] = v
		default:
			next.store[at] = clash
		}
	}
	if next.store != x.s.store {
		x.emit(&next, step{kind: stepStore, who: int8(i)}, "")
	}
}

// reassign takes the journal from a broker and gives it back. What the process has promised it still has.
func (x *expansion) reassign(i int) {
	if b := &x.s.brokers[i]; x.rules.promisesForAssignment && b.promised > b.logged {
		next := *x.s
		next.brokers[i].promised, next.brokers[i].pipeline = b.logged, 0
		x.emit(&next, step{kind: stepReassign, who: int8(i)}, "")
	}
}

// continueSole lets the only member of the last epoch go on after a restart. As nobody else is
// assigned then, the writes of other primaries, and of its own lease of before, are refused: they
// compare assignments that are gone. A write that closes the epoch compares that its process is still there; that
// no member is assigned doesn't help, as it may arrive when that is so again.
func (x *expansion) continueSole(i int) {
	b := &x.s.brokers[i]
	r := b.replica()
	if b.pipeline != 0 || x.s.n == 0 || !x.rules.continues(x.list(x.s.n), x.s.report(i)) || !x.rules.accepts(&r, int64(x.s.n)) {
		return
	}
	next := *x.s
	if !x.rules.ignoresLease {
		for q := range next.late {
			if closing := x.s.late[q].on && x.s.forms(q) == 0; closing {
				if b.former[q] && !x.rules.closesUncompared {
					next.forget(q)
				}
			} else if !x.ofPresentProcess(i, q) {
				next.forget(q)
			}
		}
	}
	c := &next.brokers[i]
	c.pipeline, c.watermark, c.unsynced = next.n, c.end, false
	x.emit(&next, step{kind: stepContinue, who: int8(i)}, "")
}

// ofPresentProcess tells whether a write may be of a broker's present process, which then has promised.
func (x *expansion) ofPresentProcess(i, q int) bool {
	return x.s.brokers[i].primary[q] && x.s.brokers[i].promised > x.s.late[q].n
}
