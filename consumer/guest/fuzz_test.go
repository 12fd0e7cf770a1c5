package guest

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/message/committed"
)

// FuzzCommit: an answer is refused, or is a message that isn't much larger; and of what it publishes, each document is refused,
// or is published as JSON in which its UUID is found.
func FuzzCommit(f *testing.F) {
	for _, seed := range []string{
		`{"shard":"s","token":"t","puts":{"a":"1","b":""},"deletes":["c",{"key_base64":"/w=="}]}`,
		`{"shard":"s","token":"t","puts":[{"key":"a","value_base64":"/w=="}],"publishes":[{"journal":"j","document":{"_meta":{"uuid":1,"x":2},"y":3}}]}`,
		`{"shard":"s","token":"t","publishes":[{"selector":"a=b","key":"k","document":"a,b"}]}`,
		`{"shard":"s","token":"t","fail":{"journal":"j","offset":1,"text":"bad"}}`, `{}`, `{"puts":null}`,
	} {
		f.Add([]byte(seed))
	}
	pointer, err := committed.ParsePointer(defaultPointer)
	require.NoError(f, err)
	u := message.NewUUID(message.Producer{1, 2, 3, 4, 5, 6}, 1<<60, message.ContinueTxn)
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := decodeCommit(body)
		if err != nil {
			return
		}
		require.LessOrEqual(t, proto.Size(req), 4*len(body)/3+64)
		for _, p := range req.GetChanges().GetPublishes() {
			o, err := newObject(p.GetDocument())
			if err != nil {
				continue
			}
			o.SetUUID(u)
			out, err := json.Marshal(o)
			require.NoError(t, err)
			require.Equal(t, u, pointer.UUID(out), "%s", out)
		}
	})
}
