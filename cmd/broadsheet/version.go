package main

import (
	"fmt"
	"runtime"
)

// release is the version that is being worked on; CHANGELOG.md has its history.
const release = "0.1.0"

func version() string {
	return fmt.Sprintf("%s (commit %s, %s, %s)", release, commit, runtime.Version(), gatewayBuild)
}
