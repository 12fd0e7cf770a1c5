// Package consumertest starts hosts of consumers in a test's own process.
//
// # What
//
// New starts a consumer.Host over an etcd and the brokers of a test, which broker/brokertest starts, and returns once it is
// announced. Apply makes shards, Await waits for what their replicas tell, Stop stops the host in order, Kill by force.
//
// # Invariants
//
//   - Hosts end with the test, before the broker that was started before them.
//   - Nothing sleeps: what is waited for is told by etcd.
//
// # Goroutines
//
// One that serves, which Stop ends and awaits.
//
// # Testing
//
// By the tests of package consumer.
package consumertest
