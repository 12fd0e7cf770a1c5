package journalspace

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/prototext"

	"broadsheet.dev/broadsheet/protocol"
	"broadsheet.dev/broadsheet/protocol/specyaml"
)

// TestScenarios:
//
//	parse      YAML -> the tree as it is formatted again
//	flatten    YAML -> a document for each journal, with what it inherits
//	changes    YAML -> what a broker is asked for
//	hoist      YAML, documents of whole journals -> the tree
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out, err := run(d)
			if err != nil {
				return "error: " + err.Error() + "\n"
			}
			return out
		})
	})
}

func run(d *datadriven.TestData) (string, error) {
	if d.Cmd == "hoist" {
		var journals []Journal
		for doc := range strings.SplitSeq(d.Input, "---\n") {
			n, err := Parse([]byte(doc))
			if err != nil {
				return "", err
			}
			journals = append(journals, Journal{Spec: n.Spec, Revision: n.Revision})
		}
		return format(Hoist(journals))
	}
	n, err := Parse([]byte(d.Input))
	if err != nil {
		return "", err
	}
	switch d.Cmd {
	case "parse":
		return format(n)
	case "flatten":
		journals, err := n.Flatten()
		if err != nil {
			return "", err
		}
		var parts []string
		for _, j := range journals {
			leaf := &Node{Spec: j.Spec, Revision: j.Revision}
			if j.Delete {
				leaf.Delete = &j.Delete
			}
			text, err := format(leaf)
			if err != nil {
				return "", err
			}
			parts = append(parts, text)
		}
		return strings.Join(parts, "---\n"), nil
	case "changes":
		changes, err := n.Changes()
		if err != nil {
			return "", err
		}
		var b strings.Builder
		for _, c := range changes {
			what := "delete " + c.GetDelete()
			if c.GetUpsert() != nil {
				what = "upsert " + c.GetUpsert().GetName()
			}
			fmt.Fprintf(&b, "%s at revision %d\n", what, c.GetExpectModRevision())
		}
		return b.String(), nil
	}
	return "", fmt.Errorf("unknown command %s", d.Cmd)
}

func format(n *Node) (string, error) {
	if n == nil {
		return "", nil
	}
	b, err := n.Format()
	return string(b), err
}

// TestFieldsAreThoseOfTheProtocol: a spec with every field set is written and read as it is, so
// that a field that is new in the protocol can't be lost by an edit.
func TestFieldsAreThoseOfTheProtocol(t *testing.T) {
	var spec protocol.JournalSpec
	require.NoError(t, prototext.Unmarshal([]byte(`
		name: "a/journal" replication: 3
		labels { labels { name: "content-type" value: "text/csv" } labels { name: "x/y" } }
		fragment {
			length: 65536 compression_codec: GZIP stores: "s3://one/" stores: "gs://two/?find=a&replace=b"
			refresh_interval { seconds: 90 } retention { seconds: 86400 } flush_interval { seconds: 600 nanos: 5 }
			path_postfix_template: "date={{ .Spool.FirstAppendTime.Format \"2006-01-02\" }}"
		}
		flags: 1 max_append_rate: 12345 suspend { level: PARTIAL offset: 99 }`), &spec))
	var unset []string
	for i := range spec.ProtoReflect().Descriptor().Fields().Len() {
		if fd := spec.ProtoReflect().Descriptor().Fields().Get(i); !spec.ProtoReflect().Has(fd) {
			unset = append(unset, string(fd.Name()))
		}
	}
	require.Empty(t, unset, "fields that this test doesn't have")
	text, err := format(Hoist([]Journal{{Spec: &spec, Revision: 7}}))
	require.NoError(t, err)
	n, err := Parse([]byte(text))
	require.NoError(t, err)
	requireEqual(t, &spec, n.Spec)
	require.Equal(t, int64(7), n.Revision)
}

func TestTooMuch(t *testing.T) {
	_, err := Parse([]byte(strings.Repeat(" ", specyaml.MaxText+1)))
	require.ErrorContains(t, err, "expected at most")

	deep := strings.Repeat("{children: [", specyaml.MaxDepth+2) + strings.Repeat("]}", specyaml.MaxDepth+2)
	_, err = Parse([]byte(deep))
	require.ErrorContains(t, err, "nested too deeply")

	// Each level names the one before twice.
	var bomb strings.Builder
	bomb.WriteString("children:\n- &a0 {comment: x}\n")
	for i := 1; i < 40; i++ {
		prev := strconv.Itoa(i - 1)
		fmt.Fprintf(&bomb, "- &a%d {children: [*a%s, *a%s]}\n", i, prev, prev)
	}
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(bomb.String()), &document))
	_, err = (&reader{&specyaml.Reader{Left: 10_000}}).node(document.Content[0], 0)
	require.ErrorContains(t, err, "too many values")
}
