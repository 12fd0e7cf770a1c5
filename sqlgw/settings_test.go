package sqlgw

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// toldParameters notes what a client is told.
type toldParameters struct{ out strings.Builder }

func (p *toldParameters) SetParameter(name, value string) {
	fmt.Fprintf(&p.out, "told %s=%s\n", name, value)
}

// TestSettings runs testdata/settings: statements about run-time parameters, one a line, and
// what the client is told and shown. A line "start name=value" begins another session.
func TestSettings(t *testing.T) {
	told := &toldParameters{}
	s := newSettings(told)
	datadriven.RunTest(t, "testdata/settings", func(t *testing.T, d *datadriven.TestData) string {
		for line := range strings.Lines(d.Input) {
			line = strings.TrimSuffix(line, "\n")
			if params, ok := strings.CutPrefix(line, "start"); ok {
				s = newSettings(told)
				note(told, s.start(startupOf(params)))
				continue
			}
			switch line {
			case "told":
				s.reportAll()
			case "timeout":
				fmt.Fprintln(&told.out, s.timeout())
			case "schemas":
				fmt.Fprintf(&told.out, "%q\n", s.schemas())
			default:
				note(told, runSetting(t, s, line, told))
			}
		}
		defer told.out.Reset()
		if told.out.Len() == 0 {
			return "ok\n"
		}
		return told.out.String()
	})
}

func startupOf(text string) map[string]string {
	out := map[string]string{}
	for p := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(p, "=")
		out[name] = value
	}
	return out
}

func note(told *toldParameters, err error) {
	if err != nil {
		told.out.WriteString(errorText(err))
	}
}

// runSetting runs a SET, RESET or SHOW as a session does.
func runSetting(t *testing.T, s *settings, sql string, told *toldParameters) error {
	t.Helper()
	pieces, err := parse.Split(sql)
	require.NoError(t, err)
	parsed, err := parse.Parse(pieces[0])
	if err != nil {
		return parseError(err)
	}
	switch p := parsed.(type) {
	case *parse.Set:
		if len(p.Values) == 0 {
			return s.reset(p.Name, false)
		}
		return s.set(p.Name, settingText(p), p.Local)
	case *parse.Reset:
		return s.reset(p.Name, false)
	case *parse.Show:
		e, value, err := s.get(p.Name)
		if err == nil {
			fmt.Fprintf(&told.out, "%s is %s\n", e.name, value)
		}
		return err
	default:
		t.Fatalf("%T", p)
		return nil
	}
}

// TestSettingsOfAQuery are those of its begin, whatever the session sets until they are asked for.
func TestSettingsOfAQuery(t *testing.T) {
	s := (&Gateway{}).testSession()
	value := func(state viewState, name string) string {
		for _, x := range state.catalog.Settings() {
			if x.Name == name {
				return x.Value
			}
		}
		return "none"
	}
	require.NoError(t, s.settings.set("application_name", "before", false))
	s.beginAs(&transaction{modes: modes{isolation: "repeatable read", readOnly: true}})
	before := s.viewState(nil)
	require.NoError(t, s.settings.set("application_name", "after", true))
	s.tx.modes.readOnly = false
	after := s.viewState(nil)
	require.Equal(t, []string{"before", "on", "repeatable read"}, []string{value(before, "application_name"), value(before, "transaction_read_only"), value(before, "transaction_isolation")})
	require.Equal(t, []string{"after", "off", "repeatable read"}, []string{value(after, "application_name"), value(after, "transaction_read_only"), value(after, "transaction_isolation")})
}
