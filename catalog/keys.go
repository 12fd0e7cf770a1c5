package catalog

import "strconv"

// keys are the etcd keys of one catalog: see docs/format/etcd-keys.md.
type keys struct{ root string } // {prefix}/catalog

func newKeys(prefix string) keys { return keys{root: prefix + "/catalog"} }

// version is written by every change: its revision is that of the catalog.
func (k keys) version() string { return k.root + "/version" }

// counter holds the next id.
func (k keys) counter() string { return k.root + "/counter" }

func (k keys) databases() string { return k.root + "/databases/" }

func (k keys) database(db string) string { return k.databases() + escapeName(db) }

func (k keys) schemas(db string) string { return k.root + "/schemas/" + escapeName(db) + "/" }

func (k keys) schema(db, schema string) string { return k.schemas(db) + escapeName(schema) }

func (k keys) tables(db string) string { return k.root + "/tables/" + escapeName(db) + "/" }

func (k keys) tablesOf(db, schema string) string { return k.tables(db) + escapeName(schema) + "/" }

func (k keys) table(db, schema, name string) string {
	return k.tablesOf(db, schema) + escapeName(name)
}

func (k keys) objects(db string) string { return k.root + "/objects/" + escapeName(db) + "/" }

func (k keys) objectsOf(db, schema string) string { return k.objects(db) + escapeName(schema) + "/" }

// object is what isn't a table: kind is its kind, and name is with argument types for functions.
func (k keys) object(db, schema string, kind ObjectKind, name string) string {
	return k.objectsOf(db, schema) + string(kind) + "/" + escapeName(name)
}

func (k keys) roles() string { return k.root + "/roles/" }

func (k keys) role(name string) string { return k.roles() + escapeName(name) }

// secret is what the processes of a catalog share.
func (k keys) secret() string { return k.root + "/secret" }

func (k keys) creating() string { return k.root + "/creating/" }

func (k keys) creatingOf(db, schema string) string {
	return k.creating() + escapeName(db) + "/" + escapeName(schema) + "/"
}

func (k keys) createRecord(db, schema string, id int64) string {
	return k.creatingOf(db, schema) + strconv.FormatInt(id, 10)
}

func (k keys) altering() string { return k.root + "/altering/" }

func (k keys) alterRecord(id int64) string { return k.altering() + strconv.FormatInt(id, 10) }

func (k keys) dropping() string { return k.root + "/dropping/" }

func (k keys) dropRecord(id int64) string { return k.dropping() + strconv.FormatInt(id, 10) }
