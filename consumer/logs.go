package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"broadsheet.dev/broadsheet/client/async"
	"broadsheet.dev/broadsheet/consumer/recoverylog"
)

// brokerLogs are recovery logs in journals of brokers: what a Config without RecoveryLogs has.
type brokerLogs struct {
	journals recoverylog.Journals
	appends  *async.Service
	log      *slog.Logger
	played   *prometheus.CounterVec // bytes, by journal
}

// NewPlayer as of RecoveryLogs.
func (l *brokerLogs) NewPlayer(hints *recoverylog.FSMHints, dir string) (Player, error) {
	author, err := recoverylog.NewAuthor()
	if err != nil {
		return nil, err
	}
	played := l.played.WithLabelValues(hints.GetLog())
	p, err := recoverylog.NewPlayer(recoverylog.PlayerConfig{Journals: l.journals, Hints: hints, FS: vfs.Default, Dir: dir, Logger: l.log, OnRead: func(n int) { played.Add(float64(n)) }})
	if err != nil {
		return nil, err
	}
	return &logPlayer{logs: l, player: p, dir: dir, author: author}, nil
}

// logPlayer is a Player of one of them.
type logPlayer struct {
	logs      *brokerLogs
	player    *recoverylog.Player
	dir       string
	author    uint32
	recovered *recoverylog.Recovered // by Play
}

// Play as of Player.
func (p *logPlayer) Play(ctx context.Context) error {
	var err error
	p.recovered, err = p.player.Play(ctx)
	return err
}

// CaughtUp as of Player.
func (p *logPlayer) CaughtUp() <-chan struct{} { return p.player.Tailing() }

// TakeOver as of Player.
func (p *logPlayer) TakeOver() error { return p.player.InjectHandOff(p.author) }

// errNotTaken is of a log that isn't to be recorded to.
var errNotTaken = errors.New("the recovery log wasn't taken over")

// Recorder as of Player. Its appends are a run of their own: that a log was fenced is never forgotten.
func (p *logPlayer) Recorder(ctx context.Context) (Recorder, error) {
	if p.recovered == nil {
		return nil, errNotTaken
	}
	run := p.logs.appends.NewRun(async.AtLeastOnce)
	r, err := recoverylog.NewRecorder(ctx, recoverylog.RecorderConfig{Recovered: p.recovered, Run: run, Dir: p.dir})
	if err != nil {
		return nil, err
	}
	return &logRecorder{Recorder: r, fs: recoverylog.FS(r, vfs.Default), dir: p.dir}, nil
}

// logRecorder is a Recorder of one of them.
type logRecorder struct {
	*recoverylog.Recorder

	fs  vfs.FS
	dir string
}

// Dir as of Recorder.
func (r *logRecorder) Dir() string { return r.dir }

// FS as of Recorder.
func (r *logRecorder) FS() vfs.FS { return r.fs }

// Close as of Recorder. The files are a copy of what is in the log.
func (r *logRecorder) Close() error {
	if err := vfs.Default.RemoveAll(r.dir); err != nil {
		return fmt.Errorf("remove files of %s: %w", r.Log(), err)
	}
	return nil
}
