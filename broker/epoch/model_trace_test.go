package epoch_test

import (
	"fmt"
	"strings"
)

type stepKind uint8

const (
	stepCrash stepKind = iota
	stepCrashTorn
	stepRestart
	stepRestartBehind
	stepLoseDisk
	stepLoseMemory
	stepPoll
	stepReset
	stepJump
	stepClose
	stepRecord
	stepRecordUnheard
	stepLoseWrite
	stepAlign
	stepAppend
	stepAppendPartly
	stepAppendUnheard
	stepTell
	stepStore
	stepContinue
	stepReassign
)

// step is one thing that happens.
type step struct {
	kind stepKind
	who  int8  // broker, or write on its way
	what int8  // other broker, or position
	set  uint8 // of brokers
}

// describe a step with the names that brokers have.
func (t step) describe(names [maxBrokers]byte) string {
	name := func(i int8) string { return string(names[i]) }
	var set string
	for i := range int8(maxBrokers) {
		if t.set>>i&1 == 1 {
			set += name(i)
		}
	}
	switch t.kind {
	case stepCrash:
		return name(t.who) + " crashes"
	case stepCrashTorn:
		return name(t.who) + "'s machine crashes, and its newest byte wasn't synced"
	case stepRestart:
		return name(t.who) + " restarts"
	case stepRestartBehind:
		return name(t.who) + " restarts, and sees the list without its last epoch"
	case stepLoseDisk:
		return name(t.who) + "'s disk is lost"
	case stepLoseMemory:
		return fmt.Sprintf("%s's machine forgets what is at and above %d", name(t.who), t.what)
	case stepPoll:
		return fmt.Sprintf("%s polls %s; its write is on its way", name(t.who), set)
	case stepReset:
		return fmt.Sprintf("%s polls %s for a reset; its write is on its way", name(t.who), set)
	case stepJump:
		return fmt.Sprintf("%s polls %s to jump to %d; its write is on its way", name(t.who), set, t.what)
	case stepReassign:
		return name(t.who) + " is assigned anew, and has forgotten what it promised"
	case stepClose:
		return name(t.who) + " closes the epoch; its write is on its way"
	case stepRecord:
		return fmt.Sprintf("write %d arrives", t.who)
	case stepRecordUnheard:
		return fmt.Sprintf("write %d arrives, and who wrote doesn't hear of it", t.who)
	case stepLoseWrite:
		return fmt.Sprintf("write %d is lost or refused", t.who)
	case stepAlign:
		return fmt.Sprintf("%s aligns to epoch %d", name(t.who), t.what)
	case stepAppend:
		return name(t.who) + " appends and acknowledges"
	case stepAppendPartly:
		return fmt.Sprintf("%s appends, which reaches %s only", name(t.who), set)
	case stepAppendUnheard:
		return name(t.who) + " appends, which reaches all, and doesn't hear of it"
	case stepTell:
		return fmt.Sprintf("%s tells %s the watermark", name(t.who), name(t.what))
	case stepStore:
		return name(t.who) + " serves and stores what it may"
	case stepContinue:
		return name(t.who) + " goes on with the last epoch"
	default:
		return "?"
	}
}

// trace tells how the last state came about.
func (r *search) trace() string {
	var path []int32
	for i := int32(r.size() - 1); i > 0; i = r.at(i).parent {
		path = append([]int32{i}, path...)
	}
	names := [maxBrokers]byte{'A', 'B', 'C', 'D'}
	var out strings.Builder
	for _, i := range path {
		t := r.at(i).step
		out.WriteString("  " + t.describe(names) + "\n")
		names = r.rename(names, r.at(r.at(i).parent).state, t)
	}
	return out.String() + r.fault
}

// rename follows how brokers are sorted anew after a step.
func (r *search) rename(names [maxBrokers]byte, s modelState, t step) [maxBrokers]byte {
	out, found := names, false
	x := expansion{model: r.model, s: &s, emit: func(next *modelState, made step, _ string) {
		if made != t || found {
			return
		}
		raw := *next
		raw.settle(r.model)
		for i, was := range raw.normalize(r.model.brokers) {
			out[i] = names[was]
		}
		found = true
	}}
	x.run()
	return out
}
