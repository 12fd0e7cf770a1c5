package shards

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"broadsheet.dev/broadsheet/cmd/broadsheet/cluster"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/internal/speech"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

// verify that the journals that shards need are there, before anything is changed: sources, and recovery logs that are such.
func (s *session) verify(ctx context.Context, changes []*shards.ApplyRequest_Change) error {
	specs := map[string]*protocol.JournalSpec{}
	for _, c := range changes {
		for _, source := range c.GetUpsert().GetSources() {
			name, _ := protocol.SplitMeta(source.GetJournal())
			specs[name] = nil
		}
		if log := c.GetUpsert().RecoveryLog(); log != "" {
			specs[log] = nil
		}
	}
	var mu sync.Mutex
	err := cluster.Each(ctx, "verify", slices.Sorted(maps.Keys(specs)), func(name string) string { return name }, func(ctx context.Context, name string) error {
		j, err := s.Client.GetJournal(ctx, name)
		if errors.Is(err, protocol.Status_JOURNAL_NOT_FOUND.Err()) {
			return nil // It stays nil.
		}
		mu.Lock()
		defer mu.Unlock()
		specs[name] = j.GetSpec()
		return err
	})
	if err != nil {
		return err
	}
	var all []error
	for _, c := range changes {
		if c.GetUpsert() == nil {
			continue
		}
		if err := verifyShard(c.GetUpsert(), specs); err != nil {
			all = append(all, err)
		}
	}
	if more := len(all) - maxShown; more > 0 {
		all = append(all[:maxShown], fmt.Errorf("and %d more of the shards lack journals", more))
	}
	return errors.Join(all...)
}

// verifyShard against the journals that there are.
func verifyShard(spec *shards.ShardSpec, journals map[string]*protocol.JournalSpec) error {
	for _, source := range spec.GetSources() {
		name, _ := protocol.SplitMeta(source.GetJournal())
		if journals[name] == nil {
			return speech.WithHint(fmt.Errorf("shard %s: source %s: there is no such journal", spec.GetId(), name),
				"make it with 'broadsheet journals apply', or correct the shard's sources")
		}
	}
	log := spec.RecoveryLog()
	const label = protocol.LabelContentType + "=" + message.RecoveryLog
	switch {
	case log == "":
		return nil
	case journals[log] == nil:
		return speech.WithHint(fmt.Errorf("shard %s: recovery log %s: there is no such journal", spec.GetId(), log),
			"make it with 'broadsheet journals apply', with the label "+label)
	case !cluster.IsRecoveryLog(journals[log]):
		return speech.WithHint(fmt.Errorf("shard %s: recovery log %s: its content-type is %q", spec.GetId(), log, journals[log].GetLabels().ValueOf(protocol.LabelContentType)),
			"give it the label "+label+" with 'broadsheet journals edit', if it is nothing else's journal")
	}
	return nil
}
