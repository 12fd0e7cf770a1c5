package shards

import (
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
)

// maxErrorRunes is how long the text of an error may be in etcd.
const maxErrorRunes = 2048

// Validate that the status is known.
func (x Status) Validate() error { return validateEnum(int32(x), Status_name) }

// Err returns the status as an error, for comparing with errors.Is; nil for OK.
func (x Status) Err() error {
	if x == Status_OK {
		return nil
	}
	return &StatusError{Status: x}
}

// StatusError is an RPC that ended with a status other than OK. Two of them are the same to errors.Is if their
// statuses are.
type StatusError struct {
	// Status of the response.
	Status Status
	// Shard of the request; empty if it had none.
	Shard string
}

// Error names the shard and the status.
func (e *StatusError) Error() string {
	if e.Shard == "" {
		return e.Status.String()
	}
	return "shard " + e.Shard + ": " + e.Status.String()
}

// Is reports whether target is a StatusError of the same status.
func (e *StatusError) Is(target error) bool {
	t, ok := target.(*StatusError)
	return ok && t.Status == e.Status
}

// Validate that the code is known.
func (x ReplicaStatus_Code) Validate() error { return validateEnum(int32(x), ReplicaStatus_Code_name) }

// Validate that there are errors exactly if the replica has failed.
func (x *ReplicaStatus) Validate() error {
	if err := x.GetCode().Validate(); err != nil {
		return within("Code", err)
	}
	switch failed := x.GetCode() == ReplicaStatus_FAILED; {
	case failed && len(x.GetErrors()) == 0:
		return invalidField("Errors", "expected one of a replica that is FAILED")
	case !failed && len(x.GetErrors()) != 0:
		return invalidField("Errors", "expected none of a replica that isn't FAILED (%d)", len(x.GetErrors()))
	}
	return nil
}

// Reduce returns what is known of a replica from two of its statuses: the one that is further. A status that has
// failed twice has the errors of both.
func (x *ReplicaStatus) Reduce(y *ReplicaStatus) *ReplicaStatus {
	out := proto.CloneOf(x)
	switch {
	case out == nil || y.GetCode() > x.GetCode():
		out = proto.CloneOf(y)
	case y.GetCode() == x.GetCode():
		for _, text := range y.GetErrors() {
			if !slices.Contains(out.GetErrors(), text) {
				out.Errors = append(out.Errors, text)
			}
		}
	}
	return out
}

// Failed is the status of a replica that has failed with an error, the text of which is cut at 2048 characters.
func Failed(err error) *ReplicaStatus {
	text := strings.ToValidUTF8(err.Error(), string(utf8.RuneError))
	if utf8.RuneCountInString(text) > maxErrorRunes {
		text = string([]rune(text)[:maxErrorRunes])
	}
	return &ReplicaStatus{Code: ReplicaStatus_FAILED, Errors: []string{text}}
}
