package duck

import (
	"context"
	"errors"
	"fmt"
	"slices"

	bindings "github.com/duckdb/duckdb-go-bindings"
	"github.com/duckdb/duckdb-go/v2/mapping"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// maxParams is the highest number that a parameter may have, as in PostgreSQL's protocol.
const maxParams = 65535

// Stmt is a prepared statement of a connection.
type Stmt struct {
	conn    *Conn
	native  mapping.PreparedStatement
	params  []columnar.Type
	given   []bool // whether parameter i+1 stands in the text
	columns []columnar.Column
	names   []string // of the columns' types
	foreign []Unsupported
}

// Unsupported is a column of a result whose type isn't handed on. The statement can be
// described but not run: cast the column, to text for instance.
type Unsupported struct {
	Index int
	Name  string
	Type  string // DuckDB's spelling
}

// Params returns the type of $1, $2, and so on, Kind 0 where DuckDB can't tell.
func (s *Stmt) Params() []columnar.Type { return slices.Clone(s.params) }

// Columns returns the columns of the result, nil if a parameter's type must be known
// first. Kind is 0 for the columns that Unsupported names.
func (s *Stmt) Columns() []columnar.Column { return slices.Clone(s.columns) }

// TypeNames are DuckDB's names of the types of Columns: several of its types are handed on as one, which a scan of their values would have.
func (s *Stmt) TypeNames() []string { return slices.Clone(s.names) }

// Unsupported returns the columns whose types aren't handed on.
func (s *Stmt) Unsupported() []Unsupported { return slices.Clone(s.foreign) }

// Close frees the statement. It gets ErrBusy while a call runs; its open rows are not harmed.
func (s *Stmt) Close() error {
	err := s.conn.acquire()
	if errors.Is(err, ErrClosed) {
		return nil // closed with its connection
	}
	if err != nil {
		return err
	}
	defer s.conn.release()
	if s.conn.rows != nil && s.conn.rows.stmt == s {
		return ErrBusy
	}
	delete(s.conn.stmts, s)
	mapping.DestroyPrepare(&s.native)
	return nil
}

// prepare is inside DuckDB.
func (s *Stmt) prepare(sql string) error {
	scrub := s.conn.db.scrub
	var extracted mapping.ExtractedStatements
	count := mapping.ExtractStatements(s.conn.native, sql, &extracted)
	defer mapping.DestroyExtracted(&extracted)
	if message := mapping.ExtractStatementsError(extracted); message != "" {
		return scrub.newError(message)
	}
	if count != 1 {
		message := fmt.Sprintf("the text has %d statements, not one", count)
		return &Error{Class: ClassParser, SQLSTATE: "42601", Position: -1, Message: message, Raw: message}
	}
	if mapping.PrepareExtractedStatement(s.conn.native, extracted, 0, &s.native) != mapping.StateSuccess {
		return scrub.newError(mapping.PrepareError(s.native))
	}
	return s.findParams()
}

// findParams learns which numbers the parameters have: DuckDB counts those that
// stand in the text and finds them by number.
func (s *Stmt) findParams() error {
	count := int(mapping.NParams(s.native))
	for number := 1; count > 0; number++ {
		if number > maxParams {
			return unsupported("parameters must be numbered from $1 to $%d", maxParams)
		}
		name := mapping.ParameterName(s.native, mapping.IdxT(number))
		if name != "" && name[0] >= '0' && name[0] <= '9' {
			count--
		} else if name != "" {
			return unsupported("parameter $%s: parameters have numbers, not names", name)
		}
		s.given = append(s.given, name != "")
		s.params = append(s.params, columnar.Type{})
	}
	return nil
}

// describe learns the types of parameters and columns.
func (s *Stmt) describe() {
	for i := range s.params {
		if s.given[i] {
			lt := mapping.ParamLogicalType(s.native, mapping.IdxT(i+1))
			s.params[i] = layoutOf(lt).typ
			mapping.DestroyLogicalType(&lt)
		}
	}
	for i := range mapping.PreparedStatementColumnCount(s.native) {
		lt := mapping.PreparedStatementColumnLogicalType(s.native, i)
		column := columnar.Column{Name: mapping.PreparedStatementColumnName(s.native, i), Type: layoutOf(lt).typ}
		invalid := mapping.GetTypeId(lt) == mapping.TypeInvalid
		if column.Type.Kind == 0 && !invalid {
			s.foreign = append(s.foreign, Unsupported{Index: int(i), Name: column.Name, Type: typeName(lt)})
		}
		name := ""
		if !invalid {
			name = typeName(lt)
		}
		mapping.DestroyLogicalType(&lt)
		if invalid { // the one column "unknown" of a statement that isn't resolved
			s.columns, s.names, s.foreign = nil, nil, nil
			return
		}
		s.columns, s.names = append(s.columns, column), append(s.names, name)
	}
}

// Query runs the statement with args, one row of one column per parameter (nil if there
// are none). The context bounds the query until its rows are closed or over.
func (s *Stmt) Query(ctx context.Context, args *columnar.Batch) (*Rows, error) {
	if len(s.foreign) > 0 {
		f := s.foreign[0]
		return nil, unsupported("column %d %q has type %s, which is not supported: cast it", f.Index+1, f.Name, f.Type)
	}
	return s.query(ctx, args)
}

func (s *Stmt) query(ctx context.Context, args *columnar.Batch) (*Rows, error) {
	running, err := s.conn.begin(ctx)
	if err != nil {
		return nil, err
	}
	rows := &Rows{conn: s.conn, stmt: s, call: running}
	if err := s.start(rows, args); err != nil {
		err = running.cause(err)
		s.conn.db.metrics.ended(running.ctx, err)
		rows.free()
		s.conn.end(running)
		return nil, fmt.Errorf("duck: query: %w", err)
	}
	s.conn.rows = rows
	s.conn.release()
	return rows, nil
}

// start executes the statement up to its first rows.
func (s *Stmt) start(rows *Rows, args *columnar.Batch) error {
	if s.native.Ptr == nil {
		return ErrClosed
	}
	if err := s.bind(args); err != nil {
		return err
	}
	if err := rows.call.cause(nil); err != nil {
		return err
	}
	var reported error
	s.conn.run(rows.call, func() { reported = s.execute(rows) })
	if err := rows.call.ctx.Err(); err != nil {
		return err
	}
	return reported
}

// execute is inside DuckDB.
func (s *Stmt) execute(rows *Rows) error {
	scrub := s.conn.db.scrub
	var pending mapping.PendingResult
	defer mapping.DestroyPending(&pending)
	// The streaming calls are called deprecated since 1.0, and are the only ones that don't hold a result whole.
	if bindings.PendingPreparedStreaming(s.native, &pending) != mapping.StateSuccess {
		return scrub.newError(mapping.PendingError(pending))
	}
	if mapping.ExecutePending(pending, &rows.native) != mapping.StateSuccess {
		return scrub.newError(mapping.ResultError(&rows.native))
	}
	rows.describe()
	return nil
}
