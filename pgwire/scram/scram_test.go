package scram

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestVector is the example of RFC 7677.
func TestVector(t *testing.T) {
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	require.NoError(t, err)
	v, err := derive("pencil", salt, 4096)
	require.NoError(t, err)
	e := newExchange(Account{User: "user", Verifier: v}, nil, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
	reply, err := e.First(Plain, []byte("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"))
	require.NoError(t, err)
	require.Equal(t, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", string(reply))
	last, ok, err := e.Final([]byte("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", string(last))
}

// TestVerifiers: texts are read and written as PostgreSQL's, and what isn't one is refused.
func TestVerifiers(t *testing.T) {
	v, err := New("secret")
	require.NoError(t, err)
	require.True(t, IsVerifier(v.String()))
	again, err := Parse(v.String())
	require.NoError(t, err)
	require.Equal(t, v, again)
	require.True(t, again.Fits("secret"))
	require.False(t, again.Fits("Secret"))
	require.False(t, Verifier{}.Fits(""))
	require.NotContains(t, fmt.Sprintf("%#v", v), "StoredKey")
	_, err = New("")
	require.Error(t, err)
	key := strings.Repeat("A", 43) + "="
	for _, bad := range []string{
		"", "SCRAM-SHA-256", "md5abc", "SCRAM-SHA-256$4096:AAAA", "SCRAM-SHA-256$0:AAAA$" + key + ":" + key, "SCRAM-SHA-256$x:AAAA$" + key + ":" + key,
		"SCRAM-SHA-256$99999999:AAAA$" + key + ":" + key, "SCRAM-SHA-256$1:$" + key + ":" + key, "SCRAM-SHA-256$1:A$" + key + ":" + key,
		"SCRAM-SHA-256$1:AAAA$AAAA:" + key, "SCRAM-SHA-256$1:AAAA$" + key + ":AAAA", "SCRAM-SHA-256$1:AAAA$" + key + ":" + key + "\n",
	} {
		_, err := Parse(bad)
		require.ErrorIs(t, err, ErrVerifier, bad)
	}
}

// TestPrepare: the examples of RFC 4013, and what stays as it is.
func TestPrepare(t *testing.T) {
	for in, want := range map[string]string{
		"I\u00adX": "IX", "user": "user", "USER": "USER", "\u00aa": "a", "\u2168": "IX", "a\u00a0b": "a b", "a\u200bb": "a b",
		"\u0007": "\u0007", "\u06271": "\u06271", "\xff\u00aa": "\xff\u00aa", "\u00ad": "\u00ad", "\U0001f511\u00aa": "\U0001f511\u00aa",
	} {
		require.Equal(t, want, prepare(in), "%q", in)
	}
}

// TestMechanisms: -PLUS is offered where there is a certificate to bind to.
func TestMechanisms(t *testing.T) {
	require.Equal(t, []string{Plain}, Mechanisms(nil))
	require.Equal(t, []string{Plus, Plain}, Mechanisms([]byte("hash")))
}

// account is one whose password is right.
func account(t require.TestingT, password string) Account {
	v, err := derive(password, []byte("salt"), 1)
	require.NoError(t, err)
	return Account{User: "u", Verifier: v, Secret: []byte("s")}
}

// TestConversations: each thing wrong in turn.
func TestConversations(t *testing.T) {
	hash := []byte("a hash")
	for _, c := range []struct {
		name, mechanism string
		binding         []byte // the server's
		client          client
		want            string // "" is right, "wrong" a wrong password
	}{
		{"plain", Plain, nil, client{header: "n,,"}, ""},
		{"plain, a client that could", Plain, nil, client{header: "y,,"}, ""},
		{"plain over TLS", Plain, hash, client{header: "n,,"}, ""},
		{"bound", Plus, hash, client{header: plusHeader, binding: hash}, ""},
		{"a wrong password", Plain, nil, client{header: "n,,", password: "other"}, "wrong"},
		{"bound, a wrong password", Plus, hash, client{header: plusHeader, binding: hash, password: "other"}, "wrong"},
		{"bound to another certificate", Plus, hash, client{header: plusHeader, binding: []byte("other")}, "28000 SCRAM channel binding check failed"},
		{"downgraded", Plain, hash, client{header: "y,,"}, "28000 SCRAM channel binding negotiation error"},
		{"bound without TLS", Plus, nil, client{header: plusHeader, binding: hash}, "08P01 client selected an invalid SASL authentication mechanism"},
		{"no mechanism", "SCRAM-SHA-1", nil, client{header: "n,,"}, "08P01 client selected an invalid SASL"},
		{"bound by plain", Plain, hash, client{header: plusHeader, binding: hash}, "08P01 malformed SCRAM message"},
		{"plain by -PLUS", Plus, hash, client{header: "n,,"}, "08P01 malformed SCRAM message"},
		{"another binding", Plus, hash, client{header: "p=tls-unique,,"}, `08P01 unsupported SCRAM channel-binding type "tls-unique"`},
		{"another identity", Plain, nil, client{header: "n,a=root,"}, "0A000 client uses authorization identity"},
		{"unknown flag", Plain, nil, client{header: "x,,"}, "08P01 malformed"},
		{"a header changed on the way", Plain, nil, client{header: "n,,", binding: []byte("x")}, "08P01 unexpected SCRAM channel-binding attribute"},
		{"a nonce that can't be", Plain, nil, client{header: "n,,", nonce: "a b"}, "08P01 non-printable characters in SCRAM nonce"},
		{"an extension that is needed", Plain, nil, client{header: "n,,m=x,"}, "0A000 client requires an unsupported SCRAM extension"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.client.password == "" {
				c.client.password = "right"
			}
			if c.client.nonce == "" {
				c.client.nonce = "nonce"
			}
			ok, err := talk(NewExchange(account(t, "right"), c.binding), c.mechanism, &c.client)
			switch c.want {
			case "", "wrong":
				require.NoError(t, err)
				require.Equal(t, c.want == "", ok)
			default:
				var e *Error
				require.ErrorAs(t, err, &e)
				require.Contains(t, e.Code+" "+e.Message, c.want)
				require.False(t, ok)
			}
		})
	}
}

// TestUnknownUser: nothing tells that there is none: the messages' lengths, the salt that stays,
// and how many HMACs are computed.
func TestUnknownUser(t *testing.T) {
	v, err := New("right")
	require.NoError(t, err)
	type seen struct {
		lengths [2]int
		macs    int
		ok      bool
	}
	look := func(a Account) (seen, string) {
		e := NewExchange(a, nil)
		c := &client{header: "n,,", nonce: "nonce", password: "wrong"}
		reply, err := e.First(Plain, c.begin())
		require.NoError(t, err)
		last, ok, err := e.Final(c.finish(reply))
		require.NoError(t, err)
		return seen{[2]int{len(reply), len(last)}, e.macs, ok}, base64.StdEncoding.EncodeToString(e.verifier.Salt)
	}
	known, _ := look(Account{User: "known", Verifier: v, Secret: []byte("s")})
	unknown, salt := look(Account{User: "unknown", Secret: []byte("s")})
	require.Equal(t, known, unknown)
	require.Equal(t, 3, known.macs)
	_, again := look(Account{User: "unknown", Secret: []byte("s")})
	require.Equal(t, salt, again, "the salt stays")
	_, another := look(Account{User: "unknown2", Secret: []byte("s")})
	require.NotEqual(t, salt, another)
}

// TestNoPasswordFitsNobody, not even the keys of the verifier that is shown.
func TestNoPasswordFitsNobody(t *testing.T) {
	e := NewExchange(Account{User: "nobody", Secret: []byte("s")}, nil)
	reply, err := e.First(Plain, []byte("n,,n=,r=nonce"))
	require.NoError(t, err)
	e.verifier.StoredKey = account(t, "right").Verifier.StoredKey
	c := &client{header: "n,,", nonce: "nonce", password: "right", first: "n=,r=nonce"}
	_, ok, err := e.Final(c.finish(reply))
	require.NoError(t, err)
	require.False(t, ok)
}

// TestProperties: who has the password gets in, and nobody else; a message that was changed
// on its way never does.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		password := rapid.StringN(1, 30, 100).Draw(t, "password")
		tried := rapid.OneOf(rapid.Just(password), rapid.StringN(1, 30, 100)).Draw(t, "tried")
		nonce := rapid.StringMatching(`[!-+\--~]{1,40}`).Draw(t, "nonce")
		var hash []byte
		header, mechanism := "n,,", Plain
		if rapid.Bool().Draw(t, "bound") {
			hash, header, mechanism = rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "hash"), plusHeader, Plus
		}
		e := NewExchange(account(t, password), hash)
		c := &client{header: header, binding: hash, nonce: nonce, password: tried}
		reply, err := e.First(mechanism, c.begin())
		require.NoError(t, err)
		final := c.finish(reply)
		if at := rapid.IntRange(-1, len(final)-1).Draw(t, "changed at"); at >= 0 {
			changed := bytes.Clone(final)
			changed[at] ^= rapid.ByteRange(1, 255).Draw(t, "by")
			_, ok, _ := e.Final(changed)
			require.False(t, ok, "%q", changed)
			return
		}
		last, ok, err := e.Final(final)
		require.NoError(t, err)
		require.Equal(t, prepare(password) == prepare(tried), ok)
		require.Equal(t, ok, ok && c.trusts(last))
	})
}

