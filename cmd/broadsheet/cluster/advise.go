package cluster

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/protocol"
)

// advise gives errors of brokers a hint, unless they have one.
func (f *Flags) advise(err error) error {
	if speech.Hinted(err) {
		return err
	}
	hints := map[protocol.Status]string{
		protocol.Status_ETCD_TRANSACTION_FAILED:  "somebody else changed one of the journals, or it exists already: list them again, and apply to what is there",
		protocol.Status_INDEX_HAS_GREATER_OFFSET: "the journal's brokers lost its head: see 'broadsheet journals reset-head --help'",
		protocol.Status_NOT_ALLOWED:              "the journal's flags don't allow it",
	}
	for st, hint := range hints {
		if errors.Is(err, st.Err()) {
			return speech.WithHint(err, hint)
		}
	}
	return Advise(err, "broker", f.Brokers.Address)
}

// Advise gives an error of gRPC of a server at an address, which is one of a group of flags, a hint.
func Advise(err error, server, address string) error {
	grpcErr, ok := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err)
	if !ok {
		return err
	}
	switch grpcErr.GRPCStatus().Code() {
	case codes.Unavailable:
		return speech.WithHint(err, "is there a "+server+" at "+address+"? say where one is with --"+server+".address")
	case codes.Unauthenticated:
		return speech.WithHint(err, "give a token that allows it with --"+server+".auth-token")
	default:
		return err
	}
}
