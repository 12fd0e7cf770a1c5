package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/storetest"
)

const (
	object  = "a/journal/part/object"
	content = "the whole content of the object"
)

func openCrashFS(tb testing.TB, fs *storetest.CrashFS) store.Store {
	tb.Helper()
	return openStore(tb, newRegistry(tb, store.RegistryConfig{FileRoot: "/root", FS: fs}), "file:///")
}

// requireWholeOrNothing demands that the object is there with all of its content,
// or isn't to be seen at all; it tells which.
func requireWholeOrNothing(tb testing.TB, s store.Store) bool {
	tb.Helper()
	found := list(tb, s, "")
	if len(found) == 0 {
		_, err := s.Stat(tb.Context(), object)
		require.ErrorIs(tb, err, store.ErrNotFound)
		return false
	}
	require.Equal(tb, []string{object}, found)
	require.Equal(tb, content, read(tb, s, object))
	return true
}

// failAt fails the nth operation from now, and with again all after it.
func failAt(fs *storetest.CrashFS, n int, failure error, again bool) *int {
	done := 0
	fs.Before = func(string) error {
		done++
		if done == n || again && done > n {
			return failure
		}
		return nil
	}
	return &done
}

// settings are the states in which an object may be about to be created.
var settings = map[string]func(t *testing.T, fs *storetest.CrashFS){
	"nothing": func(*testing.T, *storetest.CrashFS) {},
	"directories, not synced": func(t *testing.T, fs *storetest.CrashFS) {
		t.Helper()
		require.NoError(t, errors.Join(fs.Mkdir("a"), fs.Mkdir("a/journal"), fs.Mkdir("a/journal/part")))
	},
	"the object, its name not synced": func(t *testing.T, fs *storetest.CrashFS) {
		t.Helper()
		linked := false
		fs.Before = func(op string) error {
			linked = linked || strings.HasPrefix(op, "link ")
			if linked && strings.HasPrefix(op, "sync ") {
				return storetest.ErrCrashed
			}
			return nil
		}
		require.ErrorIs(t, put(t.Context(), openCrashFS(t, fs), object, content), storetest.ErrCrashed)
		fs.Before = nil
		require.True(t, requireWholeOrNothing(t, openCrashFS(t, fs)))
		require.False(t, requireWholeOrNothing(t, openCrashFS(t, fs.Crash(storetest.LoseAll))))
	},
}

// TestCrashAtEachStep crashes a Put before each of its operations, with each kind of
// loss, then looks at what is left, tries again and loses all that wasn't synced.
func TestCrashAtEachStep(t *testing.T) {
	for name, prepare := range settings {
		t.Run(name, func(t *testing.T) {
			for step := 1; ; step++ {
				fs := storetest.NewCrashFS()
				prepare(t, fs)
				ops := failAt(fs, step, storetest.ErrCrashed, true)
				err := put(t.Context(), openCrashFS(t, fs), object, content)
				done := err == nil || errors.Is(err, store.ErrExists)
				if !done {
					require.ErrorIs(t, err, storetest.ErrCrashed)
				}
				for _, loss := range storetest.Losses {
					after := fs.Crash(loss)
					there := requireWholeOrNothing(t, openCrashFS(t, after))
					require.True(t, there || !done, "step %d, %s: Put returned %v and the object is gone", step, loss, err)

					again := put(t.Context(), openCrashFS(t, after), object, content)
					if there {
						require.ErrorIs(t, again, store.ErrExists, "step %d, %s", step, loss)
					} else {
						require.NoError(t, again, "step %d, %s", step, loss)
					}
					for _, second := range storetest.Losses {
						left := requireWholeOrNothing(t, openCrashFS(t, after.Crash(second)))
						require.True(t, left, "step %d, %s, then %v, then %s: the object is gone", step, loss, again, second)
					}
				}
				if *ops < step {
					require.True(t, done)
					return // All steps were crashed at.
				}
			}
		})
	}
}

// TestExistingSurvives has a file that someone else wrote and didn't sync: once Put
// said that it exists, it survives.
func TestExistingSurvives(t *testing.T) {
	fs := storetest.NewCrashFS()
	require.NoError(t, errors.Join(fs.Mkdir("a"), fs.Mkdir("a/journal"), fs.Mkdir("a/journal/part")))
	f, err := fs.Create(object)
	require.NoError(t, err)
	_, err = f.Write([]byte(content))
	require.NoError(t, err)
	require.ErrorIs(t, put(t.Context(), openCrashFS(t, fs), object, content), store.ErrExists)
	for _, loss := range storetest.Losses {
		require.True(t, requireWholeOrNothing(t, openCrashFS(t, fs.Crash(loss))), "%s", loss)
	}
}

