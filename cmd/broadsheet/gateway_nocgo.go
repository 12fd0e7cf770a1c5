//go:build !cgo

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// gatewayBuild tells whether this binary can serve SQL.
const gatewayBuild = "without the SQL gateway"

const canServeSQL = false

// errNoGateway: DuckDB and PostgreSQL's grammar need cgo.
var errNoGateway = withHint(errors.New("this binary was built without the SQL gateway"), "build it with CGO_ENABLED=1: 'make build'")

func gatewayCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "gateway",
		Short:              "Serve SQL over the journals of a cluster (not in this build)",
		DisableFlagParsing: true,
		RunE:               func(*cobra.Command, []string) error { return errNoGateway },
	}
}
