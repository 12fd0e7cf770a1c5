package scram

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

// client is the other side, for tests.
type client struct {
	password, header, nonce string
	binding                 []byte

	first, reply, unsigned string
	salted                 []byte
}

func (c *client) begin() []byte {
	c.first = "n=,r=" + c.nonce
	return []byte(c.header + c.first)
}

// finish answers the server's first message.
func (c *client) finish(reply []byte) []byte {
	c.reply = string(reply)
	parts := strings.Split(c.reply, ",")
	salt, _ := base64.StdEncoding.DecodeString(parts[1][2:])
	n, _ := strconv.Atoi(parts[2][2:])
	c.salted, _ = pbkdf2.Key(sha256.New, prepare(c.password), salt, n, sha256.Size)
	key := mac(c.salted, "Client Key")
	stored := sha256.Sum256(key)
	channel := append([]byte(c.header), c.binding...)
	c.unsigned = "c=" + base64.StdEncoding.EncodeToString(channel) + ",r=" + parts[0][2:]
	for i, b := range mac(stored[:], c.first+","+c.reply+","+c.unsigned) {
		key[i] ^= b
	}
	return []byte(c.unsigned + ",p=" + base64.StdEncoding.EncodeToString(key))
}

// trusts tells whether the server has shown that it has the verifier.
func (c *client) trusts(last []byte) bool {
	want := mac(mac(c.salted, "Server Key"), c.first+","+c.reply+","+c.unsigned)
	return hmac.Equal(last, []byte("v="+base64.StdEncoding.EncodeToString(want)))
}

// talk is a whole authentication.
func talk(e *Exchange, mechanism string, c *client) (bool, error) {
	reply, err := e.First(mechanism, c.begin())
	if err != nil {
		return false, err
	}
	last, ok, err := e.Final(c.finish(reply))
	return ok && c.trusts(last), err
}
