package auth

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Words before a key of the text of a Keyring, each with a colon. A key without one
// is a shared secret.
const (
	publicWord  = "ed25519"
	privateWord = "ed25519-private"
)

// shortSecret is how many bytes a shared secret should have at least.
const shortSecret = 16

// Keyring has the keys that tokens are signed and verified with. Make it with
// ParseKeys; it never changes.
type Keyring struct {
	secrets [][]byte            // shared, of HMAC
	publics []ed25519.PublicKey // those of private keys too
	signer  any                 // []byte or ed25519.PrivateKey; nil if no key can sign

	allowsMissing bool
}

// ParseKeys reads keys that are separated by white space or commas:
//
//   - base64: a shared secret, which signs and verifies (HS256; HS384 is verified too);
//   - ed25519:<base64>: a public key, which verifies (EdDSA): its 32 bytes, or what is
//     between the lines of its PEM file;
//   - ed25519-private:<base64>: a private key, which signs and verifies: the 32 bytes of
//     its seed, or what is between the lines of its PEM file;
//   - AA==: no key; requests without a token are let through too.
//
// The first key that can sign does. All keys verify. Errors name a key by its place.
func ParseKeys(text string) (*Keyring, error) {
	k := new(Keyring)
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	for i, w := range words {
		if err := k.add(w); err != nil {
			return nil, fmt.Errorf("key %d of %d: %w", i+1, len(words), err)
		}
	}
	switch {
	case len(words) == 0:
		return nil, errors.New("there is no key")
	case len(k.secrets)+len(k.publics) == 0:
		return nil, errors.New("there is no key beside AA==, which only lets requests without a token through")
	}
	return k, nil
}

func (k *Keyring) add(word string) error {
	kind, text, hasKind := strings.Cut(word, ":")
	if !hasKind {
		kind, text = text, kind
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err != nil:
		return errors.New("it isn't base64") // The error of base64 would tell a part of it.
	case kind == publicWord:
		return k.addPublic(raw)
	case kind == privateWord:
		return k.addPrivate(raw)
	case hasKind:
		return fmt.Errorf("before the colon there may be %s or %s", publicWord, privateWord)
	case len(raw) == 0:
		return errors.New("it is empty")
	case len(raw) == 1 && raw[0] == 0:
		k.allowsMissing = true
		return nil
	}
	k.secrets = append(k.secrets, raw)
	if k.signer == nil {
		k.signer = raw
	}
	return nil
}

func (k *Keyring) addPublic(raw []byte) error {
	if len(raw) != ed25519.PublicKeySize {
		parsed, err := x509.ParsePKIXPublicKey(raw)
		public, ok := parsed.(ed25519.PublicKey)
		if err != nil || !ok {
			return errors.New("it isn't the public key of Ed25519")
		}
		raw = public
	}
	k.publics = append(k.publics, raw)
	return nil
}

func (k *Keyring) addPrivate(raw []byte) error {
	private := ed25519.PrivateKey(nil)
	if len(raw) == ed25519.SeedSize {
		private = ed25519.NewKeyFromSeed(raw)
	} else {
		parsed, err := x509.ParsePKCS8PrivateKey(raw)
		var ok bool
		if private, ok = parsed.(ed25519.PrivateKey); err != nil || !ok {
			return errors.New("it isn't the private key of Ed25519")
		}
	}
	k.publics = append(k.publics, private.Public().(ed25519.PublicKey)) //nolint:forcetypeassert // it is by its documentation
	if k.signer == nil {
		k.signer = private
	}
	return nil
}

// AllowsMissing tells whether requests without a token are let through. A nil keyring
// demands no token of anyone.
func (k *Keyring) AllowsMissing() bool { return k == nil || k.allowsMissing }

// CanSign tells whether one of the keys can sign.
func (k *Keyring) CanSign() bool { return k != nil && k.signer != nil }

// ShortSecrets is how many shared secrets are so short that they might be guessed.
func (k *Keyring) ShortSecrets() int {
	if k == nil {
		return 0
	}
	n := 0
	for _, s := range k.secrets {
		if len(s) < shortSecret {
			n++
		}
	}
	return n
}

// String and GoString keep keys out of logs.
func (k *Keyring) String() string { return "auth.Keyring" }

// GoString as of fmt.
func (k *Keyring) GoString() string { return k.String() }
