package scram

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/xdg-go/stringprep"
)

const (
	// Iterations are those of new verifiers, as PostgreSQL's.
	Iterations = 4096
	// maxIterations is what clients can still be asked to do.
	maxIterations = 10_000_000
	saltSize      = 16
	maxSalt       = 1024
	scheme        = "SCRAM-SHA-256"
)

// Verifier is what a server keeps of a password. The zero Verifier fits none.
type Verifier struct {
	Iterations int
	Salt       []byte
	StoredKey  []byte // SHA-256 of the key that a client proves to have
	ServerKey  []byte // with which the server proves that it has the verifier
}

// ErrVerifier says that a text isn't that of a verifier.
var ErrVerifier = errors.New("not a SCRAM-SHA-256 verifier")

// New makes the verifier of a password, with a salt of its own.
func New(password string) (Verifier, error) {
	if password == "" {
		return Verifier{}, errors.New("a password is not empty")
	}
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails: crypto/rand ends the program instead
	return derive(password, salt, Iterations)
}

func derive(password string, salt []byte, iterations int) (Verifier, error) {
	salted, err := pbkdf2.Key(sha256.New, prepare(password), salt, iterations, sha256.Size)
	if err != nil {
		return Verifier{}, fmt.Errorf("derive a verifier: %w", err)
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	return Verifier{Iterations: iterations, Salt: salt, StoredKey: stored[:], ServerKey: mac(salted, "Server Key")}, nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text)) // a hash never fails
	return h.Sum(nil)
}

// IsVerifier tells whether a text means to be a verifier, and not a password.
func IsVerifier(text string) bool { return strings.HasPrefix(text, scheme+"$") }

// Parse reads PostgreSQL's text of a verifier.
func Parse(text string) (Verifier, error) {
	rest, ok := strings.CutPrefix(text, scheme+"$")
	head, keys, ok2 := strings.Cut(rest, "$")
	count, salt, ok3 := strings.Cut(head, ":")
	stored, server, ok4 := strings.Cut(keys, ":")
	if !ok || !ok2 || !ok3 || !ok4 {
		return Verifier{}, fmt.Errorf("%w: its form is %s$iterations:salt$StoredKey:ServerKey", ErrVerifier, scheme)
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 1 || n > maxIterations {
		return Verifier{}, fmt.Errorf("%w: its iterations aren't a number from 1 to %d", ErrVerifier, maxIterations)
	}
	v := Verifier{Iterations: n}
	for _, part := range []struct {
		name     string
		to       *[]byte
		text     string
		min, max int
	}{
		{"salt", &v.Salt, salt, 1, maxSalt},
		{"StoredKey", &v.StoredKey, stored, sha256.Size, sha256.Size},
		{"ServerKey", &v.ServerKey, server, sha256.Size, sha256.Size},
	} {
		*part.to, err = base64.StdEncoding.Strict().DecodeString(part.text)
		if err != nil || len(*part.to) < part.min || len(*part.to) > part.max || strings.ContainsAny(part.text, "\r\n") {
			return Verifier{}, fmt.Errorf("%w: its %s isn't base64 of %d bytes", ErrVerifier, part.name, part.min)
		}
	}
	return v, nil
}

// String is PostgreSQL's text.
func (v Verifier) String() string {
	b := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", scheme, v.Iterations, b(v.Salt), b(v.StoredKey), b(v.ServerKey))
}

// GoString keeps keys out of logs.
func (v Verifier) GoString() string { return "scram.Verifier{}" }

// Fits tells whether a password is that of the verifier.
func (v Verifier) Fits(password string) bool {
	if v.Iterations == 0 {
		return false
	}
	w, err := derive(password, v.Salt, v.Iterations)
	return err == nil && hmac.Equal(v.StoredKey, w.StoredKey)
}

// saslprep is the profile of RFC 4013 as PostgreSQL has it: U+200B, which the RFC both drops and makes a
// space, is a space.
func saslprep() stringprep.Profile {
	p := stringprep.SASLprep
	p.Mappings = []stringprep.Mapping{p.Mappings[1], p.Mappings[0]}
	return p
}

// prepare a password. One that SASLprep refuses, or makes nothing of, stays what it is.
func prepare(password string) string {
	if !utf8.ValidString(password) || !strings.ContainsFunc(password, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return password
	}
	p, err := saslprep().Prepare(password)
	if err != nil || p == "" {
		return password
	}
	return p
}
