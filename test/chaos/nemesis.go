package chaos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"broadsheet.dev/broadsheet/internal/task"
)

// healing bounds how long it may take until a broker serves again.
const healing = 90 * time.Second

// nemesis does faults, and heals them.
type nemesis struct {
	*run
	rand  *rand.Rand
	all   []fault
	kills int
	done  []string // faults that were done
	wrong []string // what was found to be wrong meanwhile
}

// fault is one way to do harm. It heals what it did before it returns.
type fault struct {
	name   string
	weight int
	do     func(ctx context.Context) error
}

// faults that a fleet of brokers survives, with its journals' bytes.
func (n *nemesis) faults() []fault {
	return append(n.fleetFaults(), fault{"flip a bit of a spool", 2, n.flipSpool}, fault{"flip a bit of an object", 1, n.flipObject})
}

// fleetFaults are those that leave the bytes on disks alone.
func (n *nemesis) fleetFaults() []fault {
	all := []fault{
		{"kill", 10, n.killOne},
		{"kill two", 2, func(ctx context.Context) error { return n.killSome(ctx, 2) }},
		{"kill all", 2, func(ctx context.Context) error { return n.killSome(ctx, len(n.cluster.brokers)) }},
		{"kill twice", 3, n.killTwice},
		{"drain", 4, n.drain},
		{"stop", 3, n.freeze},
		{"cut", 3, n.cut},
		{"cut and kill", 2, n.cutAndKill},
	}
	if n.cluster.depot.gateway == nil {
		all = append(all, fault{"store away", 2, n.storeAway}, fault{"store replaced", 2, n.storeReplaced})
	} else {
		all = append(all, fault{"kill the store", 2, n.killStore}, fault{"stop the store", 2, n.freezeStore})
	}
	if len(n.cluster.etcd) > 1 {
		all = append(all, fault{"kill etcd", 2, n.killEtcd}, fault{"move etcd's leader", 3, n.moveLeader})
	}
	if len(n.cluster.disks) > 0 {
		all = append(all, fault{"fill a disk", 3, n.fillDisk})
	}
	return all
}

