package catalog

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// The values that the mirror holds, beside Table. Their types tell keys apart.
type (
	database   nameEntry
	schema     nameEntry
	creating   record
	dropping   record
	altering   record
	bookkeeper struct{} // the version and the counter
)

// unreadable stands for a value that this program can't read.
type unreadable struct{ err error }

var errWrongKey = errors.New("the key is of another name")

// decoder returns the keyspace's Decode for the keys. It never fails, so that no
// old value is shown for one that can't be read.
func (k keys) decoder(logger *slog.Logger) func(*mvccpb.KeyValue) (any, error) {
	return func(kv *mvccpb.KeyValue) (any, error) {
		v, err := k.decode(string(kv.GetKey()), kv.GetValue())
		if err == nil {
			return v, nil
		}
		logger.LogAttrs(context.Background(), slog.LevelError, "catalog entry can't be read",
			slog.String("key", string(kv.GetKey())), slog.String("err", err.Error()))
		return unreadable{err: err}, nil
	}
}

// decode reads a value as what its key says it is.
func (k keys) decode(key string, value []byte) (any, error) {
	switch {
	case key == k.version() || key == k.counter():
		_, err := decodeEntry[versionEntry](value)
		return bookkeeper{}, err
	case key == k.secret():
		_, err := decodeEntry[versionEntry](value)
		return bookkeeper{}, err
	case strings.HasPrefix(key, k.roles()):
		r, err := decodeRole(value)
		return r, errors.Join(err, wrongKey(key, k.role(r.Name)))
	case strings.HasPrefix(key, k.databases()):
		e, err := decodeEntry[nameEntry](value)
		return database(e), errors.Join(err, wrongKey(key, k.databases()+escapeName(e.Name)))
	case strings.HasPrefix(key, k.root+"/schemas/"):
		e, err := decodeEntry[nameEntry](value)
		return schema(e), errors.Join(err, wrongEnd(key, "/"+escapeName(e.Name)))
	case strings.HasPrefix(key, k.root+"/tables/"):
		t, err := decodeTable(value)
		return t, errors.Join(err, wrongEnd(key, "/"+escapeName(t.Schema)+"/"+escapeName(t.Name)))
	case strings.HasPrefix(key, k.root+"/objects/"):
		o, err := decodeObject(value)
		return o, errors.Join(err, wrongEnd(key, "/"+escapeName(o.Schema)+"/"+string(o.Kind)+"/"+escapeName(o.key())))
	case strings.HasPrefix(key, k.creating()):
		r, err := decodeRecord(value)
		return creating(r), errors.Join(err, wrongKey(key, k.createRecord(r.database, r.schema, r.id)))
	case strings.HasPrefix(key, k.dropping()):
		r, err := decodeRecord(value)
		return dropping(r), errors.Join(err, wrongKey(key, k.dropRecord(r.id)))
	case strings.HasPrefix(key, k.altering()):
		r, err := decodeRecord(value)
		return altering(r), errors.Join(err, wrongKey(key, k.alterRecord(r.id)))
	default:
		return nil, errors.New("the key is not one of a catalog")
	}
}

func wrongKey(key, want string) error {
	if key != want {
		return errWrongKey
	}
	return nil
}

func wrongEnd(key, want string) error {
	if !strings.HasSuffix(key, want) {
		return errWrongKey
	}
	return nil
}
