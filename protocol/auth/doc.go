// Package auth has the tokens that say what the caller of a broker may do.
//
// # What
//
// A token is a JSON Web Token (RFC 7519) in the header Authorization, after the word
// Bearer. Its Claims are those of Gazette: a bit mask of capabilities (cap), a
// selector of the journals that they are good for (sel), and an expiry (exp). A
// Keyring, read from text by ParseKeys, signs and verifies them. docs/format/token.md
// has the bytes.
//
// Security says who may use a process at all: by tokens, by certificates, or everyone who
// can reach it, which then is nobody beyond its machine; and Visitors which of the pages that are open in its browsers.
//
// # Invariants
//
//   - A token is good only with a signature that one of the keys verifies, by the
//     algorithm of that key: HS256 or HS384 with a shared secret, EdDSA with an Ed25519
//     key. A token can't choose how it is verified.
//   - A token without an expiry is refused, and so is one from the future. Clocks may
//     differ by Leeway.
//   - What of a token's scope isn't understood is never left out of it: the token is
//     refused.
//   - A token is at most MaxToken bytes long.
//   - Errors never quote a token or a key.
//   - Where others can reach it, a process asks everyone who they are, or was said to be insecure.
//
// # Goroutines
//
// None. Nothing here reads a clock either.
//
// # Testing
//
// Tables of keys, and of tokens that are refused, each for one reason; tokens written
// by hand, whose signature is computed by the test; golden tokens of the format's page;
// fuzz targets for tokens and for keys.
package auth
