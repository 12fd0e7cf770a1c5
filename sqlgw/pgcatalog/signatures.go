package pgcatalog

import (
	"context"
	"strconv"
	"strings"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// callable is a function or an operator: what it is called, and with its arguments' types.
type callable struct {
	oid             int64
	name, signature string
	arguments       string // as pg_get_function_arguments says
}

// vectorOIDs are the OIDs of an oidvector, as rows hold it.
func vectorOIDs(list string) []int64 {
	var out []int64
	for word := range strings.FieldsSeq(strings.NewReplacer("[", "", "]", "", ",", "").Replace(list)) {
		oid, _ := strconv.ParseInt(word, 10, 64)
		out = append(out, oid)
	}
	return out
}

// builtinFunction is a function of PostgreSQL's.
func (s *snapshot) builtinFunction(oid int64, name, argumentTypes string) callable {
	c := callable{oid: oid, name: s.catalog.quoteIdent(name)}
	var types []string
	for _, t := range vectorOIDs(argumentTypes) {
		types = append(types, s.typeName(t))
	}
	c.arguments = strings.Join(types, ", ")
	c.signature = c.name + "(" + strings.Join(types, ",") + ")"
	return c
}

// declaredFunction is one that was declared.
func (s *snapshot) declaredFunction(o *catalog.Object) callable {
	c := callable{oid: o.ID, name: s.catalog.quoteIdent(o.Name), arguments: s.functionArguments(o.Function)}
	types := make([]string, len(o.Function.Arguments))
	for i, a := range o.Function.Arguments {
		types[i] = s.typeText(a.Type)
	}
	c.signature = c.name + "(" + strings.Join(types, ",") + ")"
	return c
}

// column is the place of a column in rows that a relation has whatever the catalog holds.
func (b *builtin) column(name string) int {
	for i, c := range b.columns {
		if c == name {
			return i
		}
	}
	return -1
}

// callables are all functions.
func (s *snapshot) callables() []callable {
	b := s.catalog.builtin["pg_catalog.pg_proc"]
	name, types := b.column("proname"), b.column("proargtypes")
	var out []callable
	for _, r := range b.rows {
		out = append(out, s.builtinFunction(r[0].number, r[name].text, r[types].text))
	}
	functions := s.functions()
	for i := range functions {
		out = append(out, s.declaredFunction(&functions[i]))
	}
	return out
}

// operators are all of them. What an operator with one operand lacks is NONE.
func (s *snapshot) operators() []callable {
	b := s.catalog.builtin["pg_catalog.pg_operator"]
	name, left, right := b.column("oprname"), b.column("oprleft"), b.column("oprright")
	out, seen := make([]callable, len(b.rows)), map[string]int{}
	for i, r := range b.rows {
		side := "NONE"
		if oid := r[left].number; oid != 0 {
			side = s.typeName(oid)
		}
		seen[r[name].text]++
		out[i] = callable{oid: r[0].number, name: r[name].text, signature: r[name].text + "(" + side + "," + s.typeName(r[right].number) + ")"}
	}
	for i := range out { // a name that doesn't say which is printed with its schema
		if seen[out[i].name] > 1 {
			out[i].name = catalogSchema + "." + out[i].name
		}
	}
	return out
}

// signatures puts the printed names of a type of functions or operators.
func (s *snapshot) signatures(typ string, names map[int64]string) {
	all := s.operators()
	if typ == "regprocedure" {
		all = s.callables()
	}
	for _, c := range all {
		names[c.oid] = c.signature
		if typ == "regoper" {
			names[c.oid] = c.name
		}
	}
}

// namedProcedure finds the function that a constant names with its arguments' types.
func (s *snapshot) namedProcedure(text string) (int64, error) {
	return s.signed(text, "function", s.callables())
}

// namedOperator finds the operator that a constant names with its operands' types.
func (s *snapshot) namedOperator(text string) (int64, error) {
	return s.signed(text, "operator", s.operators())
}

// signed finds what a name and types in brackets stand for.
func (s *snapshot) signed(text, what string, among []callable) (int64, error) {
	if oid, ok := oidConstant(text); ok {
		return oid, nil
	}
	name, list, ok := strings.Cut(strings.TrimSuffix(strings.TrimSpace(text), ")"), "(")
	if !ok {
		return 0, &parse.Error{Code: "22P02", Message: "expected a left parenthesis"}
	}
	var types []string
	for word := range strings.SplitSeq(list, ",") {
		switch word = strings.TrimSpace(word); {
		case word == "":
			continue
		case strings.EqualFold(word, "none"):
			types = append(types, "NONE")
			continue
		}
		oid, err := s.namedType(word)
		if err != nil {
			return 0, err
		}
		types = append(types, s.typeName(oid))
	}
	signature := strings.TrimPrefix(strings.TrimSpace(name), catalogSchema+".") + "(" + strings.Join(types, ",") + ")"
	for _, c := range among {
		if c.signature == signature {
			return c.oid, nil
		}
	}
	return 0, &parse.Error{Code: parse.CodeUndefinedFunction, Message: what + ` "` + text + `" does not exist`}
}

// namedOper finds the one operator of a name.
func (s *snapshot) namedOper(text string) (int64, error) {
	if oid, ok := oidConstant(text); ok {
		return oid, nil
	}
	found := int64(0)
	for _, c := range s.operators() {
		if strings.TrimPrefix(c.name, catalogSchema+".") != strings.TrimPrefix(text, catalogSchema+".") {
			continue
		}
		if found != 0 {
			return 0, &parse.Error{Code: "42725", Message: "more than one operator named " + text}
		}
		found = c.oid
	}
	if found == 0 {
		return 0, &parse.Error{Code: parse.CodeUndefinedFunction, Message: "operator does not exist: " + text}
	}
	return found, nil
}

func lookupOperatorRows(_ context.Context, s *snapshot, w *writer) error {
	for _, c := range s.operators() {
		w.text("bs_key", itoa(c.oid))
		w.text("bs_operator", c.name)
		w.text("bs_signature", c.signature)
		if err := w.end(); err != nil {
			return err
		}
	}
	return nil
}

// lookupProcRows has functions by their OIDs, and by their names where there is one of the name.
func lookupProcRows(_ context.Context, s *snapshot, w *writer) error {
	row := func(key string, c callable, result, definition string) error {
		w.text("bs_key", key)
		w.text("bs_proc", c.name)
		w.text("bs_signature", c.signature)
		w.text("bs_result", result)
		w.text("bs_arguments", c.arguments)
		w.truth("bs_declared", definition != "")
		w.text("bs_definition", definition)
		return w.end()
	}
	b := s.catalog.builtin["pg_catalog.pg_proc"]
	name, types, returned, set := b.column("proname"), b.column("proargtypes"), b.column("prorettype"), b.column("proretset")
	for _, r := range b.rows {
		c := s.builtinFunction(r[0].number, r[name].text, r[types].text)
		result := s.typeName(r[returned].number)
		if r[set].number != 0 {
			result = "SETOF " + result
		}
		if err := row(itoa(c.oid), c, result, ""); err != nil {
			return err
		}
		if s.catalog.procs[r[name].text] > 0 {
			if err := row(c.name, c, result, ""); err != nil {
				return err
			}
		}
	}
	functions := s.functions()
	for i := range functions {
		o := &functions[i]
		c := s.declaredFunction(o)
		if err := row(itoa(o.ID), c, s.functionResult(o.Function), s.functionDefinition(o)); err != nil {
			return err
		}
	}
	return nil
}
