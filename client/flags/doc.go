// Package flags is what the command lines of the brokers' clients have in common: where brokers are, and who asks them.
//
// # What
//
// Brokers are the flags, of which a client's configuration is made. Credentials are either a token that was given, or keys
// of the brokers' by which a token is signed for each request.
//
// # Invariants
//
//   - A signed token allows what its request asks for, of its journal alone, and not for long.
//   - No error tells a key or a token.
//
// # Goroutines
//
// None.
//
// # Testing
//
// tokens_test.go.
package flags
