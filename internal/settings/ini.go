package settings

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// value of a key in an INI file.
type value struct {
	key, text string
	line      int
}

// file is a parsed INI file; nil has no values.
type file struct {
	path     string
	sections map[string]map[string][]value // by plain names
	order    []sectionKey
}

type sectionKey struct {
	section, key string
	line         int
}

// find returns the INI file that counts, nil if there is none, once all it says is
// known to be of a command.
func find(root *cobra.Command) (*file, error) {
	dirs := []string{"."}
	if home, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, ".config", "broadsheet"), filepath.Join(home, ".config", "gazette"))
	}
	for _, dir := range dirs {
		for _, name := range []string{"broadsheet.ini", "gazctl.ini"} {
			path := filepath.Join(dir, name)
			r, err := os.Open(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("settings: %w", err)
			}
			f, err := parse(path, r)
			if err = errors.Join(err, r.Close()); err != nil {
				return nil, err
			}
			return f, f.check(root)
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// parse reads sections, and keys with values. Values may be quoted as in Go; a key may
// be there several times.
func parse(path string, r io.Reader) (*file, error) {
	f := &file{path: path, sections: map[string]map[string][]value{}}
	section := ""
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == ';' || line[0] == '#':
			continue
		case line[0] == '[':
			if !strings.HasSuffix(line, "]") {
				return nil, fmt.Errorf("%s:%d: section isn't closed by ']'", path, n)
			}
			section = sectionName(line[1 : len(line)-1])
			continue
		}
		key, text, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("%s:%d: is neither a section nor a key with a value", path, n)
		}
		key, text = strings.TrimSpace(key), strings.TrimSpace(text)
		if strings.HasPrefix(text, `"`) {
			unquoted, err := strconv.Unquote(text)
			if err != nil {
				return nil, fmt.Errorf("%s:%d: value of %s isn't quoted well", path, n, key)
			}
			text = unquoted
		}
		if f.sections[section] == nil {
			f.sections[section] = map[string][]value{}
		}
		f.sections[section][plain(key)] = append(f.sections[section][plain(key)], value{key, text, n})
		f.order = append(f.order, sectionKey{section, plain(key), n})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// plain is a name without case and punctuation, so that CertKeyFile is cert-key-file.
func plain(s string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "").Replace(s))
}

// sectionName is a section without case. Gazette calls the group of --log "Logging".
func sectionName(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if before, ok := strings.CutSuffix(s, ".logging"); ok {
		return before + ".log"
	}
	return s
}

// places are the sections and keys in which a flag of a command may stand.
func places(command []string, flag string) []sectionKey {
	var out []sectionKey
	for n := len(command); n > 0; n-- {
		section := strings.Join(command[:n], ".")
		out = append(out, sectionKey{section: section, key: plain(flag)})
		for i := range len(flag) {
			if flag[i] == '.' {
				out = append(out, sectionKey{section: section + "." + flag[:i], key: plain(flag[i+1:])})
			}
		}
	}
	return out
}

// values of a flag of a command; none if the file doesn't have it.
func (f *file) values(command []string, flag string) []value {
	if f == nil {
		return nil
	}
	for _, p := range places(command, flag) {
		if v := f.sections[p.section][p.key]; len(v) != 0 {
			return v
		}
	}
	return nil
}

// check that every key of the file is a flag of some command.
func (f *file) check(root *cobra.Command) error {
	sections, known := map[string]bool{}, map[sectionKey]bool{}
	walk(root, func(cmd *cobra.Command, flag *pflag.Flag) {
		for _, p := range places(commandPath(cmd), flag.Name) {
			sections[p.section], known[p] = true, true
		}
	})
	for _, k := range f.order {
		switch {
		case !sections[k.section]:
			return fmt.Errorf("%s:%d: section %q is of no command", f.path, k.line, k.section)
		case !known[sectionKey{section: k.section, key: k.key}]:
			return fmt.Errorf("%s:%d: section %q has no key %q", f.path, k.line, k.section, f.sections[k.section][k.key][0].key)
		}
	}
	return nil
}

// walk calls fn for each flag of each command that takes settings, where it is defined.
func walk(root *cobra.Command, fn func(*cobra.Command, *pflag.Flag)) {
	for _, cmd := range root.Commands() {
		if root.Parent() == nil && cmd.PersistentPreRunE == nil {
			continue // which takes its flags from the environment only
		}
		for _, flags := range []*pflag.FlagSet{cmd.PersistentFlags(), cmd.LocalNonPersistentFlags()} {
			flags.VisitAll(func(f *pflag.Flag) {
				if f.Name != "help" && !f.Hidden {
					fn(cmd, f)
				}
			})
		}
		walk(cmd, fn)
	}
}
