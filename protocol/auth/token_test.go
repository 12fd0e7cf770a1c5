package auth_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/auth"
)

// now of all tests.
var now = time.Unix(1_700_000_000, 0)

var (
	secret  = []byte("a shared secret, long enough")
	other   = []byte("another secret, for rotation")
	private = ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))
	public  = private.Public().(ed25519.PublicKey)
)

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func keys(tb testing.TB, text string) *auth.Keyring {
	tb.Helper()
	k, err := auth.ParseKeys(text)
	require.NoError(tb, err)
	return k
}

// segment of a token that is made by hand.
func segment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// byHand makes a token without the library that reads it.
func byHand(header, claims string, sign func(text string) []byte) string {
	text := segment([]byte(header)) + "." + segment([]byte(claims))
	return text + "." + segment(sign(text))
}

func mac(h func() hash.Hash, key []byte) func(string) []byte {
	return func(text string) []byte {
		m := hmac.New(h, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
}

func edSign(text string) []byte { return ed25519.Sign(private, []byte(text)) }

const (
	hs256 = `{"alg":"HS256","typ":"JWT"}`
	hs384 = `{"alg":"HS384","typ":"JWT"}`
	eddsa = `{"alg":"EdDSA","typ":"JWT"}`
	good  = `{"cap":8,"sel":{"include":{"labels":[{"name":"name","value":"acme/","prefix":true}]},"exclude":{}},"iat":1699999990,"exp":1700000060}`
)

// TestAccepted: tokens of each algorithm, with any key of the ring, and what they claim.
func TestAccepted(t *testing.T) {
	ring := b64(other) + ", " + b64(secret) + "\n\ted25519:" + b64(public)
	for name, token := range map[string]string{
		"HS256":                         byHand(hs256, good, mac(sha256.New, secret)),
		"HS256 by another key":          byHand(hs256, good, mac(sha256.New, other)),
		"HS384":                         byHand(hs384, good, mac(sha512.New384, secret)),
		"EdDSA":                         byHand(eddsa, good, edSign),
		"claims of others are left out": byHand(hs256, strings.Replace(good, `{`, `{"aud":["x"],"kid":7,"deep":{"er":[1]},`, 1), mac(sha256.New, secret)),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := keys(t, ring).Verify(token, auth.Read, now)
			require.NoError(t, err)
			require.Equal(t, auth.Read, c.Capability)
			require.Equal(t, "name:prefix=acme/", protocol.FormatLabelSelector(c.Scope))
			require.Equal(t, int64(1700000060), c.Expiry.Unix())
			require.Equal(t, int64(1699999990), c.IssuedAt.Unix())
		})
	}
}

