// Package calls watches the calls of a gRPC server: it counts and times them for Prometheus,
// and remembers the newest of each kind for who looks at a page.
//
// # What
//
// A Recorder is a pair of interceptors (ServerOptions), which are to be the outermost ones. Its
// metrics have the names, labels and buckets of go-grpc-prometheus, so that dashboards made for that work.
// Page lists, for each method, the calls that run, and of those that ended the last few which failed
// or which took some time or longer; as golang.org/x/net/trace does, which gRPC's own tracing
// writes to at a price for every message.
//
// # Invariants
//
//   - What is remembered is bounded: maxKept calls for each method and each kind, besides those that
//     run, and of a call's text no more than maxText bytes.
//   - A call is on the page from its begin. Once it isn't among those that run it is in all metrics.
//   - A message costs two atomic additions, a call two short locks of its method.
//   - The page tells names of methods and of journals, addresses of clients and errors; no content and no header.
//
// # Goroutines
//
// None.
//
// # Testing
//
// A real gRPC server over a unix socket, whose calls end in each way; the metrics held against a list.
package calls
