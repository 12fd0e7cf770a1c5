// Package consumer will hold shards, transactions, the recovery log and state stores; app.go
// will be the user's contract.
package consumer
