// Package broker serves journals: append, read, list, apply and fragment listing,
// by gRPC and by plain HTTP.
//
// # What
//
// A Broker holds a replica of each journal that the allocator assigned to it: a
// spool for the newest bytes and an index over local and stored fragments.
// append.go drives the append state machine of append_fsm.go, and appendstream.go with
// what begins with its name serves many appends on one stream; read.go (which
// decides by read_plan.go), list.go, apply.go and fragments.go are one RPC each;
// http.go and what begins with its name map PUT, GET and HEAD of /<journal name>
// onto them, and json.go POST of /v1/journals/. authorize.go and what begins with its
// name let requests in by their tokens (protocol/auth, whose Security says who may connect
// at all), tls.go has the connections. reconcile.go makes replicas as etcd says; replica_tend.go and
// replica_store.go keep one: they roll it, store it, and list its stores. drain.go hands
// all over to others before the broker stops. neighbour.go lets what else is of the process
// be served at the broker's ports. descriptors.go counts files: of journals, none are taken
// that would leave too few for all else.
//
// # Invariants
//
//   - An append is whole or absent. It is acknowledged only once its spool says that
//     it is durable in the broker's mode, and refused by offset or registers only
//     once that on which the refusal rests is durable.
//   - Every body is gathered, in memory and then on disk, before the pipeline is
//     taken: a slow writer delays nobody but itself. So it need not send
//     at a least rate, as in Gazette, unless Config.MinAppendRate asks for one: only who
//     sends nothing at all for Config.IdleTimeout is cut off. The memory of all bodies is bounded.
//   - Appends of one stream to one journal apply in order, and none of a run past one that
//     isn't OK. Each that was received whole has one result.
//   - Readers see only bytes below the watermark, and every byte of them in order.
//     What one client was told of the head the next one sees too.
//   - A stored object is compared with its checksum before any of it is served.
//   - A spool is removed only once a store has its content, or its journal is deleted;
//     and that is believed only of the etcd that the directory was used with.
//   - With keys configured no request is served without a token that allows it, by
//     whatever door it comes; but for /debug/ready, for the debug port, and for what a Neighbour
//     serves, which has a door of its own. A journal out of a token's scope looks as if it weren't there. What carries no claims in its
//     context is the broker's own doing, and may do everything.
//   - A broker that lets in everyone is reached from its own machine only, and there not by pages
//     of other sites: the headers Host and Origin of HTTP are looked at.
//   - A feature that isn't there is refused by its name.
//
// # Goroutines
//
// See the table in broker.go: each replica has three tasks, which tend it, refresh
// its index and persist its fragments.
//
// # Testing
//
// Scenario files for the append state machine and for readers, and for every RPC
// over gRPC and HTTP against a real broker on an embedded etcd (brokertest);
// porcupine for appends with registers and offsets over kills; a disk whose syncs
// are held up or fail; time in bubbles for flushing and refreshing.
package broker