// TestRefused: each token is wrong in one way, and is told so.
func TestRefused(t *testing.T) {
	sign := mac(sha256.New, secret)
	with := func(from, to string) string {
		require.Contains(t, good, from)
		return byHand(hs256, strings.Replace(good, from, to, 1), sign)
	}
	whole := byHand(hs256, good, sign)
	payload := strings.Split(whole, ".")[1]
	noAlg := "there is no key of its algorithm (alg), which is one of HS256, HS384 and EdDSA"
	malformed := "it isn't a JSON Web Token with these claims"
	unsigned := "no key verifies its signature"
	for _, c := range []struct{ name, token, want string }{
		{"not a token", "secret", malformed},
		{"two parts", strings.Join(strings.Split(whole, ".")[:2], "."), malformed},
		{"four parts", whole + ".x", malformed},
		{"header isn't JSON", segment([]byte("x")) + "." + payload + ".", malformed},
		{"header isn't base64", "!." + payload + ".", malformed},
		{"padded base64", whole + "=", malformed},
		{"claims aren't JSON", byHand(hs256, `{"cap":8`, sign), malformed},
		{"claims are a list", byHand(hs256, `[]`, sign), malformed},
		{"alg none", segment([]byte(`{"alg":"none"}`)) + "." + payload + ".", noAlg},
		{"alg none, signed", byHand(`{"alg":"none","typ":"JWT"}`, good, sign), noAlg},
		{"alg missing", byHand(`{"typ":"JWT"}`, good, sign), noAlg},
		{"alg isn't text", byHand(`{"alg":256}`, good, sign), noAlg},
		{"alg in lower case", byHand(`{"alg":"hs256"}`, good, sign), noAlg},
		{"HS512", byHand(`{"alg":"HS512"}`, good, mac(sha512.New, secret)), noAlg},
		{"RS256", byHand(`{"alg":"RS256"}`, good, sign), noAlg},
		{"public key as a secret", byHand(hs256, good, mac(sha256.New, public)), unsigned},
		{"HMAC said to be EdDSA", byHand(eddsa, good, sign), unsigned},
		{"EdDSA said to be HMAC", byHand(hs256, good, edSign), unsigned},
		{"HS256 said to be HS384", byHand(hs384, good, sign), unsigned},
		{"another secret", byHand(hs256, good, mac(sha256.New, []byte("guessed"))), unsigned},
		{"a zero byte as the secret", byHand(hs256, good, mac(sha256.New, []byte{0})), unsigned},
		{"no secret", byHand(hs256, good, mac(sha256.New, nil)), unsigned},
		{"no signature", strings.Join(strings.Split(whole, ".")[:2], ".") + ".", unsigned},
		{"claims were changed", strings.Replace(whole, payload, segment([]byte(strings.Replace(good, `"cap":8`, `"cap":9`, 1))), 1), unsigned},
		{"crit", byHand(`{"alg":"HS256","crit":["b64"],"b64":false}`, good, sign), "its header demands an extension (crit)"},
		{"no expiry", with(`,"exp":1700000060`, ``), "it has no expiry (exp)"},
		{"expiry is null", with(`1700000060`, `null`), "it has no expiry (exp)"},
		{"expired", with(`1700000060`, `1699999990`), "it has expired"},
		{"expiry beyond all numbers", with(`1700000060`, `1e300`), "it has expired"},
		{"expiry isn't a time", with(`1700000060`, `"soon"`), malformed},
		{"issued in the future", with(`1699999990`, `1700000010`), "it was issued in the future (iat)"},
		{"not yet", with(`"cap":8`, `"cap":8,"nbf":1700000010`), "it isn't good yet (nbf)"},
		{"negative capability", with(`"cap":8`, `"cap":-1`), malformed},
		{"capability of 33 bits", with(`"cap":8`, `"cap":4294967296`), malformed},
		{"capability is a fraction", with(`"cap":8`, `"cap":8.5`), malformed},
		{"sel is text", with(`"sel":{`, `"sel":"name=acme/","x":{`), malformed},
		{"sel has more", with(`"exclude":{}`, `"exclude":{},"only":{}`), malformed},
		{"a label has more", with(`"prefix":true`, `"prefix":true,"regexp":true`), malformed},
		{"a label's name is too short", with(`"name":"name"`, `"name":"n"`), "its scope (sel) isn't valid: Selector.Include.Labels[0].Name: invalid length (1; expected 2 <= length <= 64)"},
		{"prefix isn't a folder", with(`"name":"name","value":"acme/"`, `"name":"prefix","value":"acme"`), "its scope (sel) isn't valid: "},
		{"too long", whole + strings.Repeat("x", auth.MaxToken), "it has more than 16384 bytes"},
		{"lacks a capability", with(`"cap":8`, `"cap":4294967287`), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := keys(t, b64(secret)+" ed25519:"+b64(public)).Verify(c.token, auth.Read, now)
			if c.want == "" {
				require.EqualError(t, err, "Authorization token doesn't allow this: it lacks the capability READ")
				require.ErrorAs(t, err, new(*auth.CapabilityError))
				return
			}
			require.ErrorContains(t, err, "invalid Authorization token: "+c.want)
			require.ErrorAs(t, err, new(*auth.InvalidError))
		})
	}
}

