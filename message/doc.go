// Package message will hold message UUIDs, framings, and the sequencing of committed messages.
package message
