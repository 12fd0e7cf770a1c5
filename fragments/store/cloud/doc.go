// Package cloud has the drivers of s3, gs, azure and azure-ad stores.
//
// # What
//
// Drivers returns them for a store.Registry. A bucket is what they have in common: it
// finds its credentials when it is first used, cuts bodies into parts, and tells errors
// apart; a service is what a provider's library does. S3 goes through the AWS SDK, whose
// multipart calls take a condition and an abort; gs through gocloud.dev/blob; Azure
// through its SDK, as gocloud.dev rewrites names that have a percent sign.
//
// # Invariants
//
//   - Every request that creates an object has the condition that there is none: a
//     retry, a late one or a second writer never replaces it. A multipart upload that
//     fails is aborted; where the provider has no abort, its parts are never visible.
//   - A Put holds one part of the body in memory, and what the provider's library needs
//     to send it, however large the object.
//   - No connection of a store goes to an address that is private, on this machine or
//     link-local, unless its entry names the address; nor is plain http spoken but to
//     such an address. The address that is dialled is checked, after names are resolved.
//     Redirects aren't followed, proxies not used.
//   - Errors tell the status and the code of an answer, nothing else of it: no key,
//     token, signature or signed URL.
//
// # Goroutines
//
// Those of net/http for open connections, and of the providers' libraries during a
// call. Close ends idle ones.
//
// # Testing
//
// The suite of storetest against a real server per provider; a proxy before it that
// fails each request of a Put in turn, in each way that a network has.
package cloud
