// Package brokertest runs a broker within a test: with an embedded etcd, in a
// temporary directory, on a unix socket and a port of 127.0.0.1.
//
// The broker can be stopped in order, or killed: from one moment on nothing that it
// writes to its spools reaches them, as if its process had got a SIGKILL. Restart
// begins it again at the same addresses, over what it left.
package brokertest
