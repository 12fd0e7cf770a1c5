package cloud

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// tokenSource gives a token that is valid for a while.
type tokenSource func(ctx context.Context) (string, error)

// bearer adds a token to requests.
type bearer struct {
	next  http.RoundTripper
	token tokenSource
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := b.token(r.Context())
	if err != nil {
		if r.Body != nil {
			err = errors.Join(err, r.Body.Close())
		}
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return b.next.RoundTrip(r)
}

// CloseIdleConnections is called by that of http.Client.
func (b *bearer) CloseIdleConnections() {}

// tokens asks for tokens by a form, and keeps the last until shortly before its end.
type tokens struct {
	client *http.Client
	url    string
	form   func(now time.Time) (url.Values, error)

	last chan token // Holds the one token.
}

type token struct {
	value string
	until time.Time
}

const (
	// early is how long before its end a token is no longer used.
	early = 2 * time.Minute
	// tokenTime is what asking for a token may take.
	tokenTime = 15 * time.Second
	// maxTokenAnswer bounds the answer to a request for a token.
	maxTokenAnswer = 1 << 20
)

func newTokens(client *http.Client, at string, form func(time.Time) (url.Values, error)) *tokens {
	t := &tokens{client: client, url: at, form: form, last: make(chan token, 1)}
	t.last <- token{}
	return t
}

func (t *tokens) get(ctx context.Context) (string, error) {
	select {
	case last := <-t.last:
		var err error
		if !time.Now().Add(early).Before(last.until) {
			var next token
			if next, err = t.ask(ctx); err == nil {
				last = next
			}
		}
		t.last <- last
		return last.value, err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// ask tells of a failure no more than the status: answers, and forms, hold secrets.
func (t *tokens) ask(ctx context.Context) (token, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenTime)
	defer cancel()
	now := time.Now()
	form, err := t.form(now)
	if err != nil {
		return token{}, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, strings.NewReader(form.Encode()))
	if err != nil {
		return token{}, errors.New("get a token: its URL is none")
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := t.client.Do(r)
	if err != nil {
		return token{}, errors.New("get a token: " + withoutURL(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return token{}, fmt.Errorf("get a token: HTTP %d", response.StatusCode)
	}
	var answer struct {
		Token   string      `json:"access_token"`
		Expires json.Number `json:"expires_in"`
	}
	if err = json.NewDecoder(io.LimitReader(response.Body, maxTokenAnswer)).Decode(&answer); err != nil || answer.Token == "" {
		return token{}, errors.New("get a token: the answer has none")
	}
	seconds, err := answer.Expires.Int64()
	if err != nil || seconds <= 0 {
		return token{}, errors.New("get a token: the answer doesn't tell its end")
	}
	return token{value: answer.Token, until: now.Add(time.Duration(seconds) * time.Second)}, nil
}

// newGoogleTokens asks for tokens as a service account, by a claim that its key signs
// (RFC 7523).
func newGoogleTokens(c *http.Client, account serviceAccount) (*tokens, error) {
	block, _ := pem.Decode([]byte(account.PrivateKey))
	if block == nil {
		return nil, errors.New("its private_key is no PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errors.New("its private_key is no RSA key")
	}
	at, err := url.Parse(account.TokenURI)
	if err != nil || (at.Scheme != "https" && at.Hostname() != "127.0.0.1") {
		return nil, errors.New("its token_uri is no https URL")
	}
	return newTokens(c, account.TokenURI, func(now time.Time) (url.Values, error) {
		claim, err := signClaim(key, map[string]any{"alg": "RS256", "typ": "JWT", "kid": account.KeyID}, map[string]any{
			"iss": account.Email, "aud": account.TokenURI, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
			"scope": "https://www.googleapis.com/auth/devstorage.read_write",
		})
		return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {claim}}, err
	}), nil
}

// signClaim is a JSON web token of RS256.
func signClaim(key *rsa.PrivateKey, header, claims map[string]any) (string, error) {
	var parts [2]string
	for i, part := range []map[string]any{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts[i] = base64.RawURLEncoding.EncodeToString(text)
	}
	text := parts[0] + "." + parts[1]
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", errors.New("sign the claim for a token")
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
