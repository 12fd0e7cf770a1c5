package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/store"
	"broadsheet.dev/broadsheet/fragments/store/cloud/cloudtest"
)

// patience is how long a Put goes on after a request of it failed. What the server then still does is waited for.
const patience = 1500 * time.Millisecond

// testFaults fails each request of a Put in turn, once and from then on, in each way: the
// object is there, whole, or it isn't there; it is if Put said so; and whoever comes
// next neither replaces it nor finds it in the way.
func testFaults(t *testing.T, server *cloudtest.Server) {
	t.Helper()
	direct := open(t, registry(t, server.Entry), server.Entry.URL+"faults/")
	var puts []*faultyPut
	// They are at work together, as most of what they do is to wait.
	var group sync.WaitGroup
	for _, size := range []int{100, partSize + 100_000} {
		content := strings.Repeat("0123456789", size/10)
		proxy := cloudtest.NewProxy(t, server.Entry.Endpoint)
		counted := open(t, registry(t, server.Via(proxy.URL)), server.Entry.URL+"faults/")
		path := fmt.Sprintf("whole-%d", size)
		require.NoError(t, put(t.Context(), counted, path, content)) // It finds its credentials.
		require.ErrorIs(t, put(t.Context(), counted, path, content), store.ErrExists)
		proxy.Reset(nil)
		require.NoError(t, put(t.Context(), counted, path+"-again", content))
		requests := proxy.Reset(nil)
		require.Positive(t, requests)
		for _, fault := range cloudtest.Faults {
			proxy := cloudtest.NewProxy(t, server.Entry.Endpoint)
			faulty := open(t, registry(t, server.Via(proxy.URL)), server.Entry.URL+"faults/")
			of := make([]*faultyPut, requests)
			for n := range of {
				of[n] = &faultyPut{path: fmt.Sprintf("%s-%d-%d", fault, size, n), content: content}
			}
			puts = append(puts, of...)
			group.Go(func() {
				for n, p := range of {
					ctx, giveUp := context.WithCancelCause(t.Context())
					stop := time.AfterFunc(patience, func() { giveUp(errHung) })
					proxy.Reset(func(request int, r *http.Request) cloudtest.Fault {
						// An abort isn't waited for by who gave up, but for abortTime.
						hung := fault == cloudtest.Hang && request > n && r.Method != http.MethodDelete
						if hung {
							giveUp(errHung)
						}
						if request == n+1 || hung {
							return fault
						}
						return cloudtest.None
					})
					p.err = put(ctx, faulty, p.path, p.content)
					stop.Stop()
					giveUp(nil)
				}
				proxy.Close()
			})
		}
	}
	group.Wait()
	for _, p := range puts {
		requireWholeOrAbsent(t, direct, p.path, p.content, p.err)
	}
}

// faultyPut is a Put one of whose requests failed, and how it ended.
type faultyPut struct {
	path, content string
	err           error
}

var errHung = errors.New("nobody answers")

func requireWholeOrAbsent(t *testing.T, direct store.Store, path, content string, err error) {
	t.Helper()
	o, statErr := direct.Stat(t.Context(), path)
	switch statErr {
	case nil:
		require.EqualValues(t, len(content), o.Size, path)
		require.Equal(t, content, read(t, direct, path), path)
	default:
		require.ErrorIs(t, statErr, store.ErrNotFound, path)
		require.Error(t, err, "%s: it isn't there, and Put said it was", path)
		require.NotErrorIs(t, err, store.ErrExists, path)
	}
	other := strings.Repeat("x", len(content))
	next := put(t.Context(), direct, path, other)
	if statErr == nil {
		require.ErrorIs(t, next, store.ErrExists, path)
		require.Equal(t, content, read(t, direct, path), "%s was replaced", path)
		return
	}
	require.NoError(t, next, path)
}
