//go:build cgo

package main

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// withAllocators begins this program anew, as the same process, if its environment doesn't say yet how memory is to be allocated: the
// allocators have read it before main. What the environment says already stays. It returns if there is nothing to add, or with an error.
func withAllocators() error {
	env := os.Environ()
	added := len(env)
	for _, v := range allocators() {
		name, _, _ := strings.Cut(v, "=")
		if _, ok := os.LookupEnv(name); !ok {
			env = append(env, v)
		}
	}
	if len(env) == added {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return &os.PathError{Op: "exec", Path: self, Err: unix.Exec(self, os.Args, env)}
}
