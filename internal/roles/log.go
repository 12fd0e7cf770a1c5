package roles

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"

	"broadsheet.dev/broadsheet/internal/speech"
)

// Log are the flags about a program's log.
type Log struct{ Level, Format string }

// Add the flags.
func (l *Log) Add(f *pflag.FlagSet) {
	f.StringVar(&l.Level, "log.level", "info", "least level that is logged: debug, info, warn, error")
	f.StringVar(&l.Format, "log.format", "text", "format of the log: text, json")
}

// gazetteLevels are levels that Gazette has more than we do.
var gazetteLevels = map[string]string{"trace": "debug", "warning": "warn", "fatal": "error", "panic": "error"}

// Logger that writes to w.
func (l *Log) Logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	name := l.Level
	if theirs, ok := gazetteLevels[strings.ToLower(name)]; ok {
		name = theirs
	}
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return nil, speech.WithHint(fmt.Errorf("unknown log level %q", l.Level), "levels are debug, info, warn and error")
	}
	opts := &slog.HandlerOptions{Level: level}
	switch l.Format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	default:
		return nil, speech.WithHint(fmt.Errorf("unknown log format %q", l.Format), "formats are text and json")
	}
}
