// Command etcd is etcd's server, for the tests that want one of its own process: its
// module can't be installed by its name, as it replaces others.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
