package style_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// TestScenarios runs testdata/scenarios. A case is one of:
//
//	zone                 each line is shown as SET TIME ZONE takes it, with the engine's name
//	datestyle            each line is a value, after the one before it
//	write, read TYPE     each line is a value, read in the style and written in it; read shows it in the default style
//
// with zone=, dates=, intervals=, digits= and escape, which hold for the case.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s := styleOf(t, d)
			var out strings.Builder
			for line := range strings.SplitSeq(d.Input, "\n") {
				switch d.Cmd {
				case "zone":
					z, err := style.LoadZone(line)
					if unknown, ok := errors.AsType[*style.UnknownZone](err); ok {
						fmt.Fprintf(&out, "%v %s\n", unknown, unknown.Hint)
						continue
					}
					fmt.Fprintf(&out, "%s %s\n", z.Name, z.Engine)
				case "datestyle":
					fmt.Fprintln(&out, s.SetDateStyle(line), s.DateStyle())
				default:
					fmt.Fprintln(&out, through(t, s, d, line))
				}
			}
			return out.String()
		})
	})
}

func styleOf(t *testing.T, d *datadriven.TestData) *style.Style {
	t.Helper()
	s := style.Default()
	for _, arg := range d.CmdArgs {
		value := strings.Join(arg.Vals, ", ")
		switch arg.Key {
		case "zone":
			var err error
			s.Zone, err = style.LoadZone(value)
			require.NoError(t, err)
		case "dates":
			require.True(t, s.SetDateStyle(value))
		case "intervals":
			require.True(t, s.SetIntervalStyle(value))
		case "digits":
			_, err := fmt.Sscan(value, &s.FloatDigits)
			require.NoError(t, err)
		case "escape":
			s.EscapeBytea = true
		}
	}
	again, err := style.FromKey(s.Key())
	require.NoError(t, err)
	require.Equal(t, s.Key(), again.Key())
	return s
}

// noon is when texts are read.
func noon() time.Time { return time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC) }

func through(t *testing.T, s *style.Style, d *datadriven.TestData, text string) string {
	t.Helper()
	typ, err := columnar.TypeFromSQL(strings.ReplaceAll(d.CmdArgs[0].Key, "_", " "), nil)
	require.NoError(t, err)
	v, err := read(s, typ, text)
	if e, ok := errors.AsType[*columnar.InputError](err); ok {
		return e.Code + " " + e.Message
	}
	require.NoError(t, err)
	if d.Cmd == "read" {
		return string(columnar.AppendText(nil, &v, 0))
	}
	return string(s.Append(nil, &v, 0))
}

func read(s *style.Style, t columnar.Type, text string) (columnar.Vector, error) {
	b := columnar.NewVectorBuilder(t)
	err := s.Read(t, text, b, noon())
	return b.Vector(), err
}
