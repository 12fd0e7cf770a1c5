// Package flow finds which members should hold which items.
//
// # What
//
// A Network has members with a capacity in zones, and items that want a number of
// members each. It is a flow network: source -> item (capacity: what it wants) ->
// zone of the item -> member (capacity 1) -> sink (the member's capacity), and its
// solution is a flow. Solve mends the solution after changes; it never begins anew:
//
//  1. what exceeds a want, a capacity or the zones of an item is taken out of the flow,
//     so that a valid one is left;
//  2. each missing slot goes to the member with the least load that is allowed, and
//     where there is none, along an augmenting path of the residual network: an item
//     takes a full member, whose item takes another, and so on (Ford and Fulkerson;
//     a member from which a search found no way is dead until the phase ends, which
//     bounds all failing searches of a phase together by the size of the network);
//  3. what is left is placed with the zones' capacities lifted;
//  4. members that leave, which no path so far led to or over, give what they have along
//     paths to those that stay, then to those that leave later, and are given what is
//     still missing, the last to leave first;
//  5. load is evened out by paths that reduce cost, from a loaded member to a less
//     loaded one, until there is none: the optimal semi-matching of Harvey, Ladner,
//     Lovász and Tamir (2003), here with cost load²/capacity.
//
// So the cost of a Solve is that of the changes and of one look at each member, and a
// network that is loaded from nothing is solved in time linear in its slots. Gazette
// pushes preflows through preference pages that are presented lazily, from the start
// and in chunks of items to keep it linear; the pages are here the order of choices,
// and no chunks are needed. Pages, the first that has room wins: members that hold the
// item already; those that it prefers; zones that keep it spread evenly; zones that
// leave it in two at least; any.
//
// # Invariants
//
// After Solve:
//
//   - No item has more members than it wants, none twice, no member has more items
//     than its capacity.
//   - Those who stay fill as many slots as they could alone; so do they with the one that
//     leaves last, and so on: each that leaves has no item that could do without it.
//   - As many slots are filled as any assignment could fill. (With items that require
//     members and want several: as single exchanges could fill.)
//   - An item that wants two or more and has them isn't in one zone, if there is an
//     assignment with as many slots filled in which no item is. (While a member leaves:
//     if those who stay can fill all.)
//   - An item that requires members isn't given to others only.
//   - No single path over members that stay would even out the load further. Spread over more zones than two
//     goes before evenness up to a tenth.
//   - With nothing changed, Solve changes nothing; nor does a Network that is made from
//     the solution, but where zones are too small and items are left in one.
//
// # Goroutines
//
// None; a Network belongs to one caller.
//
// # Testing
//
// Properties over random networks and changes, with an independent maximum flow as the
// reference; the sizes that the design promises are measured by bench/allocator.
package flow
