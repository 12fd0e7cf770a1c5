package storetest

import (
	"context"
	"maps"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
	"broadsheet.dev/broadsheet/consumer/recoverylog/logtest"
)

// recordedLog is the recovery log's journal of RunRecorded.
const recordedLog = "recovery/a-shard"

// RunRecorded puts a store to the property with recovery logs: whose host is killed at any instant, and begins anew on an empty disk by the
// log alone, is at a commit of the model that the log may have, byte for byte. Each life goes on from the log, as a
// new author, and from hints of the life before.
func RunRecorded(t *testing.T, open Opener) {
	for seed := range uint64(2) {
		l := &recordedLife{life: newLife(t, open, 40+seed), brokers: logtest.New(), hints: &recoverylog.FSMHints{Log: recordedLog}}
		l.brokers.Twice = seed == 1 // an answer was lost, and the append was made again
		for author := range uint32(3) {
			l.live(author + 1)
		}
		l.killAnywhere()
	}
}

// recordedLife is that of a store under a recovery log. Places in the log are counts of appends.
type recordedLife struct {
	*life

	brokers *logtest.Brokers
	hints   *recoverylog.FSMHints
}

// live from the log, until the host is killed in the middle of a transaction.
func (l *recordedLife) live(author uint32) {
	l.t.Helper()
	ctx, kill := context.WithCancel(l.t.Context())
	defer kill()
	base, recovered, err := l.play(l.brokers, l.hints, author)
	require.NoError(l.t, err)
	service, err := async.New(ctx, l.brokers, async.Config{CutOff: 1}) // each operation may be the last one that the log has
	require.NoError(l.t, err)
	defer func() { _ = service.Close() }() // it was killed
	recorder, err := recoverylog.NewRecorder(ctx, recoverylog.RecorderConfig{
		Recovered: recovered, Run: service.NewRun(async.AtLeastOnce), Dir: dir,
	})
	require.NoError(l.t, err)
	l.app, err = l.open(ctx, recoverylog.FS(recorder, base), dir)
	require.NoError(l.t, err)
	defer func() { _ = l.app.Close() }()
	l.requireAt(l.brokers.Appends(recordedLog), l.app)
	l.model = maps.Clone(l.commits[len(l.commits)-1].rows)
	for i := range 15 {
		l.write()
		l.seen()
		require.NoError(l.t, l.commitRecorded(recorder))
		if i == 7 {
			l.hints, err = recorder.Hints(ctx)
			require.NoError(l.t, err)
		}
	}
	l.write()
}

// commitRecorded is done once the log has it, as a host waits for a barrier before it acknowledges.
func (l *recordedLife) commitRecorded(recorder *recoverylog.Recorder) error {
	cp := checkpoint(len(l.commits))
	next := committed{rows: maps.Clone(l.model), checkpoint: cp, begun: l.brokers.Appends(recordedLog)}
	err := l.app.StartCommit(l.t.Context(), cp).Err()
	if err == nil {
		err = recorder.Barrier().Err()
	}
	next.acked = l.brokers.Appends(recordedLog)
	l.commits = append(l.commits, next)
	return err
}

// play a log to an empty disk, to take it over as an author, or to look at it.
func (l *recordedLife) play(from *logtest.Brokers, hints *recoverylog.FSMHints, author uint32) (*vfs.MemFS, *recoverylog.Recovered, error) {
	base := vfs.NewMem()
	p, err := recoverylog.NewPlayer(recoverylog.PlayerConfig{Journals: from, Hints: hints, FS: base, Dir: dir})
	if err != nil {
		return nil, nil, err
	}
	if author == 0 {
		err = p.FinishAtWriteHead()
	} else {
		err = p.InjectHandOff(author)
	}
	if err != nil {
		return nil, nil, err
	}
	recovered, err := p.Play(l.t.Context())
	return base, recovered, err
}

// killAnywhere recovers the store from what the log was after some of its appends.
func (l *recordedLife) killAnywhere() {
	l.t.Helper()
	all := l.brokers.Appends(recordedLog)
	cuts := map[int]bool{0: true, all: true}
	for _, c := range l.commits[1:] {
		cuts[c.begun], cuts[c.acked], cuts[c.acked-1] = true, true, true
	}
	for range 60 {
		cuts[l.rnd.IntN(all+1)] = true
	}
	for n := range cuts {
		base, _, err := l.play(l.brokers.Cut(recordedLog, n), &recoverylog.FSMHints{Log: recordedLog}, 0)
		require.NoError(l.t, err, "after %d appends", n)
		app, err := l.open(l.t.Context(), base, dir)
		require.NoError(l.t, err, "after %d appends", n)
		l.requireAt(n, app)
		require.NoError(l.t, app.Close())
	}
}
