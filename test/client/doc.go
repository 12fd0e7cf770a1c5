// Package client tests the client library against a real broker.
package client
