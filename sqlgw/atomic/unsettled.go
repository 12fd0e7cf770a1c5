package atomic

import (
	"slices"
	"time"

	"broadsheet.dev/broadsheet/message"
)

// Unsettled is what is known of the journal of records: of those up to an offset, which aren't acknowledged in all of
// their journals. The zero value knows none.
type Unsettled struct {
	at   int64
	open []openRecord // in the order of the journal
	// early are transactions whose record is expected: true if they're acknowledged already.
	early map[message.UUID]bool
	// last is where the last record ends that isn't a checkpoint.
	last, checkpoint int64
}

// openRecord is a record that isn't known to be acknowledged in all of its journals.
type openRecord struct {
	begin  int64
	learnt time.Time
	Record
}

// Begin with the records from an offset on: those before are settled.
func (u *Unsettled) Begin(at int64) { u.at, u.checkpoint = at, at }

// At is the offset of the first record that isn't known.
func (u *Unsettled) At() int64 { return u.at }

// Learn the record that ends at an offset.
func (u *Unsettled) Learn(r Record, end int64, now time.Time) {
	begin := u.at
	u.at = end
	if r.Checkpoint > 0 {
		u.checkpoint = max(u.checkpoint, r.Checkpoint)
		u.open = slices.DeleteFunc(u.open, func(r openRecord) bool { return r.begin < u.checkpoint })
		return
	}
	u.last = end
	acknowledged := u.early[r.Ack]
	delete(u.early, r.Ack)
	if !acknowledged {
		u.open = append(u.open, openRecord{begin, now, r})
	}
}

// Skip what isn't a record, up to an offset.
func (u *Unsettled) Skip(end int64) { u.at = end }

// Expect a record, which may be acknowledged before it is learnt.
func (u *Unsettled) Expect(ack message.UUID) {
	if u.early == nil {
		u.early = map[message.UUID]bool{}
	}
	u.early[ack] = false
}

// Forget that a record was expected: it may come or not.
func (u *Unsettled) Forget(ack message.UUID) { delete(u.early, ack) }

// Acknowledged in all of its journals is a transaction.
func (u *Unsettled) Acknowledged(ack message.UUID) {
	if _, expected := u.early[ack]; expected {
		u.early[ack] = true
	}
	u.open = slices.DeleteFunc(u.open, func(r openRecord) bool { return r.Ack == ack })
}

// Owed are the records that aren't settled and have one of some journals.
func (u *Unsettled) Owed(journals map[string]bool) []Record {
	var out []Record
	for _, r := range u.open {
		if slices.ContainsFunc(r.Journals, func(j string) bool { return journals[j] }) {
			out = append(out, r.Record)
		}
	}
	return out
}

// Owes tells whether the record of a transaction isn't settled.
func (u *Unsettled) Owes(ack message.UUID) bool {
	return slices.ContainsFunc(u.open, func(r openRecord) bool { return r.Ack == ack })
}

// Overdue are the records that aren't settled, and were learnt before a time: nobody else seems to finish them.
func (u *Unsettled) Overdue(before time.Time) []Record {
	var out []Record
	for _, r := range u.open {
		if r.learnt.Before(before) {
			out = append(out, r.Record)
		}
	}
	return out
}

// Settled is the offset of the first record that isn't known to be acknowledged everywhere.
func (u *Unsettled) Settled() int64 {
	if len(u.open) > 0 {
		return u.open[0].begin
	}
	return u.at
}

// Checkpoint is one that is worth to be written, if there is one.
func (u *Unsettled) Checkpoint() (Record, bool) {
	settled := u.Settled()
	return Record{Checkpoint: settled}, u.checkpoint < min(settled, u.last)
}
