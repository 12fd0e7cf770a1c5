package settings

import (
	"bufio"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Command is print-config.
func Command() *cobra.Command {
	return &cobra.Command{
		Use:   "print-config",
		Short: "Print the settings of all tools, as they are now, as an INI file",
		Long: `Print the settings of all tools as an INI file: what the environment says, else the INI file that was
found, else the default. What it prints may be kept as broadsheet.ini. Secrets aren't printed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return printConfig(cmd) },
	}
}

func printConfig(cmd *cobra.Command) error {
	f, err := find(cmd.Root())
	if err != nil {
		return err
	}
	w := bufio.NewWriter(cmd.OutOrStdout())
	last := ""
	walk(cmd.Root(), func(c *cobra.Command, flag *pflag.Flag) {
		if err == nil && flag.Value.String() == flag.DefValue {
			err = resolve(c, f)
		}
		section := strings.Join(commandPath(c), ".")
		key := flag.Name
		if group, rest, ok := strings.Cut(flag.Name, "."); ok {
			section, key = section+"."+camel(group), rest
		}
		if section != last {
			if last != "" {
				_, _ = w.WriteString("\n")
			}
			_, _ = w.WriteString("[" + section + "]\n")
			last = section
		}
		writeFlag(w, camel(key), flag)
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

// writeFlag writes a key and its value, or each of its values.
func writeFlag(w *bufio.Writer, key string, flag *pflag.Flag) {
	usage, _, _ := strings.Cut(flag.Usage, " [$")
	_, _ = w.WriteString("; " + usage + "\n")
	values := []string{flag.Value.String()}
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		values = list.GetSlice()
	}
	_, hidden := flag.Annotations[secret]
	for _, v := range values {
		switch {
		case hidden && v != "":
			_, _ = w.WriteString("; " + key + " is set, and isn't printed\n")
		case v == "" || hidden:
			_, _ = w.WriteString("; " + key + " =\n")
		default:
			if strconv.Quote(v) != `"`+v+`"` || strings.TrimSpace(v) != v {
				v = strconv.Quote(v)
			}
			_, _ = w.WriteString(key + " = " + v + "\n")
		}
	}
	if len(values) == 0 {
		_, _ = w.WriteString("; " + key + " =\n")
	}
}

// camel is the key of a flag, or its group, as Gazette's tools write it.
func camel(name string) string {
	var b strings.Builder
	up := true
	for _, r := range name {
		if r == '-' || r == '.' {
			up = true
			continue
		}
		if up {
			r = unicode.ToUpper(r)
		}
		up = false
		b.WriteRune(r)
	}
	return b.String()
}
