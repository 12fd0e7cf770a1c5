package allocator

import (
	"fmt"
	"strconv"
	"strings"
)

// separator of the parts of a member's or assignment's key. No part holds a byte
// that sorts at or before it, so that the assignments of an item sort together and
// before those of every item whose id begins with its own.
const separator = '#'

// MemberID names a member: a process in a zone.
type MemberID struct {
	Zone, Suffix string
}

// String is zone#suffix, as in the member's key.
func (m MemberID) String() string { return m.Zone + "#" + m.Suffix }

// AssignmentID names an assignment: slot Slot (0 is the primary) of Item is Member's.
type AssignmentID struct {
	Item   string
	Member MemberID
	Slot   int
}

// String is item#zone#suffix#slot, as in the assignment's key.
func (a AssignmentID) String() string {
	return a.Item + "#" + a.Member.String() + "#" + strconv.Itoa(a.Slot)
}

// ItemsPrefix is what the keys of all items begin with.
func ItemsPrefix(prefix string) string { return prefix + "/items/" }

// MembersPrefix is what the keys of all members begin with.
func MembersPrefix(prefix string) string { return prefix + "/members/" }

// AssignmentsPrefix is what the keys of all assignments begin with.
func AssignmentsPrefix(prefix string) string { return prefix + "/assign/" }

// ItemAssignmentsPrefix is what the keys of all assignments of one item begin with.
func ItemAssignmentsPrefix(prefix, item string) string {
	return AssignmentsPrefix(prefix) + item + string(separator)
}

// ItemKey is the key of an item.
func ItemKey(prefix, id string) string { return ItemsPrefix(prefix) + id }

// MemberKey is the key of a member.
func MemberKey(prefix, zone, suffix string) string {
	return MembersPrefix(prefix) + MemberID{Zone: zone, Suffix: suffix}.String()
}

// AssignmentKey is the key of an assignment.
func AssignmentKey(prefix, item, zone, suffix string, slot int) string {
	return AssignmentsPrefix(prefix) +
		AssignmentID{Item: item, Member: MemberID{Zone: zone, Suffix: suffix}, Slot: slot}.String()
}

// ParseItemKey returns the id in the key of an item.
func ParseItemKey(prefix, key string) (string, error) {
	id, ok := strings.CutPrefix(key, ItemsPrefix(prefix))
	if !ok || !validPart(id) {
		return "", fmt.Errorf("allocator: %q is not the key of an item", key)
	}
	return id, nil
}

// ParseMemberKey returns the member in its key.
func ParseMemberKey(prefix, key string) (MemberID, error) {
	rest, ok := strings.CutPrefix(key, MembersPrefix(prefix))
	parts := strings.Split(rest, string(separator))
	if !ok || len(parts) != 2 || !validPart(parts[0]) || !validPart(parts[1]) {
		return MemberID{}, fmt.Errorf("allocator: %q is not the key of a member", key)
	}
	return MemberID{Zone: parts[0], Suffix: parts[1]}, nil
}

// ParseAssignmentKey returns the assignment in its key.
func ParseAssignmentKey(prefix, key string) (AssignmentID, error) {
	rest, ok := strings.CutPrefix(key, AssignmentsPrefix(prefix))
	parts := strings.Split(rest, string(separator))
	if !ok || len(parts) != 4 || !validPart(parts[0]) || !validPart(parts[1]) || !validPart(parts[2]) {
		return AssignmentID{}, fmt.Errorf("allocator: %q is not the key of an assignment", key)
	}
	slot, err := strconv.Atoi(parts[3])
	if err != nil || slot < 0 || strconv.Itoa(slot) != parts[3] {
		return AssignmentID{}, fmt.Errorf("allocator: %q: %q is not a slot", key, parts[3])
	}
	return AssignmentID{Item: parts[0], Member: MemberID{Zone: parts[1], Suffix: parts[2]}, Slot: slot}, nil
}

// validPart tells whether s can stand between separators.
func validPart(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= separator })
}
