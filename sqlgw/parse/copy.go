package parse

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"
)

func (s source) copyStatement(n *pg.CopyStmt) (Statement, error) {
	direction := "COPY TO"
	if n.GetIsFrom() {
		direction = "COPY FROM"
	}
	switch {
	case n.GetIsProgram():
		return nil, s.atStart(forbid(direction + " a program"))
	case n.GetFilename() != "":
		return nil, s.atStart(forbid(direction + " a file")).hinted("Use COPY ... FROM STDIN or TO STDOUT; psql's \\copy does.")
	case n.GetWhereClause() != nil:
		return nil, s.atStart(refuse("COPY FROM ... WHERE"))
	}
	options, err := s.copyOptions(n.GetOptions(), n.GetIsFrom())
	if err != nil {
		return nil, err
	}
	columns, err := s.columnNames(n.GetAttlist())
	if err != nil {
		return nil, err
	}
	if n.GetIsFrom() {
		return &CopyFrom{at: s.position(), Table: s.name(n.GetRelation()), Columns: columns, Options: options}, nil
	}
	query, err := s.copyQuery(n, columns)
	if err != nil {
		return nil, err
	}
	to := &CopyTo{at: s.position(), Query: query, Options: options}
	if n.GetRelation() != nil {
		table := s.name(n.GetRelation())
		to.Table, to.Columns = &table, columns
	}
	return to, nil
}

// columnNames are those of a list of plain names, none twice.
func (s source) columnNames(list []*pg.Node) ([]string, error) {
	var names []string
	for _, node := range list {
		name := node.GetString_().GetSval()
		if slices.Contains(names, name) {
			return nil, s.atStart(errorf(CodeDuplicateColumn, "column %q specified more than once", name))
		}
		names = append(names, name)
	}
	return names, nil
}

// copyQuery is the query of COPY TO. For a table it is the one that selects its columns.
func (s source) copyQuery(n *pg.CopyStmt, columns []string) (*Select, error) {
	if n.GetRelation() == nil {
		if n.GetQuery().GetSelectStmt() == nil {
			return nil, s.atStart(refuse("COPY of a statement that changes data"))
		}
		return s.query(n.GetQuery())
	}
	query := queryOf()
	query.FromClause = []*pg.Node{{Node: &pg.Node_RangeVar{RangeVar: n.GetRelation()}}}
	if columns == nil {
		query.TargetList = []*pg.Node{target(starRef(), "")}
	}
	for _, c := range columns {
		query.TargetList = append(query.TargetList, target(columnRef(c), ""))
	}
	return s.query(selectNode(query))
}
