package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"broadsheet.dev/broadsheet/protocol"
)

// Journal opens the spool of a journal. What is there is recovered: the files are
// verified whole, the tail that a crash tore is cut, and everything before it is
// made durable. Completed fragments are readable; of the open one nothing is before
// Acknowledge, as it isn't known here what other replicas have. If there is nothing
// the journal begins at FirstOffset. Either way a new opening begins, durably.
//
// If promised bytes are missing or damaged the error is a *CorruptError, and
// nothing was changed; for a file of a newer version it is a *FormatError.
func (d *Dir) Journal(ctx context.Context, id ID, o JournalOptions) (*Journal, error) {
	if err := o.validate(id); err != nil {
		return nil, err
	}
	was, err := d.hold(id)
	if err != nil {
		return nil, err
	}
	j := newJournal(d, id)
	if err := j.recover(ctx, o); err != nil {
		d.restore(id, was)
		return nil, fmt.Errorf("open spool of journal %s (revision %d): %w", id.Journal, id.CreateRevision, err)
	}
	return j, nil
}

func (o JournalOptions) validate(id ID) error {
	if err := protocol.ValidateJournalName(id.Journal); err != nil {
		return fmt.Errorf("open spool of journal %q: %w", id.Journal, err)
	}
	if err := o.Codec.Validate(); err != nil {
		return fmt.Errorf("open spool of journal %s: %w", id.Journal, err)
	}
	if o.FirstOffset < 0 {
		return fmt.Errorf("open spool of journal %s: FirstOffset %d", id.Journal, o.FirstOffset)
	}
	return nil
}

