package duck

import (
	"sync"
	"time"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"broadsheet.dev/broadsheet/fragments/columnar"
	"broadsheet.dev/broadsheet/sqlgw/style"
)

// styleVariable is DuckDB's variable that holds the key of a connection's style. Functions whose values depend on it get it by macros,
// as their last argument, the empty text if there is none.
const styleVariable = "bs_style"

// sessionStyle is that argument.
const sessionStyle = "coalesce(getvariable('" + styleVariable + "'), '')"

// styledMacros give functions the style of the connection that calls them.
func styledMacros() []string {
	return []string{
		"CREATE MACRO bs_text(x) AS bs_text_in(x, " + sessionStyle + ")",
		"CREATE MACRO bs_to_char(x, f) AS bs_to_char_in(x, f, " + sessionStyle + ")",
		"CREATE MACRO bs_to_timestamp(x, f) AS bs_to_timestamp_in(x, f, " + sessionStyle + ")",
		"CREATE MACRO bs_read_date(x) AS bs_read_date_in(x, " + sessionStyle + ")",
		"CREATE MACRO bs_read_time(x) AS bs_read_time_in(x, " + sessionStyle + ")",
		"CREATE MACRO bs_read_timestamp(x) AS bs_read_timestamp_in(x, " + sessionStyle + ")",
		"CREATE MACRO bs_read_timestamptz(x) AS bs_read_timestamptz_in(x, " + sessionStyle + ")",
		"CREATE MACRO bs_read_interval(x) AS bs_read_interval_in(x, " + sessionStyle + ")",
	}
}

// readers cast values of any type to one of time, texts as they are read in the connection's style:
//
//	bs_read_date(any), bs_read_time(any), bs_read_timestamp(any), bs_read_timestamptz(any), bs_read_interval(any)
func readers() []scalar {
	var out []scalar
	for name, kind := range map[string]columnar.Kind{
		"date": columnar.Date, "time": columnar.Time, "timestamp": columnar.Timestamp, "timestamptz": columnar.TimestampTZ, "interval": columnar.Interval,
	} {
		t := columnar.Type{Kind: kind}
		out = append(out, scalar{
			name: "bs_read_" + name + "_in", args: []mapping.Type{mapping.TypeAny, mapping.TypeVarchar}, out: t, clock: true,
			styled: func(s *style.Style, in []cells, row int) (any, error) {
				b := columnar.NewVectorBuilder(t)
				if err := s.Read(t, string(in[0].outermost(row)), b, time.Now()); err != nil {
					return nil, err
				}
				v := b.Vector()
				return string(columnar.AppendText(nil, &v, 0)), nil
			},
		})
	}
	return out
}

// maxStyles bounds the styles that are remembered.
const maxStyles = 256

// styles remembers those that keys stand for.
type styles struct {
	mu    sync.Mutex
	known map[string]*style.Style
}

func (s *styles) of(key string) (*style.Style, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.known[key]; found != nil {
		return found, nil
	}
	made := style.Default()
	if key != "" {
		var err error
		if made, err = style.FromKey(key); err != nil {
			return nil, err
		}
	}
	if s.known == nil || len(s.known) == maxStyles {
		s.known = map[string]*style.Style{}
	}
	s.known[key] = made
	return made, nil
}
