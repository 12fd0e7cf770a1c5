package parse

import (
	"math"

	pg "github.com/pganalyze/pg_query_go/v6"

	"broadsheet.dev/broadsheet/fragments/columnar"
)

// Prepare names a statement (PREPARE name (types) AS statement): a *Select or an *Insert.
type Prepare struct {
	at
	Name string
	// Types of the first parameters.
	Types     []columnar.Type
	Statement Statement
	// Size of the text, in bytes.
	Size int
}

// Execute runs a named statement.
type Execute struct {
	at
	Name string
	// Args is VALUES with one row: the arguments. Nil if there are none.
	Args *Select
}

// Deallocate forgets a named statement, or all of them with the name "".
type Deallocate struct {
	at
	Name string
}

// Discard forgets something of the session.
type Discard struct {
	at
	// What is ALL, PLANS, SEQUENCES or TEMP.
	What string
}

// Declare makes a cursor. Exactly one of Query and Subscribe is set.
type Declare struct {
	at
	Name      string
	Query     *Select
	Subscribe *Subscribe
	// Hold: it outlives the transaction. Binary: its values come in their binary format.
	Hold, Binary bool
	Scroll       Choice
	// Size of the text, in bytes.
	Size int
}

// Direction of a FETCH or MOVE.
type Direction uint8

// The directions: what counts the rows is where the cursor is, but for Absolute, where it is the
// first row or, with a negative count, the last.
const (
	Forward Direction = iota
	Backward
	Absolute
	Relative
)

// FetchAll is a count of all rows that there are.
const FetchAll = math.MaxInt64

// Fetch takes rows of a cursor, or with Move passes over them.
type Fetch struct {
	at
	Cursor    string
	Move      bool
	Direction Direction
	Count     int64
	// Timeout is how long a subscription's rows are waited for, as it was given; nil if it wasn't.
	Timeout *string
}

// CloseCursor ends a cursor, or all of them with the name "".
type CloseCursor struct {
	at
	Name string
}

// Listen begins to listen to a channel.
type Listen struct {
	at
	Channel string
}

// Unlisten ends that, for all channels with the name "".
type Unlisten struct {
	at
	Channel string
}

// Notify sends a payload to who listens to a channel.
type Notify struct {
	at
	Channel, Payload string
}

// named converts the statements about what has a name in the session.
func (s source) named(node *pg.Node) (Statement, error) {
	switch n := node.GetNode().(type) {
	case *pg.Node_PrepareStmt:
		return asStatement(s.prepare(n.PrepareStmt))
	case *pg.Node_ExecuteStmt:
		return asStatement(s.execute(n.ExecuteStmt))
	case *pg.Node_DeallocateStmt:
		return &Deallocate{at: s.position(), Name: n.DeallocateStmt.GetName()}, nil
	case *pg.Node_DiscardStmt:
		return &Discard{at: s.position(), What: discarded(n.DiscardStmt.GetTarget())}, nil
	case *pg.Node_DeclareCursorStmt:
		return asStatement(s.declare(n.DeclareCursorStmt, nil))
	case *pg.Node_FetchStmt:
		return s.fetch(n.FetchStmt), nil
	case *pg.Node_ClosePortalStmt:
		return &CloseCursor{at: s.position(), Name: n.ClosePortalStmt.GetPortalname()}, nil
	case *pg.Node_ListenStmt:
		return &Listen{at: s.position(), Channel: n.ListenStmt.GetConditionname()}, nil
	case *pg.Node_UnlistenStmt:
		return &Unlisten{at: s.position(), Channel: n.UnlistenStmt.GetConditionname()}, nil
	default:
		notify := node.GetNotifyStmt()
		return &Notify{at: s.position(), Channel: notify.GetConditionname(), Payload: notify.GetPayload()}, nil
	}
}

func discarded(m pg.DiscardMode) string {
	switch m {
	case pg.DiscardMode_DISCARD_PLANS:
		return "PLANS"
	case pg.DiscardMode_DISCARD_SEQUENCES:
		return "SEQUENCES"
	case pg.DiscardMode_DISCARD_TEMP:
		return "TEMP"
	default:
		return "ALL"
	}
}

func (s source) prepare(n *pg.PrepareStmt) (*Prepare, error) {
	st := &Prepare{at: s.position(), Name: n.GetName(), Size: len(s.text)}
	for _, t := range n.GetArgtypes() {
		typ, err := s.columnType(t.GetTypeName())
		if err != nil {
			return nil, err
		}
		st.Types = append(st.Types, typ)
	}
	switch n.GetQuery().GetNode().(type) {
	case *pg.Node_UpdateStmt:
		return nil, s.atStart(refuse("UPDATE"))
	case *pg.Node_DeleteStmt:
		return nil, s.atStart(refuse("DELETE"))
	case *pg.Node_MergeStmt:
		return nil, s.atStart(refuse("MERGE"))
	}
	var err error
	st.Statement, err = s.statement(n.GetQuery())
	return st, err
}

