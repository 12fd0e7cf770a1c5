// Package exampletest starts what the tests of examples run against: an etcd, a broker and hosts of shards that are real processes,
// which are killed, and started again at the same address.
package exampletest
