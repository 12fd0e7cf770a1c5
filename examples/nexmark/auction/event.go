package auction

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"
)

var (
	firstNames = []string{"Ada", "Ben", "Chloe", "Deniz", "Emil", "Farah", "Goran", "Hana", "Ivan", "Jun", "Kofi"}
	lastNames  = []string{"Abbas", "Brandt", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Hoang", "Ito"}
	states     = []string{"AZ", "CA", "ID", "OR", "WA", "WY"}
	cities     = []string{"Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"}
	channels   = []string{"Google", "Facebook", "Baidu", "Apple"}
)

const letters = "abcdefghijklmnopqrstuvwxyz"

// AppendJSON appends event n to dst as one JSON line, with its newline, and tells its
// kind. Times are RFC 3339 in UTC.
func (g *Generator) AppendJSON(dst []byte, n int64) ([]byte, Kind) {
	r := g.random(n)
	kind := KindOf(n)
	w := line{dst: append(dst, '{')}
	from := len(w.dst)
	switch kind {
	case Person:
		g.person(&w, r, n)
		w.pad(r, averagePerson, from)
	case Auction:
		g.auction(&w, r, n)
		w.pad(r, averageSale, from)
	case Bid:
		g.bid(&w, r, n)
		w.pad(r, averageBid, from)
	}
	return append(w.dst, '}', '\n'), kind
}

func (g *Generator) person(w *line, r *rand.Rand, n int64) {
	first, last := pick(r, firstNames), pick(r, lastNames)
	w.int("id", firstPerson+lastPerson(n))
	w.string("name", first+" "+last)
	w.string("email", word(r, 7)+"@"+word(r, 5)+".com")
	w.string("credit_card", digits(r)+" "+digits(r)+" "+digits(r)+" "+digits(r))
	w.string("city", pick(r, cities))
	w.string("state", pick(r, states))
	w.time("date_time", g.timeOf(n))
}

func (g *Generator) auction(w *line, r *rand.Rand, n int64) {
	initial := price(r)
	seller := anyPerson(r, n)
	if hot(r, 4) {
		seller = lastPerson(n) / hotBlock * hotBlock
	}
	at := g.timeOf(n)
	// The horizon in which as many auctions appear as are in flight.
	horizon := time.Duration(inFlight*cycle/auctionShare) * g.cfg.Interval
	w.int("id", firstAuction+lastAuction(n))
	w.string("item_name", word(r, 8)+" "+word(r, 9))
	w.string("description", word(r, 20)+" "+word(r, 30)+" "+word(r, 25))
	w.int("initial_bid", initial)
	w.int("reserve", initial+price(r))
	w.time("date_time", at)
	w.time("expires", at.Add(1+time.Duration(r.Int64N(2*int64(horizon)))))
	w.int("seller", firstPerson+seller)
	w.int("category", firstCategory+r.Int64N(categories))
}

func (g *Generator) bid(w *line, r *rand.Rand, n int64) {
	auction, bidder := anyAuction(r, n), anyPerson(r, n)
	if hot(r, 2) {
		auction = max(lastAuction(n), 0) / hotBlock * hotBlock
	}
	if hot(r, 4) {
		bidder = lastPerson(n)/hotBlock*hotBlock + 1
	}
	channel, url := channelOf(r)
	w.int("auction", firstAuction+auction)
	w.int("bidder", firstPerson+bidder)
	w.int("price", price(r))
	w.string("channel", channel)
	w.string("url", url)
	w.time("date_time", g.timeOf(n))
}

// channelOf is, half of the time, one of four with its own URL, else one of 10 000.
func channelOf(r *rand.Rand) (string, string) {
	if hot(r, 2) {
		c := pick(r, channels)
		return c, "https://www.nexmark.com/" + c + "/item.htm?query=1"
	}
	i := strconv.Itoa(r.IntN(10_000))
	return "channel-" + i, "https://www.nexmark.com/" + i + "/item.htm?query=1&channel_id=" + i
}

// price in cents, log-uniform over six decades.
func price(r *rand.Rand) int64 { return int64(math.Round(math.Pow(10, 6*r.Float64()) * 100)) }

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

func word(r *rand.Rand, n int) string {
	b := make([]byte, 3+r.IntN(n))
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

func digits(r *rand.Rand) string {
	b := make([]byte, 4)
	for i := range b {
		b[i] = byte('0' + r.IntN(10))
	}
	return string(b)
}

// line appends the fields of a JSON object. Names and strings here need no escaping.
type line struct {
	dst []byte
	any bool
}

func (w *line) name(name string) {
	if w.any {
		w.dst = append(w.dst, ',')
	}
	w.any = true
	w.dst = append(append(append(w.dst, '"'), name...), '"', ':')
}

func (w *line) int(name string, v int64) {
	w.name(name)
	w.dst = strconv.AppendInt(w.dst, v, 10)
}

func (w *line) string(name, v string) {
	w.name(name)
	w.dst = append(append(append(w.dst, '"'), v...), '"')
}

func (w *line) time(name string, t time.Time) {
	w.name(name)
	w.dst = append(t.UTC().AppendFormat(append(w.dst, '"'), "2006-01-02T15:04:05.000000Z"), '"')
}

// pad adds the field extra, so that events have the average size give or take a fifth.
func (w *line) pad(r *rand.Rand, average, from int) {
	w.name("extra")
	w.dst = append(w.dst, '"')
	want := average*4/5 + r.IntN(average*2/5+1)
	for len(w.dst)-from < want {
		w.dst = append(w.dst, letters[r.IntN(len(letters))])
	}
	w.dst = append(w.dst, '"')
}
