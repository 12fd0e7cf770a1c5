package broker_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/broker/brokertest"
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
