// Package broker serves journals: append, read, list, apply and fragment listing,
// by gRPC and by plain HTTP.
//
// # What
//
// A Broker holds a replica of each journal that the allocator assigned to it: a
// spool for the newest bytes and an index over local and stored fragments.
// append.go drives the append state machine of append_fsm.go; read.go, list.go,
// apply.go and fragments.go are one RPC each; http.go maps PUT, GET and HEAD of
// /<journal name> onto them.
//
// # Invariants
//
//   - An append is whole or absent. It is acknowledged only once its spool says that
//     it is durable in the broker's mode.
//   - Every body is gathered, in memory and then on disk, before the pipeline is
//     taken: a slow writer delays nobody but itself.
//   - Readers see only bytes below the watermark, and every byte of them in order.
//   - A feature that isn't there is refused by its name.
//
// # Goroutines
//
// See the table in broker.go: each replica has one task, which refreshes its index,
// persists its fragments and flushes by time.
//
// # Testing
//
// Scenario files for the append state machine; a real broker on an embedded etcd
// (brokertest) for every RPC over gRPC and HTTP; porcupine for appends with
// registers and offsets.
package broker
