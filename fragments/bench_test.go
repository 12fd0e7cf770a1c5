package fragments_test

import (
	"testing"

	"broadsheet.dev/broadsheet/fragments"
)

// largeIndex is the index of a journal with 100,000 stored fragments and two local ones.
func largeIndex() (*fragments.Index, []fragments.Entry) {
	const n = 100_000
	stored := make([]fragments.Fragment, n)
	for i := range stored {
		stored[i] = fragments.Fragment{
			Journal: "acme/clicks", Begin: int64(i) << 26, End: int64(i+1) << 26, Store: "file:///", ModTime: 1,
		}
	}
	x := fragments.NewIndex()
	x.SetStored(stored)
	local := make([]fragments.Entry, 2)
	for i := range local {
		local[i] = fragments.Entry{Local: bytesAt{}}
		local[i].Begin, local[i].End = int64(n+i)<<26, int64(n+i+1)<<26
	}
	x.SetLocal(local)
	return x, local
}

// BenchmarkSetLocal is what each append costs the index.
func BenchmarkSetLocal(b *testing.B) {
	x, local := largeIndex()
	b.ReportAllocs()
	for b.Loop() {
		local[1].End++
		x.SetLocal(local)
	}
}

// BenchmarkQuery is what each read costs.
func BenchmarkQuery(b *testing.B) {
	x, local := largeIndex()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Query(local[1].Begin); err != nil {
			b.Fatal(err)
		}
	}
}
