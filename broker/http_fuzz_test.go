package broker

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/protocol"
)

// FuzzReadArguments: the arguments and the range of a read over HTTP are those of a request whose offsets are of this world, or an error.
func FuzzReadArguments(f *testing.F) {
	for _, c := range [][2]string{{"offset=5&block=true", ""}, {"", "bytes=5-"}, {"", "bytes=5-9"}, {"", "bytes=9-5"}, {"offset=-1", ""}, {"offset=1", "bytes=1-"}, {"a=1&a=2", ""}, {"%zz", "bytes=18446744073709551616-"}} {
		f.Add(c[0], c[1])
	}
	f.Fuzz(func(t *testing.T, raw, bytesRange string) {
		r := &http.Request{URL: &url.URL{Path: "/a/journal", RawQuery: raw}, Header: http.Header{}}
		if bytesRange != "" {
			r.Header.Set("Range", bytesRange)
		}
		req := &protocol.ReadRequest{Journal: "a/journal"}
		if query(r, map[string]any{"offset": &req.Offset, "block": &req.Block}) != nil || setRange(req, r) != nil {
			return
		}
		if bytesRange != "" {
			require.GreaterOrEqual(t, req.GetOffset(), int64(0))
			require.True(t, req.GetEndOffset() == 0 || req.GetEndOffset() > req.GetOffset(), "%d to %d", req.GetOffset(), req.GetEndOffset())
		}
	})
}
