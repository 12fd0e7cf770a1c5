package epoch_test

import "broadsheet.dev/broadsheet/broker/epoch"

// rules are the decisions by which the model lives. Those in force are this package's own; a
// test that the model finds faults replaces one of them.
type rules struct {
	poll      func(r *epoch.Replica, next int64) error
	accepts   func(r *epoch.Replica, number int64) bool
	align     func(r *epoch.Replica, l epoch.List, self epoch.Member, begin int64) (epoch.Alignment, error)
	form      func(l epoch.List, reports []epoch.Report, floor int64) (epoch.Epoch, error)
	reset     func(l epoch.List, reports []epoch.Report, stored int64) (epoch.Epoch, error)
	closing   func(l epoch.List, r epoch.Report) (epoch.Epoch, error)
	keep      func(l epoch.List, logged, begin int64) (int64, bool)
	agreed    func(l epoch.List, r epoch.Report, begin int64) int64
	continues func(l epoch.List, r epoch.Report) bool
	follow    func(l epoch.List, e epoch.Epoch, covered func(begin, end int64) bool) epoch.List

	// What is asked of those who call the package.
	servesUnacknowledged bool // all is served, whatever the watermark
	closesUnpromised     bool // who closes an epoch makes no promise
	reportsUnsynced      bool // what is reported to a poll may be in memory only
	cutsBeforeRecord     bool // members are cut when they are polled
	appendsUnaligned     bool // appends are taken before all are aligned
	closesUncompared     bool // who closes doesn't compare that its process is still there
	// promises are forgotten when the journal is assigned to others
	promisesForAssignment bool
	ignoresLease          bool // a sole member goes on though writes of others may be on their way
}

func rulesInForce() rules {
	return rules{
		poll:    (*epoch.Replica).Poll,
		accepts: (*epoch.Replica).Accepts,
		align:   (*epoch.Replica).Align,
		form:    epoch.List.Form,
		reset: func(l epoch.List, reports []epoch.Report, stored int64) (epoch.Epoch, error) {
			return l.Reset(reports, l.Bound(stored))
		},
		closing:   epoch.List.Close,
		keep:      epoch.List.Keep,
		agreed:    epoch.List.Agreed,
		continues: epoch.List.Continues,
		follow:    epoch.List.Append,
	}
}

// formAs forms of reports that are changed before.
func formAs(change func(last epoch.Epoch, r *epoch.Report)) func(epoch.List, []epoch.Report, int64) (epoch.Epoch, error) {
	return func(l epoch.List, reports []epoch.Report, floor int64) (epoch.Epoch, error) {
		last, _ := l.Last()
		changed := make([]epoch.Report, len(reports))
		for i, r := range reports {
			changed[i] = r
			change(last, &changed[i])
		}
		e, err := l.Form(changed, floor)
		e.Members = nil
		for _, r := range reports {
			e.Members = append(e.Members, r.Member)
		}
		return e, err
	}
}

// broken is a rule that is dropped, and where the model finds that out.
type broken struct {
	name  string
	rule  string // as replication.md has it
	model model
	drop  func(*rules)
}

func brokenRules() []broken {
	plain := model{brokers: 3, replication: 2, appends: 2, syncs: 3}
	lossy := model{brokers: 3, replication: 2, appends: 1, syncs: 3, losses: 1}
	varied := model{brokers: 3, replication: 2, fewer: true, appends: 2, syncs: 3}
	rebooting := lossy
	rebooting.replicated = true
	resetting := model{brokers: 2, replication: 1, appends: 2, syncs: 3, resets: 1}
	sole := model{brokers: 2, replication: 2, fewer: true, appends: 2, syncs: 3}
	return []broken{
		{"fence", "R1", plain, func(r *rules) {
			r.accepts = func(*epoch.Replica, int64) bool { return true }
			r.appendsUnaligned = true
		}},
		{"poll promises", "R1", plain, func(r *rules) {
			r.poll = func(*epoch.Replica, int64) error { return nil }
		}},
		{"disk identity", "R1", lossy, func(r *rules) {
			r.form = formAs(func(last epoch.Epoch, r *epoch.Report) {
				for _, m := range last.Members {
					if m.Broker == r.Broker && r.Disk != m.Disk {
						r.Disk, r.Epoch = m.Disk, last.Number
					}
				}
			})
		}},
		{"record before align", "R1", plain, func(r *rules) { r.cutsBeforeRecord = true }},
		{"report what is synced", "R1", plain, func(r *rules) { r.reportsUnsynced = true }},
		{"who didn't log brings the start", "R2", plain, func(r *rules) {
			r.form = formAs(func(last epoch.Epoch, r *epoch.Report) { r.Epoch = max(r.Epoch, last.Number) })
		}},
		{"registers of the start", "R2", plain, func(r *rules) {
			r.form = func(l epoch.List, reports []epoch.Report, floor int64) (epoch.Epoch, error) {
				e, err := l.Form(reports, floor)
				if last, ok := l.Last(); ok {
					e.Registers = last.Registers
				}
				return e, err
			}
		}},
		{"suspect", "R3", rebooting, func(r *rules) {
			r.form = formAs(func(_ epoch.Epoch, r *epoch.Report) { r.Suspect = false })
		}},
		{"serve what is acknowledged", "R4", plain, func(r *rules) { r.servesUnacknowledged = true }},
		{"recovered watermark", "R4", plain, func(r *rules) {
			r.agreed = func(_ epoch.List, r epoch.Report, _ int64) int64 { return r.End }
		}},
		{"keep by the epoch that follows", "R5", plain, func(r *rules) {
			r.keep = func(l epoch.List, logged, begin int64) (int64, bool) {
				last, ok := l.Last()
				return max(begin, last.Start), ok && logged < last.Number
			}
			r.align = func(rep *epoch.Replica, l epoch.List, self epoch.Member, begin int64) (epoch.Alignment, error) {
				a, err := rep.Align(l, self, begin)
				a.Keep = max(begin, a.Epoch.Start)
				return a, err
			}
		}},
		{"retire what is stored", "R5", lossy, func(r *rules) {
			r.follow = func(l epoch.List, e epoch.Epoch, _ func(begin, end int64) bool) epoch.List {
				return l.Append(e, func(int64, int64) bool { return true })
			}
		}},
		{"close with what is known", "R6", varied, func(r *rules) {
			r.closing = func(l epoch.List, r epoch.Report) (epoch.Epoch, error) {
				e, err := l.Close(r)
				if last, ok := l.Last(); ok && err == nil && !last.Closed() {
					e.Start, e.Registers = last.Start, last.Registers
				}
				return e, err
			}
		}},
		{"close promises", "R6", sole, func(r *rules) { r.closesUnpromised = true }},
		{"reset beyond the span", "R7", resetting, func(r *rules) {
			r.reset = func(l epoch.List, reports []epoch.Report, stored int64) (epoch.Epoch, error) {
				last, _ := l.Last()
				return l.Reset(reports, max(last.Start, stored))
			}
		}},
		{"continue with a spool that isn't suspect", "R3", model{
			brokers: 2, replication: 1, appends: 2, syncs: 2, losses: 1, replicated: true,
		}, func(r *rules) {
			r.continues = func(l epoch.List, r epoch.Report) bool { r.Suspect = false; return l.Continues(r) }
		}},
		{"close compares the process", "R6", sole, func(r *rules) { r.closesUncompared = true }},
		{"promises outlive assignments", "R6", sole, func(r *rules) { r.promisesForAssignment = true }},
		{"continue under the present lease", "R1", sole, func(r *rules) { r.ignoresLease = true }},
	}
}
