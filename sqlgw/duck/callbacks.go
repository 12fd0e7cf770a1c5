package duck

/*
#include <stdlib.h>

void broadsheet_duck_bind(void *info);
void broadsheet_duck_init(void *info);
void broadsheet_duck_thread_init(void *info);
void broadsheet_duck_fill(void *info, void *chunk);
void broadsheet_duck_call(void *info, void *chunk, void *out);
void broadsheet_duck_drop(void *held);
*/
import "C"

import (
	"runtime/cgo"
	"runtime/debug"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// droppable is what DuckDB holds of ours: it drops each value exactly once.
type droppable interface{ drop() }

// held is a value in DuckDB's hands with the instance that counts it.
type held struct {
	db    *DB
	value droppable
}

// hold wraps a value for DuckDB, which is to give it back to broadsheet_duck_drop. The
// handle stands in C's memory, since DuckDB keeps the pointer.
func (d *DB) hold(value droppable) unsafe.Pointer {
	d.held.Add(1)
	p := C.malloc(C.size_t(unsafe.Sizeof(cgo.Handle(0))))
	*(*cgo.Handle)(p) = cgo.NewHandle(held{db: d, value: value})
	return p
}

// heldAs is what hold wrapped.
func heldAs[T droppable](p unsafe.Pointer) T {
	return (*cgo.Handle)(p).Value().(held).value.(T)
}

// setCallbacks hands the function over to the callbacks below.
func setCallbacks(f mapping.TableFunction, extra unsafe.Pointer) {
	mapping.TableFunctionSetExtraInfo(f, extra, C.broadsheet_duck_drop)
	mapping.TableFunctionSetBind(f, C.broadsheet_duck_bind)
	mapping.TableFunctionSetInit(f, C.broadsheet_duck_init)
	mapping.TableFunctionSetLocalInit(f, C.broadsheet_duck_thread_init)
	mapping.TableFunctionSetFunction(f, C.broadsheet_duck_fill)
}

// setScalarCallbacks is setCallbacks for a function of values.
func setScalarCallbacks(f mapping.ScalarFunction, extra unsafe.Pointer) {
	mapping.ScalarFunctionSetExtraInfo(f, extra, C.broadsheet_duck_drop)
	mapping.ScalarFunctionSetFunction(f, C.broadsheet_duck_call)
}

// guard calls f and turns its panic, which must not unwind DuckDB's frames, into an error.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

//export broadsheet_duck_bind
func broadsheet_duck_bind(p unsafe.Pointer) {
	info := mapping.BindInfo{Ptr: p}
	r := heldAs[*registration](mapping.BindGetExtraInfo(info))
	err := guard(func() error {
		bound, err := r.doBind(info)
		if err == nil {
			mapping.BindSetBindData(info, r.db.hold(bound), C.broadsheet_duck_drop)
		}
		return err
	})
	if err != nil {
		mapping.BindSetError(info, err.Error())
	}
}

//export broadsheet_duck_init
func broadsheet_duck_init(p unsafe.Pointer) {
	info := mapping.InitInfo{Ptr: p}
	b := heldAs[*boundScan](mapping.InitGetBindData(info))
	err := guard(func() error {
		s, err := b.doInit(info)
		if err == nil {
			mapping.InitSetInitData(info, b.db.hold(s), C.broadsheet_duck_drop)
		}
		return err
	})
	if err != nil {
		mapping.InitSetError(info, b.conn.failed(err).Error())
	}
}

//export broadsheet_duck_thread_init
func broadsheet_duck_thread_init(p unsafe.Pointer) {
	info := mapping.InitInfo{Ptr: p}
	b := heldAs[*boundScan](mapping.InitGetBindData(info))
	mapping.InitSetInitData(info, b.db.hold(&threadState{}), C.broadsheet_duck_drop)
}

//export broadsheet_duck_fill
func broadsheet_duck_fill(p, c unsafe.Pointer) {
	info, chunk := mapping.FunctionInfo{Ptr: p}, mapping.DataChunk{Ptr: c}
	t := heldAs[*threadState](mapping.FunctionGetLocalInitData(info))
	if t.scanState == nil { // DuckDB shows the state of the whole scan here first
		t.scanState = heldAs[*scanState](mapping.FunctionGetInitData(info))
	}
	err := guard(func() error {
		n, err := t.fill(chunk)
		mapping.DataChunkSetSize(chunk, mapping.IdxT(n))
		return err
	})
	if err != nil {
		mapping.FunctionSetError(info, t.conn.failed(err).Error())
	}
}

//export broadsheet_duck_call
func broadsheet_duck_call(p, c, out unsafe.Pointer) {
	info := mapping.FunctionInfo{Ptr: p}
	s := heldAs[*scalar](mapping.ScalarFunctionGetExtraInfo(info))
	err := guard(func() error { return s.run(mapping.DataChunk{Ptr: c}, mapping.Vector{Ptr: out}) })
	if err != nil {
		mapping.ScalarFunctionSetError(info, raised(err))
	}
}

//export broadsheet_duck_drop
func broadsheet_duck_drop(p unsafe.Pointer) {
	handle := *(*cgo.Handle)(p)
	h := handle.Value().(held)
	handle.Delete()
	C.free(p)
	h.value.drop()
	h.db.held.Add(-1)
}
