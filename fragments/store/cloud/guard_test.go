package cloud

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/store"
)

// TestGuard has addresses that a name in a store's URL may stand for.
func TestGuard(t *testing.T) {
	private := []string{
		"127.0.0.1", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "fd00:ec2::254", "fe80::1",
		"fe80::1%eth0", "0.0.0.0", "::", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "100.64.0.1",
		"224.0.0.1", "255.255.255.255", "2002:a00:1::", "fec0::1",
	}
	public := []string{"52.216.1.1", "2600:1f18::1", "::ffff:52.216.1.1", "142.250.1.1"}
	for _, a := range private {
		require.ErrorIs(t, guard{}.check(netip.MustParseAddr(a)), store.ErrNotAllowed, a)
	}
	for _, a := range public {
		require.NoError(t, guard{}.check(netip.MustParseAddr(a)), a)
		require.ErrorContains(t, guard{strict: true}.check(netip.MustParseAddr(a)), "plain http", a)
	}
	some := guard{allowed: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, strict: true}
	require.NoError(t, some.check(netip.MustParseAddr("10.1.2.3")))
	require.NoError(t, some.check(netip.MustParseAddr("::ffff:10.1.2.3")))
	require.Error(t, some.check(netip.MustParseAddr("10.2.0.1")))
}

func TestCodes(t *testing.T) {
	require.Equal(t, "NoSuchBucket", cleanCode("NoSuchBucket"))
	require.Empty(t, cleanCode("Signature=abc"))
}
