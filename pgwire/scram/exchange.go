package scram

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// Names of the mechanisms.
const (
	Plain = "SCRAM-SHA-256"
	Plus  = "SCRAM-SHA-256-PLUS"
)

const (
	binding    = "tls-server-end-point"
	plusHeader = "p=" + binding + ",,"
	nonceSize  = 18
)

// Error tells a client why its authentication ends, but for a wrong password, which is
// only told by Exchange.Final's result.
type Error struct{ Code, Message, Detail string }

func (e *Error) Error() string { return e.Message + " (SQLSTATE " + e.Code + ")" }

func malformed(detail string) error {
	return &Error{Code: "08P01", Message: "malformed SCRAM message", Detail: detail}
}

// Account is whom a client says it is.
type Account struct {
	User string
	// Verifier is zero for a user that doesn't exist, or has no password. Then a salt is made
	// of Secret and the user's name, and no proof is right.
	Verifier Verifier
	// Secret makes salts of users that don't exist. It has to stay the same, or the salt would tell.
	Secret []byte
}

// Exchange is one authentication. Call First and then Final, each once.
type Exchange struct {
	verifier Verifier
	doomed   bool
	binding  []byte // hash of the server's certificate; nil if there is no TLS, or no such hash

	plus   bool
	header string // the client's gs2-header
	first  string // client-first-message-bare
	reply  string // server-first-message
	nonce  string // of both
	macs   int    // HMACs that were computed, for tests
}

// Mechanisms that are offered to a client of a connection that has such a binding, best first.
func Mechanisms(binding []byte) []string {
	if binding == nil {
		return []string{Plain}
	}
	return []string{Plus, Plain}
}

// NewExchange begins an authentication. Binding is the hash of the server's certificate (RFC 5929) if
// the connection has TLS, else nil.
func NewExchange(a Account, binding []byte) *Exchange {
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // never fails: crypto/rand ends the program instead
	return newExchange(a, binding, base64.StdEncoding.EncodeToString(nonce))
}

func newExchange(a Account, binding []byte, nonce string) *Exchange {
	e := &Exchange{binding: binding, nonce: nonce}
	mock := e.mock(a) // for users that exist too, so that both take the same time
	if e.verifier = a.Verifier; e.verifier.Iterations == 0 {
		e.verifier, e.doomed = mock, true
	}
	return e
}

// mock is a verifier that no password fits.
func (e *Exchange) mock(a Account) Verifier {
	salt := e.mac(a.Secret, a.User)[:saltSize]
	return Verifier{Iterations: Iterations, Salt: salt, StoredKey: make([]byte, sha256.Size), ServerKey: make([]byte, sha256.Size)}
}

func (e *Exchange) mac(key []byte, text string) []byte {
	e.macs++
	return mac(key, text)
}

// First takes the mechanism and the client's first message, and returns the answer.
func (e *Exchange) First(mechanism string, message []byte) ([]byte, error) {
	switch {
	case mechanism == Plus && e.binding != nil:
		e.plus = true
	case mechanism != Plain:
		return nil, &Error{Code: "08P01", Message: "client selected an invalid SASL authentication mechanism"}
	}
	text := string(message)
	if strings.ContainsRune(text, 0) {
		return nil, malformed("Message length does not match input length.")
	}
	bare, err := e.readHeader(text)
	if err != nil {
		return nil, err
	}
	e.header, e.first = text[:len(text)-len(bare)], bare
	if strings.HasPrefix(bare, "m=") {
		return nil, &Error{Code: "0A000", Message: "client requires an unsupported SCRAM extension"}
	}
	// The user's name is that of the startup packet: what stands here is ignored, as PostgreSQL does.
	_, rest, err := attribute(bare, 'n')
	if err != nil {
		return nil, err
	}
	theirs, rest, err := attribute(rest, 'r')
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(theirs, func(r rune) bool { return r < 0x21 || r > 0x7e }) || theirs == "" {
		return nil, &Error{Code: "08P01", Message: "non-printable characters in SCRAM nonce"}
	}
	if err := extensions(rest); err != nil {
		return nil, err
	}
	e.nonce = theirs + e.nonce
	e.reply = fmt.Sprintf("r=%s,s=%s,i=%d", e.nonce, base64.StdEncoding.EncodeToString(e.verifier.Salt), e.verifier.Iterations)
	return []byte(e.reply), nil
}

