package chaos

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"broadsheet.dev/broadsheet/client"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/test/chaos/ledger"
)

// accounts that deposits are for.
const accounts = 100

// depositor publishes deposits, alone or in transactions across journals, some of which it rolls back; and what it has published it
// publishes again at times. Only what readers of committed messages are to see is in its books.
type depositor struct {
	*ledgerRun

	id     int
	rand   *rand.Rand
	ticker message.Ticker
	single message.Producer // of deposits that stand for themselves
	txn    message.Producer

	// The books: by journal, how many deposits there are, and what they come to.
	seqs     map[string]int64
	balances map[string]map[int]int64

	decided map[string]bool // journals in which a transaction was committed
	past    []appended
	// known is false once an append of the transaction was made again: whether the first is still to come nobody knows.
	known bool
}

// appended is content of a journal.
type appended struct {
	journal string
	content []byte
}

// keptPast bounds what a depositor may append again.
const keptPast = 40

func (r *ledgerRun) newDepositor(id int) *depositor {
	rng := r.rng("depositor", id)
	producer := func() message.Producer {
		p := message.Producer{1} // the bit of those that are random
		for i := 1; i < len(p); i++ {
			p[i] = byte(rng.Uint32())
		}
		return p
	}
	return &depositor{
		ledgerRun: r, id: id, rand: rng, single: producer(), txn: producer(),
		seqs: make(map[string]int64), balances: make(map[string]map[int]int64),
		decided: make(map[string]bool),
	}
}

// deposit until ctx is done. What is under way goes on to its end, so that it is known.
func (d *depositor) deposit(ctx context.Context) error {
	for ctx.Err() == nil {
		d.ticker.Update(time.Now())
		step := d.transaction
		switch n := d.rand.IntN(10); {
		case n < 3:
			step = d.alone
		case n < 4:
			step = d.rolledBack
		case n < 5:
			step = d.again
		}
		if err := step(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("depositor %d: %w", d.id, err)
		}
		if err := pause(ctx, time.Duration(d.rand.IntN(int(2*d.cfg.Pace)))); err != nil {
			return nil //nolint:nilerr // it is told to end
		}
	}
	return nil
}

// journals are some that the depositor publishes to.
func (d *depositor) journals() []string {
	all := d.inputs()
	d.rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:1+d.rand.IntN(3)]
}

// batch of deposits in a journal from the number after a last one on.
func (d *depositor) batch(flags message.Flags, after int64) ([]*ledger.Deposit, []byte, error) {
	producer := d.single
	if flags != message.OutsideTxn {
		producer = d.txn
	}
	codec, err := message.CodecOf(message.JSONLines)
	if err != nil {
		return nil, nil, err
	}
	var content []byte
	deposits := make([]*ledger.Deposit, 1+d.rand.IntN(2*d.cfg.Batch))
	for i := range deposits {
		deposits[i] = &ledger.Deposit{
			Depositor: d.id, Seq: after + 1 + int64(i), Account: d.rand.IntN(accounts), Amount: d.rand.Int64N(2001) - 1000,
		}
		deposits[i].SetUUID(message.NewUUID(producer, d.ticker.Tick(), flags))
		if content, err = message.Encode(codec, content, deposits[i]); err != nil {
			return nil, nil, err
		}
	}
	return deposits, content, nil
}

// book deposits in a journal, which are to have their effects.
func (d *depositor) book(journal string, deposits []*ledger.Deposit) {
	d.seqs[journal] += int64(len(deposits))
	of := d.balances[journal]
	if of == nil {
		of = make(map[int]int64)
		d.balances[journal] = of
	}
	for _, x := range deposits {
		of[x.Account] += x.Amount
	}
	d.published.Add(int64(len(deposits)))
}

// put content in a journal, again and again until that is acknowledged.
func (d *depositor) put(ctx context.Context, a appended) error {
	ctx, cancel := context.WithTimeout(ctx, 2*healing)
	defer cancel()
	for {
		_, err := d.append(ctx, d.rand, client.AppendParams{Journal: a.journal}, a.content)
		if err == nil {
			return nil
		}
		d.known = false
		d.repeated.Add(1)
		if ctx.Err() != nil {
			return fmt.Errorf("append to %s: %w", a.journal, err)
		}
		if err := pause(ctx, time.Duration(d.rand.IntN(int(afterFailure)))); err != nil {
			return fmt.Errorf("append to %s: %w", a.journal, err)
		}
	}
}

func (d *depositor) remember(a appended) {
	if d.past = append(d.past, a); len(d.past) > keptPast {
		d.past = d.past[1:]
	}
}

// alone publishes deposits that stand for themselves.
func (d *depositor) alone(ctx context.Context) error {
	to := d.journals()[0]
	deposits, content, err := d.batch(message.OutsideTxn, d.seqs[to])
	if err != nil {
		return err
	}
	a := appended{to, content}
	if err := d.put(ctx, a); err != nil {
		return err
	}
	d.remember(a)
	d.book(to, deposits)
	return nil
}

// transaction across journals.
func (d *depositor) transaction(ctx context.Context) error { return d.transact(ctx, false) }

// rolledBack is a transaction of which nothing is to be seen.
func (d *depositor) rolledBack(ctx context.Context) error { return d.transact(ctx, true) }

func (d *depositor) transact(ctx context.Context, rollBack bool) error {
	to := d.journals()
	before := d.ticker.Tick()
	all := make([][]*ledger.Deposit, len(to))
	var contents []appended
	d.known = true
	for i, journal := range to {
		deposits, content, err := d.batch(message.ContinueTxn, d.seqs[journal])
		if err != nil {
			return err
		}
		all[i] = deposits
		contents = append(contents, appended{journal, content})
		if err := d.put(ctx, contents[i]); err != nil {
			return err
		}
	}
	// Readers take an acknowledgement from before a message for one that rolls it back, if they know the producer from before, too. A copy
	// of the message that comes later is then of the next transaction, so this is only done where there can be none.
	rollBack = rollBack && d.known && !slices.ContainsFunc(to, func(j string) bool { return !d.decided[j] })
	clock := before
	if !rollBack {
		clock = d.ticker.Tick()
	}
	for _, journal := range to {
		ack := new(ledger.Deposit)
		ack.SetUUID(message.NewUUID(d.txn, clock, message.AckTxn))
		codec, err := message.CodecOf(message.JSONLines)
		if err != nil {
			return err
		}
		content, err := message.Encode(codec, nil, ack)
		if err != nil {
			return err
		}
		contents = append(contents, appended{journal, content})
		if err := d.put(ctx, contents[len(contents)-1]); err != nil {
			return err
		}
	}
	if rollBack {
		d.rolled.Add(1)
		return nil
	}
	for i, journal := range to {
		d.book(journal, all[i])
		d.decided[journal] = true
		d.remember(contents[i])
		d.remember(contents[len(to)+i])
	}
	return nil
}

// again publishes something once more that was published before, within another transaction as likely as not.
func (d *depositor) again(ctx context.Context) error {
	if len(d.past) == 0 {
		return nil
	}
	var content bytes.Buffer
	a := d.past[d.rand.IntN(len(d.past))]
	content.Write(a.content)
	for _, b := range d.past { // and others of that journal, in whatever order
		if b.journal == a.journal && d.rand.IntN(4) == 0 {
			content.Write(b.content)
		}
	}
	d.repeated.Add(1)
	return d.put(ctx, appended{a.journal, content.Bytes()})
}

// ledgerCounts are of all depositors.
type ledgerCounts struct{ published, repeated, rolled atomic.Int64 }
