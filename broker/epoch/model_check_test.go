package epoch_test

import "fmt"

// check returns what is wrong with a state, or "".
func (m *model) check(s *modelState) string {
	for at := range int8(maxSlots) {
		if fault := m.checkPosition(s, at); fault != "" {
			return fault
		}
	}
	if s.losses == 0 && s.resets == 0 && s.n > 0 {
		for at := range s.epochs[s.n-1].start {
			if s.store[at] == 0 && !s.held(at, 0) {
				return fmt.Sprintf("HOLE: position %d is below the epoch's start, and nowhere", at)
			}
		}
	}
	return m.checkMembers(s)
}

func (m *model) checkPosition(s *modelState, at int8) string {
	stored, acked := s.store[at], s.acked[at]
	switch {
	case acked == clash:
		return fmt.Sprintf("LOST: position %d was acknowledged twice", at)
	case stored == clash:
		return fmt.Sprintf("DIVERGE: position %d was served with two values", at)
	case stored != 0 && acked != 0 && stored != acked:
		return fmt.Sprintf("DIVERGE: position %d was served as %d and acknowledged as %d", at, stored, acked)
	case acked != 0 && stored == 0 && s.losses <= m.spare() && !s.givenUp(at) && !s.held(at, acked):
		return fmt.Sprintf("LOST: position %d, acknowledged as %d, is nowhere", at, acked)
	}
	return ""
}

// spare is how many members of an epoch may be lost with all that they have.
func (m *model) spare() int8 {
	if m.fewer {
		return 0
	}
	return int8(m.replication) - 1 //nolint:gosec // it is small
}

// held tells whether some broker has a position, with a value unless that is 0.
func (s *modelState) held(at, value int8) bool {
	for i := range s.brokers {
		if v := s.brokers[i].content[at]; v != 0 && (value == 0 || v == value) {
			return true
		}
	}
	return false
}

// givenUp tells whether an operator gave a position up.
func (s *modelState) givenUp(at int8) bool {
	for k := range s.n {
		if s.epochs[k].reset && at < s.epochs[k].start {
			return true
		}
	}
	return false
}

// checkMembers compares those of the last epoch that have joined it.
func (m *model) checkMembers(s *modelState) string {
	if s.n == 0 {
		return ""
	}
	for i := range m.brokers {
		for j := range i {
			a, b := &s.brokers[i], &s.brokers[j]
			if !a.joined(s.n) || !b.joined(s.n) {
				continue
			}
			for at := range maxSlots {
				if x, y := a.content[at], b.content[at]; x != 0 && y != 0 && x != y {
					return fmt.Sprintf("DIVERGE: members of an epoch have %d and %d at position %d", x, y, at)
				}
			}
			if a.end == b.end && a.endRegisters() != b.endRegisters() {
				return fmt.Sprintf("DIVERGE: registers at position %d", a.end)
			}
		}
	}
	return ""
}

func (b *modelBroker) joined(number int8) bool {
	return b.logged == number && b.member[number-1] == 1+b.disk
}

// checkStuck tells whether no epoch can be formed though nothing stands in the way.
func (x *expansion) checkStuck() string {
	if x.formed || x.s.losses > 0 || x.s.late[0].on || x.s.late[1].on || x.s.syncs >= x.syncs {
		return ""
	}
	for i := range x.brokers {
		if !x.s.brokers[i].up {
			return ""
		}
	}
	return "STUCK: all are up and nothing was lost, and no epoch can be formed"
}
