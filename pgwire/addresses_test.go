package pgwire

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/internal/certs/certstest"
)

// fromConn is a connection that comes from an address.
type fromConn struct {
	net.Conn
	from net.Addr
}

func (c fromConn) RemoteAddr() net.Addr { return c.from }

// dialFrom connects from an address.
func (l *pipeListener) dialFrom(t *testing.T, ip string) *wireClient {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	l.conns <- fromConn{server, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 4000))}
	return &wireClient{Conn: client}
}

func hello(t *testing.T, c *wireClient) string {
	t.Helper()
	return c.start(protocol3, map[string]string{"user": "u"})
}

// TestAddressOf: what counts as one address, and what doesn't count.
func TestAddressOf(t *testing.T) {
	for ip, want := range map[string]string{
		"10.1.2.3":            "10.1.2.3/32",
		"::ffff:10.1.2.3":     "10.1.2.3/32",
		"2001:db8:1:2:3::4":   "2001:db8:1:2::/64",
		"fe80::1%eth0":        "fe80::/64",
		"127.0.0.1":           "invalid Prefix",
		"127.9.9.9":           "invalid Prefix",
		"::1":                 "invalid Prefix",
		"::ffff:127.0.0.1":    "invalid Prefix",
		"2001:db8:1:2:ffff::": "2001:db8:1:2::/64",
	} {
		require.Equal(t, want, addressOf(net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 1))).String(), ip)
	}
	require.False(t, addressOf(&net.UnixAddr{}).IsValid())
	require.False(t, addressOf(nil).IsValid())
	require.False(t, addressOf(&net.TCPAddr{}).IsValid())
}

// TestStartingOfOneAddress: who says nothing takes no more places than those of its address, and they come back.
func TestStartingOfOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ln := startPiped(t, Config{MaxStarting: 6, MaxStartingPerAddress: 2, MaxPerAddress: 50, StartupTimeout: time.Minute})
		first := ln.dialFrom(t, "10.0.0.1")
		ln.dialFrom(t, "10.0.0.1")
		synctest.Wait()
		third := ln.dialFrom(t, "10.0.0.1")
		answer := hello(t, third)
		require.Contains(t, answer, toldNoPlace)
		require.Contains(t, answer, "of one address that have not started yet")
		require.Contains(t, hello(t, ln.dialFrom(t, "10.0.0.2")), "ReadyForQuery", "others are served")
		for range 3 { // this machine isn't counted
			ln.dialFrom(t, "127.0.0.1")
		}
		synctest.Wait()
		require.NoError(t, first.Close())
		synctest.Wait()
		require.Contains(t, hello(t, ln.dialFrom(t, "10.0.0.1")), "ReadyForQuery")
		require.NoError(t, s.stop())
		require.Empty(t, s.server.open.open)
	})
}

// TestAllOfOneAddress: sessions count, too.
func TestAllOfOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ln := startPiped(t, Config{MaxPerAddress: 3})
		var last *wireClient
		for range 3 {
			last = ln.dialFrom(t, "2001:db8::1")
			require.Contains(t, hello(t, last), "ReadyForQuery")
		}
		refusedOne := ln.dialFrom(t, "2001:db8::ffff")
		require.Contains(t, hello(t, refusedOne), "The server takes 3 connections at a time of one address.")
		require.Contains(t, hello(t, ln.dialFrom(t, "2001:db8:0:1::1")), "ReadyForQuery")
		require.NoError(t, last.Close())
		synctest.Wait()
		require.Contains(t, hello(t, ln.dialFrom(t, "2001:db8::2")), "ReadyForQuery")
		require.NoError(t, s.stop())
		require.Empty(t, s.server.open.open)
	})
}

// TestCancelOfACrowdedAddress: who has all its sessions may still end what they do.
func TestCancelOfACrowdedAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ln := startPiped(t, Config{MaxPerAddress: 1})
		c := ln.dialFrom(t, "10.0.0.1")
		require.Contains(t, hello(t, c), "ReadyForQuery")
		s.server.mu.Lock()
		var packet []byte
		for pid, open := range s.server.sessions {
			packet = cancelPacket(pid, open.secret)
		}
		s.server.mu.Unlock()
		b, _ := encodeAll(t, `Query "!block"`)
		c.send(b)
		synctest.Wait()
		canceller := ln.dialFrom(t, "10.0.0.1")
		canceller.send(packet)
		require.Contains(t, c.until('Z', 1), "57014")
		require.Equal(t, "closed\n", canceller.until('Z', 1))
		require.NoError(t, s.stop())
	})
}

// TestDefaultsPerAddress: one address leaves places for others.
func TestDefaultsPerAddress(t *testing.T) {
	c := Config{}
	d := c.withDefaults()
	require.Equal(t, 75, d.MaxPerAddress)
	require.Equal(t, 50, d.MaxStartingPerAddress)
	c = Config{MaxSessions: 1, MaxStarting: 1}
	d = c.withDefaults()
	require.Equal(t, 1, d.MaxPerAddress)
	require.Equal(t, 1, d.MaxStartingPerAddress)
}

// TestNetworksAreListedNowAndThen, not for each connection.
func TestNetworksAreListedNowAndThen(t *testing.T) {
	n, listed, failure := newNetworks(), 0, error(nil)
	n.list = func() ([]net.Addr, error) {
		listed++
		return []net.Addr{&net.IPNet{IP: net.IPv4(10, 0, 0, byte(listed)), Mask: net.CIDRMask(8, 32)}}, failure
	}
	now := time.Now()
	for range 5 {
		got, err := n.ours(now)
		require.NoError(t, err)
		require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")}, got)
	}
	got, err := n.ours(now.Add(networksAge))
	require.NoError(t, err)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.2/8")}, got)
	failure = errors.New("no more")
	_, err = n.ours(now.Add(3 * networksAge))
	require.ErrorIs(t, err, failure)
	failure = nil
	_, err = n.ours(now.Add(3 * networksAge))
	require.NoError(t, err, "a failure isn't kept")
	require.Equal(t, 4, listed)
}

// TestRolesAreAskedForOnce a connection, however many rules name some; and not at all where none does, or one
// that is before them decides. Interfaces are listed only for rules that name them.
func TestRolesAreAskedForOnce(t *testing.T) {
	ca := certstest.New(t, "ca")
	const text = "host all early all trust\nhost all +a all trust\nhost all +b,+c all trust\nhost samerole +d,x all trust\nhost all u all trust\n"
	cfg := guardedConfig(t, ca, text)
	users := &fakeUsers{}
	cfg.Users = users
	s := startTCP(t, cfg)
	s.server.networks.list = func() ([]net.Addr, error) { return nil, errors.New("nobody asked for these") }
	for user, asked := range map[string]int64{"u": 1, "early": 0} {
		before := users.asked.Load()
		require.Contains(t, dial(t, s.address()).start(protocol3, map[string]string{"user": user}), "ReadyForQuery")
		require.Equal(t, asked, users.asked.Load()-before, user)
	}
	users.err = context.DeadlineExceeded
	require.NotContains(t, dial(t, s.address()).start(protocol3, map[string]string{"user": "u"}), "ReadyForQuery")
}