// FuzzExchange: no messages do harm, and none that isn't a proof gets in.
func FuzzExchange(f *testing.F) {
	f.Add("SCRAM-SHA-256", []byte("n,,n=,r=nonce"), []byte("c=biws,r=nonceserver,p="+base64.StdEncoding.EncodeToString(make([]byte, 32))))
	f.Add("SCRAM-SHA-256-PLUS", []byte(plusHeader+"n=,r=nonce,x=1"), []byte("c=biws,r=nonceserver,x=y,p=AAAA"))
	f.Add("SCRAM-SHA-256", []byte("y,a=b,n=,r=,"), []byte(",p="))
	v, err := derive("right", []byte("salt"), 1)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, mechanism string, first, final []byte) {
		e := newExchange(Account{User: "u", Verifier: v}, []byte("hash"), "server")
		reply, err := e.First(mechanism, first)
		if err != nil {
			require.Nil(t, reply)
			return
		}
		require.True(t, bytes.HasPrefix(reply, []byte("r=")))
		_, ok, _ := e.Final(final)
		require.False(t, ok)
	})
}

// FuzzVerifier: what is read is written the same.
func FuzzVerifier(f *testing.F) {
	f.Add(account(f, "x").Verifier.String())
	f.Fuzz(func(t *testing.T, text string) {
		v, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(v.String())
		require.NoError(t, err)
		require.Equal(t, v, again)
	})
}