// strike does faults until enough brokers were killed.
func (n *nemesis) strike(ctx context.Context) error {
	total := 0
	for _, f := range n.all {
		total += f.weight
	}
	for n.kills < n.cfg.Kills {
		at := n.rand.IntN(total)
		for _, f := range n.all {
			if at -= f.weight; at < 0 {
				n.note(f.name)
				if err := f.do(ctx); err != nil {
					return fmt.Errorf("fault %d, %s: %w", len(n.done), f.name, err)
				}
				break
			}
		}
		if err := n.rest(ctx, 300*time.Millisecond, 1500*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (n *nemesis) note(name string) {
	n.done = append(n.done, fmt.Sprintf("%v %s", n.history.now().Round(time.Millisecond), name))
}

// rest for a time between two bounds.
func (n *nemesis) rest(ctx context.Context, least, most time.Duration) error {
	return pause(ctx, least+time.Duration(n.rand.Int64N(int64(most-least))))
}

func (n *nemesis) any() *member { return n.cluster.brokers[n.rand.IntN(len(n.cluster.brokers))] }

// kill a broker. It counts if the broker ran.
func (n *nemesis) kill(m *member) {
	m.usable.Store(false)
	if m.kill() {
		n.kills++
	}
}

// revive brokers, all at once.
func (n *nemesis) revive(ctx context.Context, members ...*member) error {
	ctx, cancel := context.WithTimeout(ctx, healing)
	defer cancel()
	group := task.New(ctx, "revive")
	for _, m := range members {
		group.Go(m.name, m.awaitReady)
	}
	return group.Wait()
}

func (n *nemesis) killOne(ctx context.Context) error {
	m := n.any()
	n.kill(m)
	// As a rule it is back before its lease has run out, and sometimes after.
	if err := n.rest(ctx, 0, 2*lease); err != nil {
		return err
	}
	return n.revive(ctx, m)
}

func (n *nemesis) killSome(ctx context.Context, count int) error {
	first := n.rand.IntN(len(n.cluster.brokers))
	var victims []*member
	for i := range count {
		m := n.cluster.brokers[(first+i)%len(n.cluster.brokers)]
		n.kill(m)
		victims = append(victims, m)
	}
	if err := n.rest(ctx, 0, lease); err != nil {
		return err
	}
	return n.revive(ctx, victims...)
}

// killTwice kills a broker again while it starts.
func (n *nemesis) killTwice(ctx context.Context) error {
	m := n.any()
	n.kill(m)
	if err := m.start(); err != nil {
		return err
	}
	if err := n.rest(ctx, 0, 500*time.Millisecond); err != nil {
		return err
	}
	n.kill(m)
	return n.revive(ctx, m)
}

func (n *nemesis) drain(ctx context.Context) error {
	m := n.any()
	m.usable.Store(false)
	bound, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := m.terminate(bound); err != nil {
		return err
	}
	if err := n.rest(ctx, 0, lease); err != nil {
		return err
	}
	return n.revive(ctx, m)
}

// freeze a broker, for less or more than its lease lasts.
func (n *nemesis) freeze(ctx context.Context) error {
	m := n.any()
	m.usable.Store(false)
	if err := m.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	err := n.rest(ctx, lease/2, 3*lease)
	if err := m.signal(syscall.SIGCONT); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	return n.revive(ctx, m)
}

// cut a broker off from the others and their clients. Its own clients, etcd and the store still reach it.
func (n *nemesis) cut(ctx context.Context) error {
	m := n.any()
	m.proxy.cut()
	defer m.proxy.heal()
	return n.rest(ctx, lease/2, 3*lease)
}

// cutAndKill kills another broker while one is cut off.
func (n *nemesis) cutAndKill(ctx context.Context) error {
	first := n.rand.IntN(len(n.cluster.brokers))
	away, victim := n.cluster.brokers[first], n.cluster.brokers[(first+1)%len(n.cluster.brokers)]
	away.proxy.cut()
	defer away.proxy.heal()
	if err := n.rest(ctx, 0, lease); err != nil {
		return err
	}
	n.kill(victim)
	if err := n.rest(ctx, 0, lease); err != nil {
		return err
	}
	return n.revive(ctx, victim)
}

// storeAway puts a link to itself where the journals' objects are, in one step: nothing can be stored, listed
// or read there. The store is never seen empty, as it is in storeReplaced.
func (n *nemesis) storeAway(ctx context.Context) error {
	dir := filepath.Join(n.cluster.depot.dir, filepath.Dir(Journal))
	away := dir + ".away"
	if err := os.Symlink(filepath.Base(dir), away); err != nil {
		return err
	}
	exchange := func() error {
		return unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, away, unix.RENAME_EXCHANGE)
	}
	if err := exchange(); err != nil {
		return err
	}
	err := n.rest(ctx, time.Second, 2*lease)
	if back := exchange(); back != nil {
		return back
	}
	return errors.Join(err, os.Remove(away))
}

// storeReplaced moves the journals' objects away and puts a file in their place, and undoes that later; each in two
// steps. So the store may be seen without any objects for a moment, which isn't to be believed. A broker
// that stores something in such a moment makes the directory anew.
func (n *nemesis) storeReplaced(ctx context.Context) error {
	dir := filepath.Join(n.cluster.depot.dir, filepath.Dir(Journal))
	away := dir + ".away"
	if err := os.Rename(dir, away); err != nil {
		return err
	}
	var err error
	file, opened := os.OpenFile(dir, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if opened == nil {
		err = n.rest(ctx, time.Second, 2*lease)
		if e := errors.Join(file.Close(), os.Remove(dir)); e != nil {
			return e
		}
	} else if !errors.Is(opened, fs.ErrExist) {
		return opened
	}
	switch back := os.Rename(away, dir); {
	case back == nil:
		return err
	case !errors.Is(back, unix.ENOTEMPTY) && !errors.Is(back, unix.EEXIST):
		return back
	}
	// What is there goes to the rest, which takes its place in one step.
	if e := unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, away, unix.RENAME_EXCHANGE); e != nil {
		return e
	}
	return errors.Join(err, moveFiles(away, dir))
}

// moveFiles moves all files below a directory to where they are below another, which has their directories, and
// removes the first.
func moveFiles(from, to string) error {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		err = os.Rename(path, filepath.Join(to, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil // A partial file, which is about to go.
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(from))
}

// killStore kills the S3 gateway, which forgets nothing.
func (n *nemesis) killStore(ctx context.Context) error {
	n.cluster.depot.end()
	if err := n.rest(ctx, 0, 2*lease); err != nil {
		return err
	}
	return n.cluster.depot.start(ctx)
}

// freezeStore stops the S3 gateway: it takes requests, and doesn't answer.
func (n *nemesis) freezeStore(ctx context.Context) error {
	p := n.cluster.depot.gateway
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	err := n.rest(ctx, lease/2, 3*lease)
	return errors.Join(err, p.signal(syscall.SIGCONT))
}
