// Package flags is what the command lines of clients of brokers, and of the processes of a fleet, have in common.
//
// # What
//
// Brokers are the flags, of which a client's configuration is made. Credentials are either a token that was given, or keys
// of the brokers' by which a token is signed for each request.
//
// Process are the flags of a broker or a consumer: who it is, where it listens and what others call it, who may use it, and how
// it leaves. Its etcd and its log are of package roles.
//
// # Invariants
//
//   - A signed token allows what its request asks for, of its journal alone, and not for long.
//   - No error tells a key or a token.
//   - Where other machines could reach a process, clients are asked who they are, unless its operator wants none to be.
//
// # Goroutines
//
// None.
//
// # Testing
//
// tokens_test.go; and the tests of consumer/run and the scripts of test/script, which start processes.
package flags
