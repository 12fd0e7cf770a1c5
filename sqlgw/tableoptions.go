package sqlgw

import (
	"broadsheet.dev/broadsheet/catalog"
	"broadsheet.dev/broadsheet/sqlgw/parse"
)

// tableOptions reads those of CREATE TABLE, the names of stores being those that the operator gave.
func (g *Gateway) tableOptions(list []parse.Option) (catalog.Options, error) {
	values := map[string]string{}
	for _, o := range list {
		if o.Name == "fillfactor" && o.Value == "100" { // full pages is what a log has
			continue
		}
		values[o.Name] = o.Value
	}
	options, err := catalog.ParseOptions(values)
	if err != nil {
		return options, catalogError(err)
	}
	for i, name := range options.Stores {
		if options.Stores[i], err = g.cfg.Stores.Resolve(name); err != nil {
			return options, catalogError(&catalog.Error{Code: catalog.ErrInvalid, Kind: "option", Name: "stores", Err: err})
		}
	}
	return options, nil
}
