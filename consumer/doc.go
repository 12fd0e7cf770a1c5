// Package consumer runs shards: programs that read journals, keep state and publish messages, each effect exactly once.
//
// # What
//
// app.go is the contract of applications, from beginning to end. A Host runs the shards that are assigned to its process:
//
//	host.go, session.go     a process among those of the application: what it announces, and keeps
//	directory.go, assign.go what etcd says: shards, members, assignments; and which replicas to run by it
//	replica.go              the life of a replica: IDLE, BACKFILL, STANDBY, PRIMARY, FAILED, and again
//	lead.go, primary.go, commit.go  a life as primary: transactions, as package txn's machine says
//	read.go                 messages of the sources
//	deadletter.go           messages that are skipped
//	recovery.go, hints.go   what is asked of a recovery log, and its hints in etcd
//	logs.go                 recovery logs that are journals
//	resolve.go, shard.go    who has a shard, and what its application sees of it
//	server.go, service.go, apply.go  the RPCs; json.go is the gateway, refuse.go what it lets in
//	authorize.go, gate.go   who is let in, and while the host serves, by its own servers or somebody else's
//
// Package txn decides when transactions begin and end, shards has the protocol, store is what state is kept in, and
// recoverylog rebuilds its files.
//
// # Invariants
//
//   - C1, C2: of each message that is committed, the store and the output journals have the effect of one transaction.
//   - C3: acknowledgements are appended once their transaction's commit is done, and again by who recovers it.
//   - A replica writes its status to etcd only under its own assignment, which has the create revision that it began
//     with. Of a life of it, statuses only go forward.
//   - What a shard has read and not consumed is bounded, in messages and in bytes.
//   - A failure is in the shard's status, and in its metrics, until the next attempt has come further.
//
// # Goroutines
//
// See Host for those of a process, and replica for those of a shard. All are awaited by Host.Serve.
//
// # Testing
//
// Scenarios against a real broker and etcd in process, with stores that fail, applications that defer and fail, and
// hosts that come and go: consumertest has the harness.
package consumer
