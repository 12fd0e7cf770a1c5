// Package auction generates the events of an online auction: the NEXMark benchmark's
// persons, auctions and bids.
//
// # What
//
// Of each 50 events one is a person, three are auctions and 46 are bids. Every event is
// a pure function of the configuration and its number, so that generation can be
// parallel, resumed and replayed. Keys are skewed as in NEXMark: half of the bids go to
// the hot auction, three quarters come from the hot bidder. The figures are those of the
// NEXMark suite's generator configuration (github.com/nexmark/nexmark).
package auction
