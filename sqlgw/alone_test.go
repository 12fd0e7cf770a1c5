package sqlgw

import (
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// about answers what is about the catalog, here all that is named so.
type about struct{}

func (about) of(name string) (*parse.Template, error) {
	switch name {
	case "catalog":
		return parse.NewTemplate("1")
	case "refused":
		return nil, errBroken()
	default:
		return nil, nil //nolint:nilnil // as of parse.Dialect
	}
}

func (a about) Function(c parse.Call) (*parse.Template, error)     { return a.of(c.Name) }
func (a about) Cast(c parse.Cast) (*parse.Template, error)         { return a.of(c.Name) }
func (a about) Operator(o parse.Operator) (*parse.Template, error) { return a.of(o.Name) }

// TestAlone: a query is alone that names no relation, and nothing that the dialect answers or refuses.
func TestAlone(t *testing.T) {
	for name, alone := range map[string]bool{"other": true, "catalog": false, "refused": false} {
		for _, ask := range []func(parse.Dialect) (*parse.Template, error){
			func(d parse.Dialect) (*parse.Template, error) { return d.Function(parse.Call{Name: name}) },
			func(d parse.Dialect) (*parse.Template, error) { return d.Cast(parse.Cast{Name: name}) },
			func(d parse.Dialect) (*parse.Template, error) { return d.Operator(parse.Operator{Name: name}) },
		} {
			q := new(query)
			want, wantErr := ask(about{})
			got, err := ask(noting{Dialect: about{}, answered: &q.answered})
			require.Equal(t, want, got)
			require.Equal(t, wantErr, err)
			require.Equal(t, alone, q.alone(), name)
		}
	}
	require.False(t, (&query{sources: make([]source, 1)}).alone())
}
