package views

import (
	"context"
	"fmt"
	"strconv"

	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/views/keep"
)

// Member is a process that keeps a view.
type Member struct {
	View int64
	// Shard that keeps it, Member that it is assigned to, as zone/name, and the Status of it there: PRIMARY, STANDBY, BACKFILL or FAILED.
	Shard, Member, Status string
}

// Members are who keeps views: of each view its primary first.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	r, err := c.shards.List(ctx, &shards.ListRequest{})
	if err == nil && r.GetStatus() != shards.Status_OK {
		err = r.GetStatus().Err()
	}
	if err != nil {
		return nil, fmt.Errorf("list shards of views: %w", err)
	}
	var out []Member
	for _, s := range r.GetShards() {
		id, err := strconv.ParseInt(s.GetSpec().GetLabels().ValueOf(keep.LabelView), 10, 64)
		if err != nil {
			continue // it is somebody else's
		}
		for i, m := range s.GetRoute().GetMembers() {
			status := shards.ReplicaStatus_IDLE
			if i < len(s.GetStatus()) {
				status = s.GetStatus()[i].GetCode()
			}
			next := Member{View: id, Shard: s.GetSpec().GetId(), Member: m.GetZone() + "/" + m.GetSuffix(), Status: status.String()}
			if int32(i) == s.GetRoute().GetPrimary() { //nolint:gosec // there are few
				out = append([]Member{next}, out...)
			} else {
				out = append(out, next)
			}
		}
	}
	return out, nil
}
