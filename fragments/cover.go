package fragments

import (
	"cmp"
	"slices"
	"sort"
)

// CoverSet is a choice of fragments without needless overlap.
//
// Invariant: Begins strictly increase, and so do Ends; so no fragment is wholly
// covered by another, no two share a Begin or an End, and none is empty. Neighbours
// may overlap in part, or leave a hole. A CoverSet is never changed, only replaced.
type CoverSet []Entry

// NewCoverSet is the set that Add builds from the entries in their order.
func NewCoverSet(entries []Entry) CoverSet {
	order := make([]int, 0, len(entries))
	for i := range entries {
		if entries[i].Begin < entries[i].End {
			order = append(order, i)
		}
	}
	// The longest of those that share a Begin comes first, and of equal spans the
	// one added last; so a single sweep keeps exactly what nothing else covers.
	slices.SortFunc(order, func(i, j int) int {
		a, b := &entries[i], &entries[j]
		return cmp.Or(cmp.Compare(a.Begin, b.Begin), cmp.Compare(b.End, a.End), cmp.Compare(j, i))
	})
	set := make(CoverSet, 0, len(order))
	for _, i := range order {
		if n := len(set); n == 0 || entries[i].End > set[n-1].End {
			set = append(set, entries[i])
		}
	}
	return set
}

// Add returns the set with e, and whether e is in it: not if it is empty or an
// entry of the set covers more. Entries that e covers leave the set; of two with
// the same span the added one stays.
func (s CoverSet) Add(e Entry) (CoverSet, bool) {
	if e.Begin >= e.End {
		return s, false
	}
	// [lo, hi) are the entries that e covers: those that begin no earlier and end no later.
	lo := sort.Search(len(s), func(i int) bool { return s[i].Begin >= e.Begin })
	hi := sort.Search(len(s), func(i int) bool { return s[i].End > e.End })
	// One that ends later, or as late, and begins no later, covers e. The first that
	// may is the one before lo; the last one before hi+1.
	if lo > 0 && s[lo-1].End >= e.End || hi < len(s) && s[hi].Begin <= e.Begin {
		return s, false
	}
	out := make(CoverSet, 0, len(s)-(hi-lo)+1)
	out = append(out, s[:lo]...)
	out = append(out, e)
	return append(out, s[hi:]...), true
}

// Longest is the index of the entry that covers offset and has the most content
// after it. If none does, it is the index of the next entry above offset, or
// len(s), and false.
func (s CoverSet) Longest(offset int64) (int, bool) {
	// Ends increase: of those that begin at or below offset the last ends last.
	above := sort.Search(len(s), func(i int) bool { return s[i].Begin > offset })
	if above > 0 && s[above-1].End > offset {
		return above - 1, true
	}
	return above, false
}
