// Package portmux lets gRPC and HTTP/1 share one listener.
//
// # What
//
// A Mux accepts connections and looks at their first bytes: those that begin with
// the HTTP/2 connection preface go to one listener, all others to the other. The
// bytes that were looked at are handed on with the connection.
//
// # Invariants
//
//   - A connection is handed over once, to one side, with every byte in order; or closed.
//   - At most 4 KiB are read before the decision, and the decision has a deadline:
//     a connection that stays silent is closed.
//   - Of a listener with TLS the handshake is part of that, and so has the same deadline.
//   - A connection that is slow, silent or sends garbage delays no other.
//
// # Goroutines
//
// One per connection that isn't decided yet, started by Serve, stopped by its
// deadline or by Serve's context, awaited by Serve.
//
// # Testing
//
// mux_test.go over real sockets, with goleak; any split of the preface over packets.
package portmux