// TestKeyDecidesAlgorithm: a ring of public keys verifies no HMAC, and one of secrets
// no signature of Ed25519.
func TestKeyDecidesAlgorithm(t *testing.T) {
	for ring, token := range map[string]string{
		"ed25519:" + b64(public): byHand(hs256, good, mac(sha256.New, public)),
		b64(public):              byHand(eddsa, good, edSign),
	} {
		_, err := keys(t, ring).Verify(token, 0, now)
		require.ErrorContains(t, err, "there is no key of its algorithm")
	}
}

// TestLeeway: clocks may differ by five seconds, in both directions.
func TestLeeway(t *testing.T) {
	k := keys(t, b64(secret))
	token := byHand(hs256, good, mac(sha256.New, secret))
	for _, c := range []struct {
		at   int64
		good bool
	}{
		{1699999990 - 6, false}, {1699999990 - 5, true}, {1700000060, true}, {1700000060 + 4, true}, {1700000060 + 6, false},
	} {
		_, err := k.Verify(token, auth.Read, time.Unix(c.at, 0))
		require.Equal(t, c.good, err == nil, "at %d: %v", c.at, err)
	}
	c, err := k.Verify(token, auth.Read, now)
	require.NoError(t, err)
	require.Equal(t, c.Expiry, c.Deadline(now))
	require.Equal(t, c.Expiry.Add(auth.Leeway), c.Deadline(c.Expiry.Add(time.Second)))
}

// TestScope: what is selected, and what isn't.
func TestScope(t *testing.T) {
	k := keys(t, b64(secret))
	labels := func(name string, more ...string) *protocol.LabelSet {
		return (&protocol.JournalSpec{Name: name, Labels: protocol.MustLabelSet(more...)}).SelectableLabels()
	}
	for _, c := range []struct {
		name, sel string
		in, out   *protocol.LabelSet
	}{
		{"nothing selects all", `{}`, labels("any/name"), nil},
		{"null selects all", `null`, labels("any/name"), nil},
		{"a name", `{"include":{"labels":[{"name":"name","value":"foo/bar"}]}}`, labels("foo/bar"), labels("foo/bar2")},
		{"a prefix of names", `{"include":{"labels":[{"name":"name","value":"foo/","prefix":true}]}}`, labels("foo/bar"), labels("foobar")},
		{"the meta-label prefix", `{"include":{"labels":[{"name":"prefix","value":"foo/"}]}}`, labels("foo/bar"), labels("bar/foo")},
		{
			"labels in any order", `{"include":{"labels":[{"name":"zone","value":"b"},{"name":"app","value":"x"},{"name":"zone","value":"a"}]}}`,
			labels("foo/bar", "app", "x", "zone", "a"), labels("foo/bar", "app", "y", "zone", "a"),
		},
		{"what is excluded", `{"exclude":{"labels":[{"name":"secret"}]}}`, labels("foo/bar"), labels("foo/bar", "secret", "yes")},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims := fmt.Sprintf(`{"cap":8,"sel":%s,"exp":1700000060}`, c.sel)
			got, err := k.Verify(byHand(hs256, claims, mac(sha256.New, secret)), auth.Read, now)
			require.NoError(t, err)
			require.True(t, got.InScope(c.in))
			require.Equal(t, c.out == nil, got.Unscoped())
			if c.out != nil {
				require.False(t, got.InScope(c.out))
			}
		})
	}
}

