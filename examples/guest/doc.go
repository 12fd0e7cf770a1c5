// Package guest has programs in Python, JavaScript and shell that are the application of a shard; its test runs them. See README.md.
package guest