// TestFailAtEachStep fails each operation of a Put in turn, once. Put fails, or the
// operation didn't matter; nothing partial is left but if removing it failed; and
// trying again ends well.
func TestFailAtEachStep(t *testing.T) {
	for name, prepare := range settings {
		t.Run(name, func(t *testing.T) {
			for step := 1; ; step++ {
				fs := storetest.NewCrashFS()
				prepare(t, fs)
				var failed string
				count := 0
				fs.Before = func(op string) error {
					if count++; count == step {
						failed = op
						return syscall.EIO
					}
					return nil
				}
				s := openCrashFS(t, fs)
				err := put(t.Context(), s, object, content)
				ops := count
				fs.Before = nil
				there := requireWholeOrNothing(t, s)
				done := err == nil || errors.Is(err, store.ErrExists)
				require.True(t, there || !done, "%s failed, Put returned %v and there is no object", failed, err)
				if !done {
					require.ErrorIs(t, err, syscall.EIO, "%s failed", failed)
				}
				for _, file := range fs.Files() {
					require.True(t, file == object || strings.HasPrefix(failed, "remove "), "%s failed and left %s", failed, file)
				}
				again := put(t.Context(), s, object, content)
				require.True(t, again == nil && !there || errors.Is(again, store.ErrExists) && there, "again after %s: %v", failed, again)
				for _, loss := range storetest.Losses {
					require.True(t, requireWholeOrNothing(t, openCrashFS(t, fs.Crash(loss))), "%s failed, tried again, %s", failed, loss)
				}
				if ops < step {
					require.True(t, done)
					return
				}
			}
		})
	}
}

// TestDiskFull leaves nothing behind, says what it is, and goes on when there is space.
func TestDiskFull(t *testing.T) {
	fs := storetest.NewCrashFS()
	s := openCrashFS(t, fs)
	for _, full := range []string{"mkdir", "create", "write", "sync", "link"} {
		fs.Before = func(op string) error {
			if strings.HasPrefix(op, full) {
				return syscall.ENOSPC
			}
			return nil
		}
		require.ErrorIs(t, put(t.Context(), s, object+full, content), syscall.ENOSPC, full)
		require.Empty(t, fs.Files(), full)
	}
	fs.Before = nil
	require.NoError(t, put(t.Context(), s, object, content))
	require.True(t, requireWholeOrNothing(t, s))
}

// TestReadOnly tells by name that the store permits nothing.
func TestReadOnly(t *testing.T) {
	fs := storetest.NewCrashFS()
	s := openCrashFS(t, fs)
	require.NoError(t, put(t.Context(), s, object, content))
	for _, failure := range []error{syscall.EROFS, syscall.EACCES, syscall.EPERM} {
		failAt(fs, 1, failure, true)
		require.ErrorIs(t, put(t.Context(), s, "other", content), store.ErrNotAllowed)
		_, err := s.Get(t.Context(), object)
		require.ErrorIs(t, err, store.ErrNotAllowed)
		require.ErrorIs(t, s.List(t.Context(), "", func(store.Object) error { return nil }), store.ErrNotAllowed)
	}
}

// TestCancelledLate cancels a Put after its content was read and before its name
// was linked: nothing is created.
func TestCancelledLate(t *testing.T) {
	fs := storetest.NewCrashFS()
	ctx, cancel := context.WithCancel(t.Context())
	fs.Before = func(op string) error {
		if strings.HasPrefix(op, "sync a/journal/part/.partial-") {
			cancel()
		}
		return nil
	}
	require.ErrorIs(t, put(ctx, openCrashFS(t, fs), object, content), context.Canceled)
	require.Empty(t, fs.Files())
}

// TestOperations runs the scenarios of testdata/operations: which operations of the
// file system each operation of a store is made of, in their order.
func TestOperations(t *testing.T) {
	fs := storetest.NewCrashFS()
	s := openCrashFS(t, fs)
	datadriven.RunTest(t, "testdata/operations", func(t *testing.T, d *datadriven.TestData) string {
		t.Helper()
		var out strings.Builder
		var fail string
		if d.HasArg("fail") {
			d.ScanArgs(t, "fail", &fail)
		}
		names := map[string]string{}
		fs.Before = func(op string) error {
			words := strings.Fields(op)
			for i, w := range words {
				if dir, _, partial := strings.Cut(w, ".partial-"); partial {
					if names[w] == "" {
						names[w] = fmt.Sprintf("%s.partial-%d", dir, len(names)+1)
					}
					words[i] = names[w]
				}
			}
			if fail != "" && words[0] == fail {
				fmt.Fprintf(&out, "%s: fails\n", strings.Join(words, " "))
				return syscall.EIO
			}
			fmt.Fprintln(&out, strings.Join(words, " "))
			return nil
		}
		path := d.CmdArgs[0].Key
		var err error
		switch d.Cmd {
		case "put":
			err = put(t.Context(), s, path, d.Input)
		case "get":
			out.WriteString(read(t, s, path) + "\n")
		case "stat":
			_, err = s.Stat(t.Context(), path)
		case "list":
			err = s.List(t.Context(), path, func(o store.Object) error {
				fmt.Fprintf(&out, "%s: %d bytes\n", o.Path, o.Size)
				return nil
			})
		case "remove":
			err = s.Remove(t.Context(), path)
		default:
			d.Fatalf(t, "unknown command")
		}
		if err != nil {
			fmt.Fprintf(&out, "error: %v\n", err)
		}
		return out.String()
	})
}
