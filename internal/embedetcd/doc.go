// Package embedetcd runs one etcd member inside this process, reached over a unix
// socket only.
//
// # What
//
// `broadsheet serve` needs an etcd and its user shouldn't: Start opens a data
// directory, serves it on a socket in a run directory and returns when a
// linearizable read works. It is a real etcd with its fsync on: what is written
// survives the process. Tests of the packages that use etcd run against it too.
//
// # Invariants
//
//   - One process has a data directory at a time; a second one is refused by name.
//   - Data written by a newer format, or a newer minor version of etcd, is refused
//     and left untouched.
//   - Nothing listens on TCP; the socket belongs to a directory of mode 0700.
//   - The ids of the cluster and of its member are drawn at random when a data
//     directory is new, and stay with it.
//   - After Close nothing of it runs, and its locks and socket are gone.
//
// # Goroutines
//
// etcd's own, from Start until Close.
//
// # Testing
//
// Restarts that keep data, two servers side by side, a locked directory, newer
// data, a crash between the steps of the first start, and goleak.
package embedetcd
