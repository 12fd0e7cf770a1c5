package duck

import (
	"fmt"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// Lists of DuckDB's are arrays of columnar, which are texts; so what is a list there is taken apart
// on its way in, and printed on its way out.

// listLayout describes a LIST. One of what isn't handed on, or of lists, isn't handed on either.
func listLayout(lt mapping.LogicalType) layout {
	child := mapping.ListTypeChildType(lt)
	defer mapping.DestroyLogicalType(&child)
	l := layout{id: mapping.TypeList}
	if element := layoutOf(child); element.typ.Kind != 0 && element.typ.Kind != columnar.Array {
		l.child, l.typ = &element, columnar.ArrayOf(element.typ)
	}
	return l
}

// copyLists prints the lists of a vector as arrays.
func (l layout) copyLists(vector mapping.Vector, data unsafe.Pointer, nulls []bool, n int) (columnar.Strings, error) {
	if l.child == nil {
		return columnar.Strings{}, unsupported("its type is not supported: cast it")
	}
	size := mapping.ListVectorGetSize(vector)
	elements, err := l.child.copyVector(mapping.ListVectorGetChild(vector), int(size))
	if err != nil {
		return columnar.Strings{}, err
	}
	out := columnar.NewVectorBuilder(l.typ)
	var text []byte
	for i, entry := range view[listEntry](data, n) {
		text = text[:0]
		if nulls == nil || !nulls[i] {
			if entry.offset > uint64(size) || entry.length > uint64(size)-entry.offset {
				return columnar.Strings{}, fmt.Errorf("list %d is not among the %d elements", i, size)
			}
			text = columnar.AppendArray(text, &elements, int(entry.offset), int(entry.offset+entry.length))
		}
		out.AppendBytes(text)
	}
	return out.Vector().Str, nil
}

// writeLists takes arrays apart, and writes them as lists.
func (w vectorWriter) writeLists(data unsafe.Pointer, v *columnar.Vector) error {
	elements := columnar.NewVectorBuilder(v.Type.ElementType())
	entries := view[listEntry](data, w.n)
	for i := range w.n {
		entries[i] = listEntry{offset: uint64(elements.Len())}
		if v.IsNull(w.from + i) {
			continue
		}
		one, err := columnar.Elements(v.Type, string(v.Str.Value(w.from+i)))
		if err != nil {
			return err
		}
		for j := range one.Len() {
			elements.AppendFrom(&one, j)
		}
		entries[i].length = uint64(one.Len())
	}
	all := elements.Vector()
	size := mapping.IdxT(all.Len())
	if mapping.ListVectorReserve(w.vector, size) != mapping.StateSuccess || mapping.ListVectorSetSize(w.vector, size) != mapping.StateSuccess {
		return fmt.Errorf("no room for the %d elements of lists", size)
	}
	return vectorWriter{vector: mapping.ListVectorGetChild(w.vector), n: all.Len()}.write(&all)
}

// newList makes DuckDB's value of the first of v, an array that isn't NULL.
func newList(v *columnar.Vector) (mapping.Value, error) {
	elements, err := columnar.Elements(v.Type, string(v.Str.Value(0)))
	if err != nil {
		return mapping.Value{}, err
	}
	lt, err := newLogicalType(elements.Type)
	if err != nil {
		return mapping.Value{}, err
	}
	defer mapping.DestroyLogicalType(&lt)
	values := make([]mapping.Value, 0, elements.Len())
	defer func() {
		for i := range values {
			mapping.DestroyValue(&values[i])
		}
	}()
	for i := range elements.Len() {
		value := mapping.CreateNullValue()
		if !elements.IsNull(i) {
			mapping.DestroyValue(&value)
			one := elements.Slice(i, i+1)
			into := columnar.NewVectorBuilder(one.Type) // whose offsets begin at 0
			into.AppendFrom(&one, 0)
			one = into.Vector()
			if value, err = newValue(&one); err != nil {
				return mapping.Value{}, err
			}
		}
		values = append(values, value)
	}
	return mapping.CreateListValue(lt, values), nil
}
