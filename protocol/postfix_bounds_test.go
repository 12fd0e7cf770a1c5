package protocol_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/protocol"
)

// TestPathPostfixIsBounded has templates that would run for ever or make strings of
// gigabytes: each is refused, at once.
func TestPathPostfixIsBounded(t *testing.T) {
	spool := protocol.PostfixSpool{End: 1 << 50, FirstAppendTime: time.Date(2026, 11, 11, 0, 0, 0, 0, time.UTC)}
	for text, want := range map[string]string{
		`{{ range .Spool.End }}{{ end }}`:                                                                    "may range over",
		`{{ range 9223372036854775807 }}{{ end }}`:                                                           "may range over",
		`{{ if false }}x{{ else }}{{ range $i := 1000 }}{{ end }}{{ end }}`:                                  "may range over",
		`{{ with .Name }}{{ range len . }}{{ end }}{{ end }}`:                                                "may range over",
		`{{ range .Labels }}{{ range $.Labels }}{{ end }}{{ end }}`:                                          "range in a range",
		`{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}`:                                      "define other templates",
		`{{ template "postfix" . }}`:                                                                         "call other templates",
		`{{ block "a" . }}x{{ end }}`:                                                                        "define other templates",
		`{{ printf "%999999d" 1 | len }}`:                                                                    "too wide",
		`{{ printf "%*d" 999999 1 | len }}`:                                                                  "too wide",
		`{{ printf "%.999999f" 1.0 | len }}`:                                                                 "too wide",
		`{{ $x := "\\" }}` + strings.Repeat(`{{ $x = js $x }}`, 40):                                          "made a string of",
		`{{ $x := "aa" }}` + strings.Repeat(`{{ $x = print $x $x }}`, 40):                                    "made a string of",
		`{{ $x := "11" }}` + strings.Repeat(`{{ $x = $.Spool.FirstAppendTime.Format $x }}`, 40):              "made a string of",
		`{{ $x := "11" }}` + strings.Repeat(`{{ $x = $.Spool.FirstAppendTime.UTC.Format $x }}`, 40):          "made a string of",
		`{{ $x := "11" }}` + strings.Repeat(`{{ $x = $.Spool.PostfixSpool.FirstAppendTime.Format $x }}`, 40): "can't evaluate field PostfixSpool",
		`{{ .Spool.FirstAppendTime.In nil }}`:                                                                "can't evaluate field In",
		strings.Repeat(`{{ .Name }}/`, 200) + "x":                                                            "longer than 512 bytes",
		strings.Repeat("x", 5000):                                                                            "template of 5000 bytes",
	} {
		spec := &protocol.JournalSpec{Name: "acme/journal", Fragment: &protocol.JournalSpec_Fragment{PathPostfixTemplate: text}}
		done := make(chan error, 1)
		go func() {
			_, err := spec.PathPostfix(spool)
			done <- err
		}()
		select {
		case err := <-done:
			require.ErrorContains(t, err, want, text)
		case <-time.After(time.Minute):
			require.Fail(t, "it runs and runs", text)
		}
	}
}

// TestPathPostfixSeesNoMessages proves that a template can't get at a message, whose
// methods could change the spec, or anything that messages share.
func TestPathPostfixSeesNoMessages(t *testing.T) {
	for _, text := range []string{
		`{{ .LabelSet.ProtoReflect }}`, `{{ .ProtoReflect }}`, `{{ .JournalSpec.ProtoReflect }}`, `{{ .Spool.Registers.ProtoReflect }}`,
		`{{ (index .Labels 0).ProtoReflect }}`, `{{ .Suspend.ProtoReflect }}`, `{{ .Fragment.ProtoReflect }}`,
		`{{ .Spool.CompressionCodec.Descriptor }}`, `{{ .Fragment.CompressionCodec.Descriptor }}`, `{{ .Flags.Descriptor }}`,
		`{{ .Suspend.Level.Descriptor }}`, `{{ .LabelSet.AddValue "bb" "2" }}`,
	} {
		spec := &protocol.JournalSpec{
			Name: "acme/journal", Labels: protocol.MustLabelSet("aa", "1"), Suspend: new(protocol.JournalSpec_Suspend),
			Fragment: &protocol.JournalSpec_Fragment{PathPostfixTemplate: text},
		}
		_, err := spec.PathPostfix(protocol.PostfixSpool{Registers: protocol.MustLabelSet("aa", "1")})
		require.ErrorContains(t, err, "can't evaluate field", text)
	}
}
