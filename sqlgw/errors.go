package sqlgw

import (
	"errors"
	"fmt"

	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/pgwire"
)

// superuser is the role that every user of a loopback server is.
const superuser = "postgres"

// codeUnknownOutcome is the SQLSTATE of a statement that may have written, wholly or in part.
const codeUnknownOutcome = "40003"

// sqlError makes an error of a SQLSTATE.
func sqlError(code, format string, args ...any) *pgwire.Error {
	return &pgwire.Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

func hinted(e *pgwire.Error, hint string) *pgwire.Error {
	e.Hint = hint
	return e
}

// catalogError is an error of the catalog as PostgreSQL codes it.
func catalogError(err error) error {
	e, ok := errors.AsType[*catalog.Error](err)
	if !ok {
		return err
	}
	out := &pgwire.Error{Code: catalogCode(e), Message: fmt.Sprintf("%s %q %s", e.Kind, e.Name, string(e.Code)), Detail: e.Detail, Hint: e.Hint}
	switch {
	case e.Code == catalog.ErrExists && (e.Kind == "table" || e.Kind == "index" || e.Kind == "sequence" || e.Kind == "view"):
		out.Message = fmt.Sprintf("relation %q already exists", e.Name)
	case e.Code == catalog.ErrInvalid && e.Kind == "primary key":
		out.Message, out.Detail = fmt.Sprintf("multiple primary keys for table %q are not allowed", e.Name), ""
	case e.Code == catalog.ErrNotEmpty:
		out.Message = fmt.Sprintf("cannot drop %s %s because other objects depend on it", e.Kind, e.Name)
	case e.Err != nil && out.Detail == "":
		out.Detail = e.Err.Error()
	}
	return out
}

// catalogCode is the SQLSTATE of an error of the catalog.
func catalogCode(e *catalog.Error) string {
	byKind := map[catalog.Code]map[string]string{
		catalog.ErrExists:   {"table": "42P07", "index": "42P07", "sequence": "42P07", "view": "42P07", "function": "42723", "constraint": "42710", "schema": "42P06", "column": "42701", "database": "42P04"},
		catalog.ErrNotFound: {"table": "42P01", "sequence": "42P01", "view": "42P01", "relation": "42P01", "function": "42883", "schema": "3F000", "column": "42703", "database": "3D000"},
		catalog.ErrInvalid:  {"option": "22023", "table": "42P16", "primary key": "42P16", "column": "42602", "schema": "42602", "prefix": "42602"},
	}
	if code, ok := byKind[e.Code][e.Kind]; ok {
		return code
	}
	codes := map[catalog.Code]string{
		catalog.ErrNotEmpty: "2BP01", catalog.ErrUnsupported: "0A000", catalog.ErrInvalid: "42602", catalog.ErrReserved: "42939",
		catalog.ErrNoJournals: "42704", catalog.ErrUnreadable: "XX001", catalog.ErrUnknownOutcome: codeUnknownOutcome,
	}
	if code, ok := codes[e.Code]; ok {
		return code
	}
	return "XX000"
}
