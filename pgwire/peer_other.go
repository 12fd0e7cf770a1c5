//go:build !linux

package pgwire

import "net"

// closedByPeer can't tell here: that a client is gone is noticed when it is next read from
// or written to.
func closedByPeer(net.Conn) bool { return false }
