package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/consumer"
	"broadsheet.dev/broadsheet/consumer/shards"
	"broadsheet.dev/broadsheet/examples/exampletest"
	"broadsheet.dev/broadsheet/message"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

const accounts = 3

// world is a shard of two processes, and its journals.
type world struct {
	*exampletest.Fleet

	t     *testing.T
	hosts []*exampletest.Member
	good  int // payments of a cent that were appended
}

func newWorld(t *testing.T, bad string) *world {
	t.Helper()
	w := &world{Fleet: exampletest.New(t), t: t}
	for _, name := range []string{"bank/payments", "bank/balances", "bank/bad"} {
		w.Journal(name, message.JSONLines)
	}
	w.hosts = []*exampletest.Member{w.Host("--bad", bad), w.Host("--bad", bad)}
	return w
}

// shard has messages skipped, which are named as <journal>=<offset>.
func (w *world) shard(skip ...string) {
	w.t.Helper()
	labels := []string{labelBalances, "bank/balances", consumer.LabelDeadLetters, "bank/bad"}
	for _, s := range skip {
		labels = append(labels, consumer.LabelSkip, s)
	}
	w.Shard(w.hosts[0], "bank", []string{"bank/payments"}, labels...)
}

// pay a cent, many times.
func (w *world) pay() {
	w.t.Helper()
	var text strings.Builder
	for range 200 {
		fmt.Fprintf(&text, "{\"account\":\"a%d\",\"cents\":1}\n", w.good%accounts)
		w.good++
	}
	w.Append("bank/payments", text.String())
}

// booked payments: each was once, and in order.
func (w *world) booked() int {
	w.t.Helper()
	cents, n := map[string]int64{}, 0
	for _, b := range exampletest.Committed(w.Fleet, "bank/balances", func() *Balance { return new(Balance) }) {
		cents[b.Account]++
		require.Equal(w.t, cents[b.Account], b.Cents, b.Account)
		n++
	}
	return n
}

func (w *world) awaitAll() {
	w.t.Helper()
	exampletest.Until(w.t, "all payments are booked", func() bool { return w.booked() >= w.good })
	require.Equal(w.t, w.good, w.booked())
}

func (w *world) letters() []*consumer.DeadLetter {
	w.t.Helper()
	return exampletest.Committed(w.Fleet, "bank/bad", func() *consumer.DeadLetter { return new(consumer.DeadLetter) })
}

// bad are lines that can't be booked, and what is wrong.
var bad = []struct{ line, wrong string }{
	{`{"account":"a1","cents":-7}`, "-7 cents are no payment"},
	{`{"account":"a1","cents":"many"}`, "cannot unmarshal string"},
	{`{"cents":1}`, "it has no account"},
}

func (w *world) requireLetter(i int, line, wrong string) {
	w.t.Helper()
	exampletest.Until(w.t, "the dead letter is there", func() bool { return len(w.letters()) > i })
	letters := w.letters()
	require.Len(w.t, letters, i+1)
	require.Equal(w.t, line, strings.TrimSuffix(string(letters[i].Bytes), "\n"))
	require.Contains(w.t, letters[i].Error, wrong)
	require.Equal(w.t, "bank/payments", letters[i].Journal)
	require.Equal(w.t, "bank", letters[i].Shard)
}

// TestFail: the shard fails on a payment, also once the process that has it was killed; and goes on once it is to be skipped.
func TestFail(t *testing.T) {
	w := newWorld(t, "fail")
	w.shard()
	var skip []string
	for i, b := range append(bad, struct{ line, wrong string }{"no JSON", "invalid character"}) {
		w.pay()
		w.Append("bank/payments", b.line+"\n")
		w.pay()
		said := w.Await(w.hosts[0], "bank", shards.ReplicaStatus_FAILED)
		require.Contains(t, said, b.wrong)
		w.hosts[i%2].Again()
		w.hosts[i%2].Ready()
		said = w.Await(w.hosts[0], "bank", shards.ReplicaStatus_FAILED)
		m := regexp.MustCompile(`message of (\S+) at (\d+): `).FindStringSubmatch(said)
		require.Len(t, m, 3, said)
		skip = append(skip, m[1]+"="+m[2])
		w.shard(skip...)
		w.awaitAll()
		w.requireLetter(i, b.line, b.wrong)
	}
}

// TestPublish: the application publishes what it can't book, and goes on; processes are killed meanwhile.
func TestPublish(t *testing.T) {
	w := newWorld(t, "publish")
	w.shard()
	for i, b := range bad {
		before := w.booked()
		w.pay()
		w.Append("bank/payments", b.line+"\n")
		w.pay()
		exampletest.Until(t, "some are booked", func() bool { return w.booked() > before })
		w.hosts[i%2].Again()
		w.hosts[i%2].Ready()
		w.awaitAll()
		w.requireLetter(i, b.line, b.wrong)
	}
	for _, h := range w.hosts {
		h.Stop()
	}
}

// TestBadFlag: what isn't known is refused.
func TestBadFlag(t *testing.T) {
	out, err := exampletest.New(t).Run("--bad", "ignore", "--data-dir", t.TempDir(), "--consumer.bind", "127.0.0.1")
	require.Error(t, err)
	require.Contains(t, out, "--bad ignore: isn't fail or publish")
}

// TestReadme: what README.md says works.
func TestReadme(t *testing.T) {
	require.Contains(t, exampletest.New(t).Readme("dead-letter"), "-7 cents are no payment")
}
