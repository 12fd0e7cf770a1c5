package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Bounds of the ports that FreePorts gives: below those that the kernel gives to who asks for any.
const (
	firstPort = 20_000
	lastPort  = 32_000
)

// FreePorts are ports of loopback that nobody listens at, for servers that can't be asked for theirs, or are to
// have them again after they were killed. The kernel gives them to nobody by itself, so that tests which run
// beside this one don't take them in the meantime.
func FreePorts(n int) ([]int, error) {
	var listeners []net.Listener
	defer func() {
		for _, ln := range listeners {
			_ = ln.Close()
		}
	}()
	var ports []int
	for tries := 1; len(ports) < n; tries++ {
		port := firstPort + rand.IntN(lastPort-firstPort) //nolint:gosec // it is no secret
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			if tries >= 100*n {
				return nil, fmt.Errorf("no %d ports are free: %w", n, err)
			}
			continue
		}
		listeners, ports = append(listeners, ln), append(ports, port)
	}
	return ports, nil
}
