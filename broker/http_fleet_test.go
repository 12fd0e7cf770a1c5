package broker_test

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker/brokertest"
	"broadsheet.dev/broadsheet/protocol"
)

// TestHTTPToAnyBroker: a PUT goes on to the journal's primary, and a GET to one of its members, from
// whichever broker is asked; the answer names the primary.
func TestHTTPToAnyBroker(t *testing.T) {
	fleet := brokertest.NewFleet(t, brokertest.Config{}, "a", "b", "c")
	ctx := bounded(t)
	fleet[0].Create(replicated("a/journal", 2))
	persistAppend(ctx, t, fleet[0], "a/journal", "begin ")
	route := listOne(ctx, t, fleet[0], "a/journal").GetRoute()
	primary := route.EndpointOf(int(route.GetPrimary()))
	want := "begin "
	for _, b := range fleet {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, b.URL()+"/a/journal", strings.NewReader("more "))
		require.NoError(t, err)
		resp, err := b.HTTP().Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusNoContent, resp.StatusCode)
		require.Equal(t, strconv.Itoa(len(want)), resp.Header.Get("X-Commit-Begin"))
		require.Equal(t, primary+"/a/journal", resp.Header.Get("Location"))
		want += "more "
	}
	for _, b := range fleet {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.URL()+"/a/journal?block=true", http.NoBody)
		require.NoError(t, err)
		req.Header.Set("Range", "bytes=0-"+strconv.Itoa(len(want)-1))
		resp, err := b.HTTP().Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, string(body))
	}
}

// TestPutIsWholeOrRefused: a PUT that another broker forwarded, and that was refused for want of a replica, is in the
// journal with its content if it is acknowledged at all: it isn't begun again without what was taken of it.
func TestPutIsWholeOrRefused(t *testing.T) {
	fleet := brokertest.NewFleet(t, brokertest.Config{}, "a", "b", "c")
	ctx := bounded(t)
	fleet[0].Create(replicated("a/journal", 3))
	route := persistAppend(ctx, t, fleet[0], "a/journal", "begin ").GetHeader().GetRoute()
	primary := slices.IndexFunc(fleet, func(b *brokertest.Broker) bool { return route.IndexOf(b.ID()) == int(route.GetPrimary()) })
	asked, gone := fleet[(primary+1)%3], fleet[(primary+2)%3]
	gone.Stop()
	awaitCondition(ctx, t, func() bool { // until it is known to be gone
		all, err := listAll(ctx, asked.Client(), &protocol.ListRequest{Selector: nameSelector("a/journal")})
		return err == nil && len(all) == 1 && len(all[0].GetRoute().GetMembers()) == 2
	})

	answer := make(chan int, 1)
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, asked.URL()+"/a/journal", strings.NewReader("content "))
		if err != nil {
			answer <- 0
			return
		}
		resp, err := asked.HTTP().Do(req)
		if err != nil {
			answer <- 0
			return
		}
		_ = resp.Body.Close()
		answer <- resp.StatusCode
	}()
	gone.Restart()
	code := <-answer
	require.NotZero(t, code)
	want := "begin "
	if code == http.StatusNoContent {
		want += "content "
	}
	persistAppend(ctx, t, fleet[primary], "a/journal", "end")
	require.Equal(t, want+"end", mustReadTo(ctx, t, fleet[primary], "a/journal", 0, int64(len(want+"end"))), "after %d", code)
}
