// Package script runs the command line's scenario files, testdata/*.txtar, with the real
// program. It has tests only.
package script