func (s source) execute(n *pg.ExecuteStmt) (*Execute, error) {
	st := &Execute{at: s.position(), Name: n.GetName()}
	if len(n.GetParams()) == 0 {
		return st, nil
	}
	row := &pg.Node{Node: &pg.Node_List{List: &pg.List{Items: n.GetParams()}}}
	var err error
	st.Args, err = newSelect(s, selectNode(&pg.SelectStmt{ValuesLists: []*pg.Node{row}}))
	if err != nil {
		return nil, err
	}
	if len(st.Args.relations) > 0 {
		e := errorf(CodeNotSupported, "cannot use subquery in EXECUTE parameter")
		e.Position = st.Args.relations[0].Position
		return nil, e
	}
	return st, nil
}

// Options of a cursor, as the grammar has them.
const (
	cursorBinary   = 1 << 0
	cursorScroll   = 1 << 1
	cursorNoScroll = 1 << 2
	cursorHold     = 1 << 5
)

// declare converts DECLARE; subscribe stands in the query's place if it isn't nil.
func (s source) declare(n *pg.DeclareCursorStmt, subscribe *Subscribe) (*Declare, error) {
	st := &Declare{
		at: s.position(), Name: n.GetPortalname(), Subscribe: subscribe, Size: len(s.text),
		Hold: n.GetOptions()&cursorHold != 0, Binary: n.GetOptions()&cursorBinary != 0,
	}
	switch {
	case n.GetOptions()&cursorScroll != 0:
		st.Scroll = Yes
	case n.GetOptions()&cursorNoScroll != 0:
		st.Scroll = No
	}
	if subscribe != nil {
		return st, nil
	}
	var err error
	st.Query, err = s.query(n.GetQuery())
	return st, err
}

func (s source) fetch(n *pg.FetchStmt) *Fetch {
	st := &Fetch{at: s.position(), Cursor: n.GetPortalname(), Move: n.GetIsmove(), Count: n.GetHowMany()}
	switch n.GetDirection() {
	case pg.FetchDirection_FETCH_BACKWARD:
		st.Direction = Backward
	case pg.FetchDirection_FETCH_ABSOLUTE:
		st.Direction = Absolute
	case pg.FetchDirection_FETCH_RELATIVE:
		st.Direction = Relative
	default:
		st.Direction = Forward
	}
	if st.Count < 0 && st.Direction <= Backward { // FETCH -3 is BACKWARD 3
		st.Direction, st.Count = Backward-st.Direction, -max(st.Count, -FetchAll)
	}
	return st
}

// declareSubscribe parses DECLARE ... CURSOR FOR SUBSCRIBE ...: SUBSCRIBE by itself, and DECLARE by
// the grammar with a query in its place. At is the token SUBSCRIBE.
func (o *ourParser) declareSubscribe(at int) (Statement, error) {
	o.pos = at
	end := len(o.tokens)
	subscribe, err := o.subscribe(end)
	if err != nil {
		return nil, err
	}
	o.blank(at, end-1)
	o.put(at, "SELECT 1")
	node, err := o.grammar(string(o.masked))
	if err != nil {
		return nil, err
	}
	declare := node.GetDeclareCursorStmt()
	if declare == nil {
		return nil, o.syntaxError(at)
	}
	return asStatement(o.declare(declare, subscribe))
}

// fetchWith parses FETCH ... WITH (timeout = '1s'), whose WITH is token at.
func (o *ourParser) fetchWith(at int) (Statement, error) {
	if o.symbol(at+1) != "(" || o.symbol(at+3) != "=" || o.symbol(at+5) != ")" || at+6 != len(o.tokens) {
		return nil, o.syntaxError(at)
	}
	if o.word(at+2) != "timeout" {
		return nil, o.atToken(errorf(CodeInvalidParameter, "unrecognized parameter %q", o.raw(at+2)), at+2)
	}
	timeout := o.raw(at + 4)
	if o.isString(at + 4) {
		var err error
		if timeout, err = o.stringValue(at + 4); err != nil {
			return nil, err
		}
	}
	o.blank(at, at+5)
	node, err := o.grammar(string(o.masked))
	if err != nil {
		return nil, err
	}
	fetch := node.GetFetchStmt()
	if fetch == nil {
		return nil, o.syntaxError(at)
	}
	st := o.fetch(fetch)
	st.Timeout = &timeout
	return st, nil
}
