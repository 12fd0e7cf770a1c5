// Package compat opens data directories that each released version has left. It has tests
// only; testdata/VERSION.tar.gz is made by `go test ./test/compat -make VERSION`, once, with
// the version that is released, and never changed again.
package compat
