package shards

import (
	"errors"
	"fmt"

	"broadsheet.dev/broadsheet/protocol"
)

// invalid returns an error of the value being validated.
func invalid(format string, args ...any) error { return invalidField("", format, args...) }

// invalidField returns an error of a field of the value being validated.
func invalidField(field, format string, args ...any) error {
	return &protocol.ValidationError{Path: field, Reason: fmt.Sprintf(format, args...)}
}

// within puts a field before the path of an error of that field, and keeps nil.
func within(field string, err error) error {
	if err == nil {
		return nil
	}
	v, ok := errors.AsType[*protocol.ValidationError](err)
	switch {
	case !ok:
		return &protocol.ValidationError{Path: field, Reason: err.Error()}
	case v.Path == "":
		return &protocol.ValidationError{Path: field, Reason: v.Reason}
	}
	return &protocol.ValidationError{Path: field + "." + v.Path, Reason: v.Reason}
}

// withinIndex is within for an element of a repeated field, withinKey for a value of a map.
func withinIndex(field string, index int, err error) error {
	if err == nil {
		return nil
	}
	return within(fmt.Sprintf("%s[%d]", field, index), err)
}

func withinKey(field, key string, err error) error {
	if err == nil {
		return nil
	}
	return within(fmt.Sprintf("%s[%s]", field, key), err)
}

func validateEnum(value int32, names map[int32]string) error {
	if _, ok := names[value]; !ok {
		return invalid("invalid value (%d)", value)
	}
	return nil
}
