package roles

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/internal/settings"
)

// OurVariable is the variable of a flag.
func OurVariable(flag string) []string { return []string{settings.EnvName(flag)} }

// MemberVariables are those of a flag of what is a member of a fleet: ours, and Gazette's.
func MemberVariables(flag string) []string {
	if flag == "etcd.lease" {
		return append(settings.Variables(flag), "ETCD_LEASE_TTL")
	}
	return settings.Variables(flag)
}

// BindEnv makes a command take flags that weren't given from the environment, and tells
// of the variables in its help. The first variable that is set counts.
func BindEnv(cmd *cobra.Command, variables func(flag string) []string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			f.Usage += " [$" + strings.Join(variables(f.Name), ", $") + "]"
		}
	})
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		var errs []error
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Changed || f.Name == "help" {
				return
			}
			for _, name := range variables(f.Name) {
				if v := os.Getenv(name); v != "" {
					if err := cmd.Flags().Set(f.Name, v); err != nil {
						errs = append(errs, fmt.Errorf("%s=%q: %w", name, v, err))
					}
					return
				}
			}
		})
		return errors.Join(errs...)
	}
}