// recover finds out first, and changes files only when nothing speaks against it.
func (j *Journal) recover(ctx context.Context, o JournalOptions) error {
	found, err := j.survey()
	if err != nil {
		return err
	}
	scans := make([]*scan, len(found.files))
	for i, f := range found.files {
		if scans[i], err = j.scanFile(ctx, f, found.after(i)); err != nil {
			return err
		}
		if i > 0 {
			if err := scans[i-1].followedBy(scans[i]); err != nil {
				return err
			}
		}
	}
	if len(scans) > 0 {
		if err := j.judge(scans[len(scans)-1]); err != nil {
			return err
		}
	}
	for _, name := range found.debris {
		if err := j.dir.fs.Remove(j.dir.fs.PathJoin(j.path, name)); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	if len(scans) == 0 {
		return j.begin(o)
	}
	err = j.adopt(ctx, scans)
	if err == nil {
		err = j.removeVoid(found.void)
	}
	if err != nil {
		return errors.Join(err, j.abandonOpen())
	}
	return nil
}

// survey is what the directory of a journal holds.
type survey struct {
	files  []*file // In order of offsets.
	void   []*file // Those before, if the first of files says that they are void.
	debris []string
}

// survey lists the directory and reads the headers of the logs.
func (j *Journal) survey() (survey, error) {
	var found survey
	fs := j.dir.fs
	if err := fs.MkdirAll(j.path, 0o750); err != nil {
		return found, fmt.Errorf("create %s: %w", j.path, err)
	}
	names, err := fs.List(j.path)
	if err != nil {
		return found, fmt.Errorf("list %s: %w", j.path, err)
	}
	slices.Sort(names)
	for _, name := range names {
		begin, suffix, ok := parseFileName(name)
		switch {
		case !ok:
		case suffix == logSuffix:
			f, err := j.fileOf(begin)
			if err != nil {
				return found, err
			}
			found.files = append(found.files, f)
		case suffix == dataSuffix:
			if slices.Contains(names, logName(begin)) {
				continue
			}
			// A data file is written only once it has a log, and it goes before its log.
			info, err := fs.Stat(fs.PathJoin(j.path, name))
			if err != nil {
				return found, fmt.Errorf("stat %s: %w", name, err)
			}
			if info.Size() > 0 {
				return found, corrupt(fs.PathJoin(j.path, name), 0, "its log is missing")
			}
			found.debris = append(found.debris, name)
		default:
			found.debris = append(found.debris, name)
		}
	}
	for i := len(found.files) - 1; i > 0; i-- {
		if found.files[i].discards() {
			found.files, found.void = found.files[i:], found.files[:i]
			break
		}
	}
	return found, nil
}

// after is the header of the fragment behind the i-th; nil if that is the open one.
func (s *survey) after(i int) *header {
	if i == len(s.files)-1 {
		return nil
	}
	return &s.files[i+1].header
}

// fileOf reads the header of the log that begins at an offset.
func (j *Journal) fileOf(begin int64) (*file, error) {
	fs := j.dir.fs
	name := fs.PathJoin(j.path, logName(begin))
	h, err := j.dir.readHeaderOf(name)
	switch {
	case err != nil:
		return nil, err
	case h.id != j.id:
		return nil, corrupt(name, 0, "it is of journal %s (revision %d)", h.id.Journal, h.id.CreateRevision)
	case h.begin != begin:
		return nil, corrupt(name, 32, "it begins at offset %d", h.begin)
	case h.disk != j.dir.disk:
		return nil, corrupt(name, 64, "it was written on disk %x, and this is disk %x", h.disk, j.dir.disk)
	}
	return &file{
		header: h, content: newContent(fs, fs.PathJoin(j.path, dataName(begin)), begin),
		log: &logFile{name: name, salt: h.salt},
	}, nil
}

// followedBy checks that the fragment is whole up to where the next one begins.
func (s *scan) followedBy(next *scan) error {
	h := &next.file.header
	switch {
	case h.start.opening < s.start.opening:
		return corrupt(next.file.log.name, 48, "opening %d follows %d", h.start.opening, s.start.opening)
	case h.epoch < s.file.epoch:
		return corrupt(next.file.log.name, headerV1, "cluster epoch %d follows %d", h.epoch, s.file.epoch)
	case h.cut && s.end == h.previous:
		return nil // Whatever else the log has is void.
	case h.cut && !s.complete:
		return s.lost(h.previous)
	case h.previous != s.end && (s.complete || h.previous < s.end):
		return corrupt(next.file.log.name, 40, "it follows a fragment that ended at offset %d, and the one before, %s, ends at %d",
			h.previous, s.file.log.name, s.end)
	case s.complete:
		return nil
	default:
		// The next fragment exists since this one is durable. Its record of being
		// complete may be missing if it was about to be written.
		return s.lost(h.previous)
	}
}

// judge decides whether the tail of the open fragment may be cut.
func (j *Journal) judge(last *scan) error {
	if last.complete {
		return corrupt(last.file.log.name, last.position, "the fragment is complete, and the next one is missing")
	}
	was := last.start
	rebooted := was.boot != j.dir.boot || was.boot == [16]byte{}
	j.recovered.Clean = last.clean
	j.recovered.Suspect = was.suspect || was.mode == Replicated && rebooted && !last.clean
	if err := last.lost(last.durable); err != nil {
		return err
	}
	if j.recovered.Suspect {
		return nil
	}
	return last.lost(last.written)
}

// begin makes the first fragment of a journal.
func (j *Journal) begin(o JournalOptions) error {
	if err := syncDir(j.dir.fs, j.dir.path); err != nil {
		return err
	}
	j.recovered.Fresh = true
	opened, err := j.create(header{
		id: j.id, begin: o.FirstOffset, previous: -1, codec: o.Codec, registers: new(protocol.LabelSet),
		start: openingStart{opening: 1, mode: j.dir.mode, boot: j.dir.boot},
	})
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.switchTo(opened)
	return nil
}

// adopt makes the journal of what was scanned.
func (j *Journal) adopt(ctx context.Context, scans []*scan) error {
	last := scans[len(scans)-1]
	for _, s := range scans[:len(scans)-1] {
		f := s.file
		f.end, f.sum, f.firstAppend, f.registers = s.end, s.sum, s.firstAppend, s.registers
		f.lastOpening, f.log.position = s.start.opening, s.position
		f.content.limit.Store(f.end)
		if !s.complete {
			// The next log may have got its name in memory only, and this builds on it.
			err := syncDir(j.dir.fs, j.path)
			if err == nil {
				err = j.finishRoll(s)
			}
			if err != nil {
				return err
			}
		}
		j.completed = append(j.completed, f)
	}
	j.end, j.durable, j.synced = last.end, last.end, last.end // Reopen makes it so.
	j.registers, j.running = last.registers, last.running
	j.watermark = last.file.begin
	j.start = openingStart{opening: last.start.opening + 1, mode: j.dir.mode, boot: j.dir.boot, suspect: j.recovered.Suspect}
	if err := j.reopen(last); err != nil {
		return err
	}
	j.report(ctx)
	return j.sweep(scans)
}

// report what was recovered, as loudly as it deserves.
func (j *Journal) report(ctx context.Context) {
	level := slog.LevelInfo
	switch r := j.recovered; {
	case r.Suspect:
		level = slog.LevelWarn
	case r.Clean && r.CutBytes == 0:
		level = slog.LevelDebug
	}
	j.dir.logger.LogAttrs(ctx, level, "spool recovered",
		slog.String("journal", j.id.Journal), slog.Int64("end", j.end), slog.Int64("epoch", j.open.epoch), slog.Int64("opening", j.start.opening),
		slog.Bool("clean", j.recovered.Clean), slog.Bool("suspect", j.recovered.Suspect),
		slog.Int64("cut_bytes", j.recovered.CutBytes), slog.Int("completed", len(j.completed)))
}

// sweep drops what a crash kept from being dropped: empty fragments, and those that
// were marked. They are marked again, as the mark may be in memory only.
func (j *Journal) sweep(scans []*scan) error {
	for _, s := range scans[:len(scans)-1] {
		if s.dropped || s.end == s.file.begin {
			if err := j.dropFile(s.file); err != nil {
				return err
			}
		}
	}
	return nil
}

// abandonOpen closes what adopt opened.
func (j *Journal) abandonOpen() error {
	if j.open == nil {
		return nil
	}
	return errors.Join(j.open.log.close(), j.open.content.close())
}
