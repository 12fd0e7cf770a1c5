package fragments

import (
	"slices"
	"time"
)

// Expired are the stored fragments of a listing that needn't be kept, oldest first: those before the first that was
// stored after oldest. So no hole is made. The last one of all is never among them, as it tells how far the journal went.
func Expired(list []Fragment, oldest time.Time) []Fragment {
	entries := make([]Entry, 0, len(list))
	for _, f := range list {
		entries = append(entries, Entry{Fragment: f})
	}
	cover := NewCoverSet(entries)
	end := int64(0)
	for i, e := range cover {
		if i == len(cover)-1 || !e.Stored() || e.ModTime > oldest.Unix() {
			break
		}
		end = e.End
	}
	var out []Fragment
	for _, f := range list {
		if f.End <= end && f.Stored() && f.ModTime <= oldest.Unix() {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b Fragment) int { return int(a.Begin - b.Begin) })
	return out
}
