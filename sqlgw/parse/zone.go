package parse

import (
	"errors"

	pg "github.com/pganalyze/pg_query_go/v6"

	"broadsheet.dev/broadsheet/sqlgw/style"
)

// timezoneCall gives a zone that is a constant the engine's name for it: AT TIME ZONE takes abbreviations, offsets and intervals too.
func timezoneCall(c *pg.FuncCall) (*pg.Node, *Error) {
	zone := c.GetArgs()[0]
	text, ok := stringConst(zone)
	if cast := zone.GetTypeCast(); !ok && cast != nil {
		t := typeOf(cast.GetTypeName())
		if text, ok = stringConst(cast.GetArg()); ok && t.name == "interval" {
			text = "INTERVAL '" + text + "'"
		} else if ok && t.name != "text" && t.name != "varchar" {
			ok = false
		}
	}
	if !ok {
		return nil, nil
	}
	z, err := style.ZoneOf(text)
	if unknown, isUnknown := errors.AsType[*style.UnknownZone](err); isUnknown {
		return nil, errorf(CodeInvalidParameter, "%v", unknown).hinted(unknown.Hint)
	}
	if err != nil {
		return nil, errorf(CodeInvalidParameter, "%v", err)
	}
	c.Args[0] = textConst(z.Engine)
	return nil, nil
}
