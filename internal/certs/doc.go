// Package certs reads certificates and keys from files, and reads them again when the
// files change.
//
// # What
//
// A Source is made of Files: a certificate with its key, and the certificates of the
// authorities that the other side's are signed by. It configures servers (which demand
// a certificate of their clients if authorities are given) and gRPC clients.
//
// # Invariants
//
//   - TLS is of version 1.2 at least.
//   - Each handshake uses what the files had a second ago or later: whole and valid, or
//     else what they had before. What can't be used is logged once, and never ends a
//     server.
//   - Files of which one is missing or doesn't fit are refused at the start.
//   - A client that resumes a session has to show its certificate again.
//
// # Goroutines
//
// None: files are looked at when there is a handshake.
//
// # Testing
//
// Servers and clients over loopback, with certificates that the test makes, of
// authorities that come and go.
package certs
