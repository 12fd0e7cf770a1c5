package sqlgw

import (
	"context"
	"slices"
	"strings"

	"broadsheet.dev/broadsheet/pgwire"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

func (s *session) set(ctx context.Context, w pgwire.ResultWriter, p *parse.Set) error {
	if p.Local && !s.inTransaction().block {
		s.warn(w, "25P01", "SET LOCAL can only be used in transaction blocks")
	}
	var value *string
	if len(p.Values) > 1 && !isListSetting(p.Name) {
		return sqlError("22023", "SET %s takes only one argument", p.Name)
	}
	if len(p.Values) > 0 {
		text := settingText(p)
		value = &text
	}
	if err := s.assign(ctx, p.Name, value, p.Local); err != nil {
		return err
	}
	w.Complete("SET")
	return nil
}

// assign changes a setting; nil is its first value. Those of the transaction are changed there.
func (s *session) assign(ctx context.Context, name string, value *string, local bool) error {
	e, err := s.settings.find(name)
	if err != nil {
		return err
	}
	if e.name == settingRole || e.name == settingAuthority {
		return s.become(ctx, e, value, local)
	}
	mode := transactionMode(e.name)
	if mode == "" {
		s.remember()
		if value == nil {
			return s.settings.reset(name, local)
		}
		return s.settings.set(name, *value, local)
	}
	to := s.settings.value("default_" + e.name)
	if value != nil {
		if to, err = e.normal(*value); err != nil {
			return err
		}
	}
	choice := parse.No
	if to == "on" {
		choice = parse.Yes
	}
	var modes parse.TransactionModes
	switch mode {
	case "isolation":
		modes.Isolation = to
	case "read_only":
		modes.ReadOnly = choice
	default:
		modes.Deferrable = choice
	}
	return s.inTransaction().set(modes)
}

// transactionMode is the mode that a setting is of the present transaction; "" for other settings.
func transactionMode(name string) string {
	mode, _ := strings.CutPrefix(name, "transaction_")
	if mode == name || !slices.Contains([]string{"isolation", "read_only", "deferrable"}, mode) {
		return ""
	}
	return mode
}

// modes are those of the present transaction, or of the next.
func (s *session) modes() modes {
	if s.tx != nil {
		return s.tx.modes
	}
	return s.defaultModes()
}

// shown is the value of a setting, as SHOW tells it.
func shown(of *settings, m modes, name string) string {
	is := map[bool]string{true: "on", false: "off"}
	switch transactionMode(name) {
	case "isolation":
		return m.isolation
	case "read_only":
		return is[m.readOnly]
	case "deferrable":
		return is[m.deferrable]
	default:
		return of.value(name)
	}
}

// shownNow is shown, of settings that the session itself makes too.
func (s *session) shownNow(ctx context.Context, name string) (string, error) {
	if name == settingLastCut {
		return s.lastCut(ctx)
	}
	return shown(s.settings, s.modes(), name), nil
}

// isListSetting tells whether a setting is a list of names.
func isListSetting(name string) bool {
	return strings.EqualFold(name, "search_path") || strings.EqualFold(name, "DateStyle")
}

// settingText is the value of a SET as one text. A list of names has quotes where they need
// them: each is one name, whatever is in it.
func settingText(p *parse.Set) string {
	values := slices.Clone(p.Values)
	for i, v := range values {
		if strings.EqualFold(p.Name, "search_path") {
			values[i] = quotePath(v)
		}
	}
	return strings.Join(values, ", ")
}

func (s *session) show(p *parse.Show) (*statement, error) {
	if p.Name == "all" {
		return s.lists(textColumns("name", "setting", "description"), "SHOW", s.showAll), nil
	}
	e, _, err := s.settings.get(p.Name)
	if err != nil {
		return nil, err
	}
	return s.utility(textColumns(e.name), func(ctx context.Context, w pgwire.ResultWriter) error {
		value, err := s.shownNow(ctx, e.name)
		if err != nil {
			return err
		}
		if err := textRow(w, value); err != nil {
			return err
		}
		w.Complete("SHOW")
		return nil
	}), nil
}

// showAll lists the settings that the server has.
func (s *session) showAll(ctx context.Context) ([][]string, error) {
	about := settingDescriptions()
	var out [][]string
	for _, e := range s.settings.table {
		value, err := s.shownNow(ctx, e.name)
		if err != nil {
			return nil, err
		}
		out = append(out, []string{e.name, value, about[e.name]})
	}
	return out, nil
}

// reset gives a setting its first value; all of them with the name "".
func (s *session) reset(ctx context.Context, name string) error {
	if name != "" {
		return s.assign(ctx, name, nil, false)
	}
	s.remember()
	return s.settings.reset("", false)
}

// setConstraints changes nothing: constraints aren't checked.
func (s *session) setConstraints() *statement {
	return s.utility(nil, func(_ context.Context, w pgwire.ResultWriter) error {
		if !s.inTransaction().block {
			s.warn(w, "25P01", "SET CONSTRAINTS can only be used in transaction blocks")
		}
		w.Complete("SET CONSTRAINTS")
		return nil
	})
}
