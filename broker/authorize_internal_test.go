package broker

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/metadata"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

const (
	testSecret  = "dGhlIHNlY3JldCBvZiB0aGVzZSB0ZXN0cw=="
	testPublic  = "ed25519:XitrxkLhSQ6eJ4qNajI4AbpMRN9U4cQQ5Bx2hX3GyPo="
	otherSecret = "YW5vdGhlciBzZWNyZXQsIGZvciBwZWVycw=="
)

func ringOf(t *testing.T, text string) *auth.Keyring {
	t.Helper()
	k, err := auth.ParseKeys(text)
	require.NoError(t, err)
	return k
}

// sent is the claims of the token that a context sends to a peer, who has a keyring.
func sent(t *testing.T, ctx context.Context, peer *auth.Keyring, want auth.Capability, at time.Time) auth.Claims { //nolint:revive // t is first in tests
	t.Helper()
	md, _ := metadata.FromOutgoingContext(ctx)
	token, err := auth.Bearer(md.Get(auth.Header))
	require.NoError(t, err)
	c, err := peer.Verify(token, want, at)
	require.NoError(t, err)
	return c
}

// TestCapabilitiesCoverServices: each method that gRPC serves has a capability. One that
// had none would be refused.
func TestCapabilitiesCoverServices(t *testing.T) {
	b := &Broker{cfg: Config{}.withDefaults(), log: slog.New(slog.DiscardHandler), door: &door{keys: ringOf(t, testSecret)}}
	served := newServers(b).grpc.GetServiceInfo()
	require.NotEmpty(t, served)
	for service, info := range served {
		for _, m := range info.Methods {
			require.Contains(t, capabilities, "/"+service+"/"+m.Name)
		}
	}
}

// TestSigner: a peer is asked for just what is needed, for one journal, and when a
// client's request is passed on no longer than its token allows.
func TestSigner(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	peer := ringOf(t, otherSecret+" "+testSecret)
	s := &signer{keys: ringOf(t, testSecret), now: func() time.Time { return now }, who: "zone#broker"}

	ctx, err := s.replicate(t.Context(), "a/journal")
	require.NoError(t, err)
	c := sent(t, ctx, peer, auth.Replicate, now)
	require.Equal(t, auth.Replicate, c.Capability)
	require.Equal(t, "name=a/journal", protocol.FormatLabelSelector(c.Scope))
	require.Equal(t, "zone#broker", c.Issuer)
	require.True(t, c.Expiry.Equal(now.Add(peerToken)))

	client := auth.Claims{Capability: auth.All, Expiry: now.Add(time.Minute)}
	ctx, err = s.proxy(auth.NewContext(t.Context(), client), auth.Read, "a/journal;meta")
	require.NoError(t, err)
	c = sent(t, ctx, peer, auth.Read, now)
	require.Equal(t, auth.Read, c.Capability)
	require.Equal(t, "name=a/journal", protocol.FormatLabelSelector(c.Scope))
	require.True(t, c.Expiry.Equal(client.Expiry))

	ctx, err = s.proxy(t.Context(), auth.Append, "a/journal") // of the broker's own accord
	require.NoError(t, err)
	require.True(t, sent(t, ctx, peer, auth.Append, now).Expiry.Equal(now.Add(peerToken)))
}

// TestSignerWithoutKeys signs nothing; one that can't sign passes the client's token on.
func TestSignerWithoutKeys(t *testing.T) {
	none := &signer{now: time.Now}
	for _, sign := range []func() (context.Context, error){
		func() (context.Context, error) { return none.replicate(t.Context(), "a/journal") },
		func() (context.Context, error) { return none.proxy(t.Context(), auth.Read, "a/journal") },
	} {
		ctx, err := sign()
		require.NoError(t, err)
		_, ok := metadata.FromOutgoingContext(ctx)
		require.False(t, ok)
	}

	public := &signer{keys: ringOf(t, testPublic), now: time.Now}
	_, err := public.replicate(t.Context(), "a/journal")
	require.EqualError(t, err, "replicate journal a/journal: no key can sign a token: there are public keys only")
	_, err = public.proxy(t.Context(), auth.Read, "a/journal")
	require.ErrorContains(t, err, "proxy a request for journal a/journal: no key can sign a token")
	ctx, err := public.proxy(context.WithValue(t.Context(), tokenKey{}, "the.clients.own"), auth.Read, "a/journal")
	require.NoError(t, err)
	md, _ := metadata.FromOutgoingContext(ctx)
	require.Equal(t, []string{"Bearer the.clients.own"}, md.Get(auth.Header))
	public.keys = ringOf(t, testPublic+" AA==")
	ctx, err = public.proxy(t.Context(), auth.Read, "a/journal")
	require.NoError(t, err)
	require.Equal(t, t.Context(), ctx)
}

// TestDial: peers are reached as their endpoints say.
func TestDial(t *testing.T) {
	tr, err := newTransport(auth.Security{}, nil)
	require.NoError(t, err)
	for endpoint, want := range map[string][2]string{
		"http://broker.example:8080":  {"dns:///broker.example:8080", "insecure"},
		"https://broker.example:8080": {"dns:///broker.example:8080", "tls"},
		"unix://host/run/b.sock":      {"unix:///run/b.sock", "insecure"},
		"unix:///run/b.sock":          {"unix:///run/b.sock", "insecure"},
	} {
		target, creds, err := tr.dial(endpoint)
		require.NoError(t, err)
		require.Equal(t, want, [2]string{target, creds.Info().SecurityProtocol}, endpoint)
	}
	_, _, err = tr.dial("ftp://broker.example")
	require.EqualError(t, err, "endpoint ftp://broker.example of a broker: its scheme isn't http, https or unix")
}

// TestReplicateStays: a token's end doesn't end a Replicate stream, and does any other.
func TestReplicateStays(t *testing.T) {
	now := time.Now()
	d := &door{keys: ringOf(t, testSecret), now: func() time.Time { return now }}
	token, err := d.keys.Sign(auth.Claims{Capability: auth.All, Expiry: now.Add(time.Hour)}, now)
	require.NoError(t, err)
	for want, ends := range map[auth.Capability]bool{auth.Replicate: false, auth.Read: true} {
		ctx, cancel, err := d.admit(t.Context(), []string{"Bearer " + token}, want)
		require.NoError(t, err)
		defer cancel()
		_, ok := ctx.Deadline()
		require.Equal(t, ends, ok)
	}
}

// TestSignatureTTL is at most what is left of the token, and a minute.
func TestSignatureTTL(t *testing.T) {
	now := time.Now()
	d := &door{now: func() time.Time { return now }}
	claims := auth.Claims{Expiry: now.Add(time.Hour)}
	ctx := auth.NewContext(t.Context(), claims)
	require.Equal(t, time.Minute, d.signatureTTL(ctx, time.Minute))
	require.Equal(t, time.Hour, d.signatureTTL(ctx, 24*time.Hour))
	now = claims.Expiry
	require.Equal(t, time.Minute, d.signatureTTL(ctx, 24*time.Hour))
	require.Equal(t, 24*time.Hour, d.signatureTTL(t.Context(), 24*time.Hour))
}
