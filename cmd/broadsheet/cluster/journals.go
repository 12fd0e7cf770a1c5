package cluster

import (
	"context"
	"errors"
	"io"
	"mime"

	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// Head of a journal, as a broker knows it.
func (s *Session) Head(ctx context.Context, journal string) (int64, error) {
	r := s.Client.NewReader(ctx, &protocol.ReadRequest{Journal: journal, Offset: -1, MetadataOnly: true})
	defer func() { _ = r.Close() }()
	_, err := io.Copy(io.Discard, r)
	if err != nil && !errors.Is(err, protocol.Status_OFFSET_NOT_YET_AVAILABLE.Err()) {
		return 0, err
	}
	return r.Head(), nil
}

// IsRecoveryLog tells that a journal is what a shard's state is rebuilt from.
func IsRecoveryLog(spec *protocol.JournalSpec) bool {
	media, _, err := mime.ParseMediaType(spec.GetLabels().ValueOf(protocol.LabelContentType))
	return err == nil && media == message.RecoveryLog
}
