package columnar

import (
	"fmt"
	"unsafe"
)

// Bytes is the memory that the batch keeps alive, in bytes. Batches that share
// memory (Slice, Project) each count it whole.
func (b *Batch) Bytes() int64 {
	n := int64(unsafe.Sizeof(*b)) + int64(8*cap(b.Offsets)+8*cap(b.Ends)+8*cap(b.Clocks)) + int64(len(b.Journal))
	for i := range b.Cols {
		n += b.Cols[i].Bytes()
	}
	return n
}

// Slice is the rows [from, to). It shares the batch's memory.
func (b *Batch) Slice(from, to int) *Batch {
	s := &Batch{Len: to - from, Cols: make([]Vector, len(b.Cols)), Journal: b.Journal}
	for i := range b.Cols {
		s.Cols[i] = b.Cols[i].Slice(from, to)
	}
	if b.Offsets != nil {
		s.Offsets = b.Offsets[from:to]
	}
	if b.Ends != nil {
		s.Ends = b.Ends[from:to]
	}
	if b.Clocks != nil {
		s.Clocks = b.Clocks[from:to]
	}
	return s
}

// Project is the given columns of all rows, in the given order. It shares the
// batch's memory.
func (b *Batch) Project(cols []int) *Batch {
	p := &Batch{Len: b.Len, Cols: make([]Vector, len(cols)), Journal: b.Journal, Offsets: b.Offsets, Ends: b.Ends, Clocks: b.Clocks}
	for i, c := range cols {
		p.Cols[i] = b.Cols[c]
	}
	return p
}

// BatchBuilder makes a Batch row by row: every row appends one value to each
// column. It only ever appends, as VectorBuilder does.
type BatchBuilder struct {
	cols []*VectorBuilder
}

// NewBatchBuilder starts an empty batch whose columns have the given types.
func NewBatchBuilder(types []Type) *BatchBuilder {
	b := &BatchBuilder{cols: make([]*VectorBuilder, len(types))}
	for i, t := range types {
		b.cols[i] = NewVectorBuilder(t)
	}
	return b
}

// Col is the builder of column i.
func (b *BatchBuilder) Col(i int) *VectorBuilder { return b.cols[i] }

// Len is the number of whole rows; a row is whole when each column has it.
func (b *BatchBuilder) Len() int {
	n := 0
	for i, c := range b.cols {
		if i == 0 || c.Len() < n {
			n = c.Len()
		}
	}
	return n
}

// Undo takes back what was appended after the first n rows, such as the columns of
// a row of which one value didn't fit. It must not reach into a Batch handed out.
func (b *BatchBuilder) Undo(n int) {
	for _, c := range b.cols {
		if c.Len() > n {
			c.truncate(n)
		}
	}
}

// Bytes is the memory that the builder holds, in bytes.
func (b *BatchBuilder) Bytes() int64 {
	n := int64(0)
	for _, c := range b.cols {
		n += c.Bytes()
	}
	return n
}

// Batch is the rows so far. It stays valid and unchanged. A row that isn't whole
// is a mistake in the program, reported by a panic.
func (b *BatchBuilder) Batch() *Batch {
	batch := &Batch{Len: b.Len(), Cols: make([]Vector, len(b.cols))}
	for i, c := range b.cols {
		if c.Len() != batch.Len {
			panic(fmt.Sprintf("columnar: column %d has %d values in a batch of %d rows", i, c.Len(), batch.Len))
		}
		batch.Cols[i] = c.Vector()
	}
	return batch
}