// TestSigned tokens verify, by each key that can sign, and say what was signed.
func TestSigned(t *testing.T) {
	claims := auth.ForJournal(auth.Replicate, "acme/clicks;meta", now.Add(time.Minute))
	claims.Issuer, claims.Subject = "broker", "peer"
	for name, text := range map[string]string{
		"a secret":        b64(secret) + " ed25519-private:" + b64(private.Seed()),
		"a private key":   "ed25519-private:" + b64(private.Seed()) + " " + b64(secret),
		"the first of it": "AA== ed25519:" + b64(public) + " " + b64(secret),
	} {
		t.Run(name, func(t *testing.T) {
			k := keys(t, text)
			require.True(t, k.CanSign())
			token, err := k.Sign(claims, now)
			require.NoError(t, err)
			got, err := k.Verify(token, auth.Replicate, now)
			require.NoError(t, err)
			require.Equal(t, "name=acme/clicks", protocol.FormatLabelSelector(got.Scope))
			require.True(t, got.Expiry.Equal(claims.Expiry))
			require.True(t, got.IssuedAt.Equal(now))
			require.Equal(t, "broker", got.Issuer)
			require.Equal(t, "peer", got.Subject)
			alg := map[string]string{"a secret": "HS256", "a private key": "EdDSA", "the first of it": "HS256"}[name]
			header, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
			require.NoError(t, err)
			require.Contains(t, string(header), `"alg":"`+alg+`"`)
		})
	}
	_, err := keys(t, "ed25519:"+b64(public)).Sign(claims, now)
	require.ErrorIs(t, err, auth.ErrUnsigned)
	claims.Scope.Include.Labels[0].Name = "n"
	_, err = keys(t, b64(secret)).Sign(claims, now)
	require.ErrorContains(t, err, "sign a token: scope: Selector.Include.Labels[0].Name: ")
}

// TestShape: the claims of a token are those of Gazette, key for key.
func TestShape(t *testing.T) {
	token, err := keys(t, b64(secret)).Sign(auth.Claims{
		Capability: auth.List | auth.Read,
		Scope: &protocol.LabelSelector{
			Include: &protocol.LabelSet{Labels: []*protocol.Label{{Name: "name", Value: "foo/", Prefix: true}}},
			Exclude: protocol.MustLabelSet("secret", ""),
		},
		Expiry: now.Add(time.Hour),
	}, now)
	require.NoError(t, err)
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	require.NoError(t, err)
	require.JSONEq(t, `{"cap":10,"sel":{"include":{"labels":[{"name":"name","value":"foo/","prefix":true}]},`+
		`"exclude":{"labels":[{"name":"secret"}]}},"exp":1700003600,"iat":1700000000}`, string(raw))
}

// TestBearer: what the header Authorization may have.
func TestBearer(t *testing.T) {
	for _, c := range []struct {
		values []string
		token  string
		err    string
	}{
		{nil, "", "missing or empty Authorization token"},
		{[]string{""}, "", "missing or empty Authorization token"},
		{[]string{"Bearer"}, "", "missing or empty Authorization token"},
		{[]string{"Bearer   "}, "", "missing or empty Authorization token"},
		{[]string{"Basic dTpw"}, "", "missing or empty Authorization token"},
		{[]string{"Bearer a.b.c"}, "a.b.c", ""},
		{[]string{"bearer  a.b.c "}, "a.b.c", ""},
		{[]string{"Bearer a", "Bearer b"}, "", "invalid Authorization token: there is more than one"},
	} {
		token, err := auth.Bearer(c.values)
		require.Equal(t, c.token, token, "%q", c.values)
		if c.err != "" {
			require.EqualError(t, err, c.err, "%q", c.values)
		} else {
			require.NoError(t, err)
		}
	}
}

// TestCapabilityNames: sets print as names, joined, and what has none as a number.
func TestCapabilityNames(t *testing.T) {
	for c, want := range map[auth.Capability]string{
		0: "NONE", auth.All: "ALL", auth.Replicate: "REPLICATE",
		auth.List | auth.Append: "LIST|APPEND", auth.Apply | 1<<16: "APPLY|0x10000",
	} {
		require.Equal(t, want, c.String())
	}
	require.Equal(t, uint32(0xffffffff), uint32(auth.All))
	require.Equal(t, []auth.Capability{2, 4, 8, 16, 32}, []auth.Capability{auth.List, auth.Apply, auth.Read, auth.Append, auth.Replicate})
}
