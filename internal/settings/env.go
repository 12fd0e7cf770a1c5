package settings

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// secret marks flags whose values are never shown.
const secret = "broadsheet_secret"

// MarkSecret marks a flag whose value is never shown.
func MarkSecret(flags *pflag.FlagSet, name string) {
	_ = flags.SetAnnotation(name, secret, []string{"true"}) // of a flag that is there
}

// EnvName is the variable of a flag.
func EnvName(flag string) string { return "BROADSHEET_" + shortEnvName(flag) }

func shortEnvName(flag string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(flag))
}

// Variables of a flag, the first that is set counts. Only flags of a group have one in
// Gazette's tools.
func Variables(flag string) []string {
	if strings.Contains(flag, ".") {
		return []string{EnvName(flag), shortEnvName(flag)}
	}
	return []string{EnvName(flag)}
}

// Bind makes a command, and those below it, take flags that weren't given from the
// environment and the INI file, and tells of the variables in its help.
func Bind(cmd *cobra.Command) {
	describe(cmd)
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		f, err := find(cmd.Root())
		if err != nil {
			return err
		}
		return resolve(cmd, f)
	}
}

// describe adds to the help of each flag its variables.
func describe(cmd *cobra.Command) {
	for _, flags := range []*pflag.FlagSet{cmd.PersistentFlags(), cmd.LocalNonPersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" {
				f.Usage += " [$" + strings.Join(Variables(f.Name), ", $") + "]"
			}
		})
	}
	for _, sub := range cmd.Commands() {
		describe(sub)
	}
}

// resolve sets the flags of a command that weren't given.
func resolve(cmd *cobra.Command, f *file) error {
	var errs []error
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if flag.Changed || flag.Name == "help" {
			return
		}
		for _, v := range Variables(flag.Name) {
			if text := os.Getenv(v); text != "" {
				if err := cmd.Flags().Set(flag.Name, text); err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", v, cause(flag, text, err)))
				}
				return
			}
		}
		for _, v := range f.values(commandPath(cmd), flag.Name) {
			if err := cmd.Flags().Set(flag.Name, v.text); err != nil {
				errs = append(errs, fmt.Errorf("%s:%d: %s: %w", f.path, v.line, v.key, cause(flag, v.text, err)))
			}
		}
	})
	return errors.Join(errs...)
}

// cause is what pflag met, without what it says of a command line.
func cause(f *pflag.Flag, text string, err error) error {
	if _, hidden := f.Annotations[secret]; hidden {
		return errors.New("its value isn't valid")
	}
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return fmt.Errorf("%q: %w", text, err)
}

// commandPath are the names of a command without that of the program.
func commandPath(cmd *cobra.Command) []string {
	return strings.Fields(cmd.CommandPath())[1:]
}
