package chaos

import (
	"context"
	"errors"
	"syscall"
	"time"

	"broadsheet.dev/broadsheet/internal/task"
)

// hostFaults are those of the hosts of shards.
func (r *ledgerRun) hostFaults(n *nemesis) []fault {
	f := &hostNemesis{nemesis: n, hosts: r.hosts}
	all := []fault{
		{"kill a host", 14, func(ctx context.Context) error { return f.killSome(ctx, 1) }},
		{"kill two hosts", 4, func(ctx context.Context) error { return f.killSome(ctx, 2) }},
		{"kill all hosts", 3, func(ctx context.Context) error { return f.killSome(ctx, len(f.hosts)) }},
		{"kill a host twice", 3, f.killTwice},
		{"drain a host", 4, f.drain},
		{"stop a host", 6, f.freeze},
		{"kill a host and a broker", 3, f.killWithBroker},
	}
	if f.hosts[0].disk != nil {
		all = append(all, fault{"fill the disk of a host", 3, f.fillDisk})
	}
	return all
}

// hostNemesis does faults to hosts.
type hostNemesis struct {
	*nemesis

	hosts []*ledgerHost
}

func (n *hostNemesis) any() *ledgerHost { return n.hosts[n.rand.IntN(len(n.hosts))] }

// kill a host. It counts if the host ran.
func (n *hostNemesis) kill(h *ledgerHost) {
	h.usable.Store(false)
	if h.kill() {
		n.kills++
	}
}

// revive hosts, all at once.
func (n *hostNemesis) revive(ctx context.Context, hosts ...*ledgerHost) error {
	ctx, cancel := context.WithTimeout(ctx, healing)
	defer cancel()
	group := task.New(ctx, "revive")
	for _, h := range hosts {
		group.Go(h.name, h.awaitReady)
	}
	return group.Wait()
}

func (n *hostNemesis) killSome(ctx context.Context, count int) error {
	first := n.rand.IntN(len(n.hosts))
	var victims []*ledgerHost
	for i := range count {
		h := n.hosts[(first+i)%len(n.hosts)]
		n.kill(h)
		victims = append(victims, h)
	}
	// As often as not they are back before their leases have run out.
	if err := n.rest(ctx, 0, 2*lease); err != nil {
		return err
	}
	return n.revive(ctx, victims...)
}

// killTwice kills a host again while it starts, or while it plays a log.
func (n *hostNemesis) killTwice(ctx context.Context) error {
	h := n.any()
	n.kill(h)
	if err := h.start(); err != nil {
		return err
	}
	if err := n.rest(ctx, 0, time.Second); err != nil {
		return err
	}
	n.kill(h)
	return n.revive(ctx, h)
}

// killWithBroker kills a host and a broker at once, as if they shared a machine.
func (n *hostNemesis) killWithBroker(ctx context.Context) error {
	h, m := n.any(), n.nemesis.any()
	n.kill(h)
	n.nemesis.kill(m)
	if err := n.rest(ctx, 0, lease); err != nil {
		return err
	}
	return errors.Join(n.nemesis.revive(ctx, m), n.revive(ctx, h))
}

func (n *hostNemesis) drain(ctx context.Context) error {
	h := n.any()
	h.usable.Store(false)
	bound, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	h.ask(syscall.SIGTERM)
	if err := h.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-h.exited:
	case <-bound.Done():
		h.kill()
		n.wrong = append(n.wrong, h.name+" didn't end by SIGTERM in a minute")
	}
	if err := n.rest(ctx, 0, lease); err != nil {
		return err
	}
	return n.revive(ctx, h)
}

// freeze a host, as a rule for longer than its lease lasts: it wakes up when others have its shards.
func (n *hostNemesis) freeze(ctx context.Context) error {
	h := n.any()
	h.usable.Store(false)
	h.ask(syscall.SIGSTOP) // it may end itself once it sees that its lease is gone
	if err := h.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	err := n.rest(ctx, lease/2, 4*lease)
	if err := h.signal(syscall.SIGCONT); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	// It tells what it knew until it hears from etcd.
	if err := n.rest(ctx, time.Second, 2*time.Second); err != nil {
		return err
	}
	return n.revive(ctx, h)
}

// fillDisk fills the disk of a host, which can't write its shards' files then.
func (n *hostNemesis) fillDisk(ctx context.Context) error {
	h := n.any()
	if err := h.disk.fill(); err != nil {
		return err
	}
	err := n.rest(ctx, lease/2, 3*lease)
	if err := errors.Join(err, h.disk.free()); err != nil {
		return err
	}
	return n.revive(ctx, h)
}