// readHeader checks what the client says of channel binding, and returns what follows.
func (e *Exchange) readHeader(text string) (string, error) {
	flag, rest, ok := strings.Cut(text, ",")
	if !ok || flag == "" {
		return "", malformed("The message ends in its header.")
	}
	bound, isBound := strings.CutPrefix(flag, "p=")
	switch {
	case flag == "n" || flag == "y":
		if e.plus {
			return "", malformed("The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data.")
		}
		if flag == "y" && e.binding != nil {
			return "", &Error{
				Code: "28000", Message: "SCRAM channel binding negotiation error",
				Detail: "The client supports SCRAM channel binding but thinks the server does not.  However, this server does support channel binding.",
			}
		}
	case isBound && !e.plus:
		return "", malformed("The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel binding data.")
	case isBound && bound != binding:
		return "", &Error{Code: "08P01", Message: fmt.Sprintf("unsupported SCRAM channel-binding type %q", bound)}
	case !isBound:
		return "", malformed(fmt.Sprintf("Unexpected channel-binding flag %q.", flag[:1]))
	}
	if strings.HasPrefix(rest, "a=") {
		return "", &Error{Code: "0A000", Message: "client uses authorization identity, but it is not supported"}
	}
	bare, ok := strings.CutPrefix(rest, ",")
	if !ok {
		return "", malformed(fmt.Sprintf("Unexpected attribute %q in client-first-message.", rest[:min(1, len(rest))]))
	}
	return bare, nil
}

// attribute reads "x=value" up to a comma or the end, and returns the value and what follows.
func attribute(text string, name byte) (string, string, error) {
	if len(text) < 2 || text[0] != name || text[1] != '=' {
		return "", "", malformed(fmt.Sprintf("Expected attribute %q.", name))
	}
	value, rest, _ := strings.Cut(text[2:], ",")
	return value, rest, nil
}

// extensions may be anything that looks like attributes.
func extensions(text string) error {
	for text != "" {
		var one string
		one, text, _ = strings.Cut(text, ",")
		if len(one) < 2 || one[1] != '=' || !isLetter(one[0]) {
			return malformed("Attribute expected.")
		}
	}
	return nil
}

func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

// Final takes the client's second message. It tells whether the client knows the password, and if
// so, returns the last answer. After an error there is no answer.
func (e *Exchange) Final(message []byte) ([]byte, bool, error) {
	text := string(message)
	if strings.ContainsRune(text, 0) {
		return nil, false, malformed("Message length does not match input length.")
	}
	at := strings.LastIndex(text, ",p=")
	if at < 0 {
		return nil, false, malformed("Expected attribute 'p'.")
	}
	unsigned, encoded := text[:at], text[at+len(",p="):]
	channel, rest, err := attribute(unsigned, 'c')
	if err != nil {
		return nil, false, err
	}
	if err := e.checkBinding(channel); err != nil {
		return nil, false, err
	}
	nonce, rest, err := attribute(rest, 'r')
	if err != nil {
		return nil, false, err
	}
	if nonce != e.nonce {
		return nil, false, &Error{Code: "08P01", Message: "invalid SCRAM response", Detail: "Nonce does not match."}
	}
	if err := extensions(rest); err != nil {
		return nil, false, err
	}
	proof, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(proof) != sha256.Size || strings.ContainsAny(encoded, "\r\n") {
		return nil, false, malformed("Malformed proof in client-final-message.")
	}
	signed := e.first + "," + e.reply + "," + unsigned
	right := e.prove(proof, signed)
	signature := e.mac(e.verifier.ServerKey, signed)
	if !right || e.doomed {
		return nil, false, nil
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(signature)), true, nil
}

// checkBinding holds what the client says now of the channel against what it said before, and
// against the certificate.
func (e *Exchange) checkBinding(encoded string) error {
	want := []byte(e.header)
	if e.plus {
		want = append([]byte(plusHeader), e.binding...)
	}
	got, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err == nil && bytes.Equal(got, want) {
		return nil
	}
	if e.plus {
		return &Error{Code: "28000", Message: "SCRAM channel binding check failed"}
	}
	return &Error{Code: "08P01", Message: "unexpected SCRAM channel-binding attribute in client-final-message"}
}

// prove tells whether a proof is of the key whose hash is stored.
func (e *Exchange) prove(proof []byte, signed string) bool {
	signature := e.mac(e.verifier.StoredKey, signed)
	key := make([]byte, sha256.Size)
	for i := range key {
		key[i] = proof[i] ^ signature[i]
	}
	stored := sha256.Sum256(key)
	return hmac.Equal(stored[:], e.verifier.StoredKey)
}
