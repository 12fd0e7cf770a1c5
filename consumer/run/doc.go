// Package run is the main of a program that runs the shards of one application.
//
// # What
//
//	func main() { run.Main(new(myApplication), run.Options{Name: "my-application"}) }
//
// Command is the same as a command of a larger program. Either has the flags of Gazette's consumers, each with its variable in
// the environment: where etcd and brokers are, where this process listens and what others call it, who may use it, and its log.
// An application adds its own by Options.Flags, and looks at them in Options.Init.
//
// It prints where it listens, and "ready" once it is given shards. SIGTERM or Ctrl-C makes it leave: it goes on until others
// have its shards, or nobody can take them, for --consumer.drain at most, and exits with 0. A second one ends it at once, which
// loses nothing either.
//
// # Invariants
//
//   - A flag whose value isn't acted on is an error, which names the flag and says what to do.
//   - Where other machines could reach it, clients are asked who they are, unless --consumer.insecure is given.
//   - Two processes never share a data directory.
//
// # Goroutines
//
//	consumer/serve     runs the host; ends with it
//	consumer/announce  prints that it is ready; ends with that, or with the host
//	consumer/debug     serves diagnostics at a port of their own, if there is one, until the host has ended
//
// All are awaited before the command returns.
//
// # Testing
//
// run_test.go runs programs in process, with a real broker and etcd; those of examples/ are others.
package run
