package guest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"broadsheet.dev/broadsheet/consumer/guest/shardv1"
)

// TestDecode: the forms that an answer has.
func TestDecode(t *testing.T) {
	req, err := decodeCommit([]byte(`{"shard": "s", "token": "t", "puts": {"b": "1", "a": ""},
		"deletes": ["c", {"key_base64": "/w=="}, {"key": "d"}],
		"publishes": [{"journal": "j", "document": {"x": 1}}, {"selector": "a=b", "key": "k", "document": "a,\u0062"},
			{"journal": "j", "document_base64": ""}, {"journal": "j", "document": null, "document_base64": "/w=="}], "fail": null}`))
	require.NoError(t, err)
	require.True(t, proto.Equal(&shardv1.CommitRequest{Shard: "s", Token: "t", Changes: &shardv1.Changes{
		Puts:    []*shardv1.Entry{{Key: []byte("b"), Value: []byte("1")}, {Key: []byte("a"), Value: []byte("")}},
		Deletes: [][]byte{[]byte("c"), {0xff}, []byte("d")},
		Publishes: []*shardv1.Publish{
			{Journal: "j", Document: []byte(`{"x": 1}`)},
			{Selector: "a=b", Key: []byte("k"), Document: []byte("a,b")},
			{Journal: "j"},
			{Journal: "j", Document: []byte{0xff}},
		},
	}}, req), "%v", req)
	req, err = decodeCommit([]byte(`{"puts": [{"key": "a", "value_base64": "/w=="}, {"key_base64": "/w==", "value": "\ufffd"}]}`))
	require.NoError(t, err)
	require.True(t, proto.Equal(&shardv1.CommitRequest{Changes: &shardv1.Changes{
		Puts: []*shardv1.Entry{{Key: []byte("a"), Value: []byte{0xff}}, {Key: []byte{0xff}, Value: []byte("\ufffd")}},
	}}, req), "%v", req)
	req, err = decodeCommit([]byte(`{"fail": {"journal": "j", "offset": 7, "text": "bad"}}`))
	require.NoError(t, err)
	require.True(t, proto.Equal(&shardv1.CommitRequest{Failure: &shardv1.Failure{Journal: "j", Offset: 7, Text: "bad"}}, req), "%v", req)
}

// TestDecodeErrors say where it is that is wrong, what is there and what is wanted, and nothing of Go.
func TestDecodeErrors(t *testing.T) {
	for body, want := range map[string]string{
		``:                                   "the request has no body (expected an object of JSON)",
		`[]`:                                 "the request: is a list (expected an object)",
		` "x"`:                               "the request: is a string (expected an object)",
		`{`:                                  "the body isn't JSON: unexpected end of JSON input",
		`{} {}`:                              "the body isn't JSON: invalid character '{' after top-level value",
		"{\"shard\": \"\xff\"}":              "the body isn't UTF-8: bytes that aren't are sent in base 64, as document_base64, key_base64 and value_base64",
		`{"token": 7}`:                       "token: is a number (expected a string)",
		`{"Token": "t"}`:                     `the request has no field "Token" (it has deletes, fail, publishes, puts, shard, token)`,
		`{"puts": {"a": "1"}, "puts": {}}`:   `the request has "puts" twice`,
		`{"puts": {"a": "1", "\u0061": ""}}`: `puts has "a" twice`,
		`{"puts": {"a": 1}}`:                 `puts["a"]: is a number (expected a string)`,
		`{"puts": {"a": null}}`:              `puts["a"]: is null (expected a string)`,
		`{"puts": true}`:                     "puts: is true or false (expected an object of strings, or a list of entries)",
		`{"puts": ["a"]}`:                    "puts[0]: is a string (expected an object)",
		`{"puts": [{"key": "a"}]}`:           "puts[0] has neither value nor value_base64",
		`{"puts": [{"key": "a", "key_base64": "", "value": ""}]}`: "puts[0] has both key and key_base64",
		`{"puts": [{"key": "a", "value": "", "value": ""}]}`:      `puts[0] has "value" twice`,
		`{"puts": [{"key": "a", "value_base64": "/w"}]}`:          "puts[0].value_base64: isn't base 64, with its padding",
		`{"deletes": {}}`:                          "deletes: is an object (expected a list)",
		`{"deletes": ["a", 7]}`:                    "deletes[1]: is a number (expected a string, or an object with key_base64)",
		`{"deletes": [{"key": "a", "value": ""}]}`: `deletes[0] has no field "value" (it has key, key_base64)`,
		`{"deletes": ["\ud800"]}`:                  "deletes[0]: has half of a surrogate pair, which is no character",
		`{"publishes": [{"journal": "j"}]}`:        "publishes[0] has neither document nor document_base64",
		`{"publishes": [{"journal": "j", "document": 1, "document_base64": ""}]}`: "publishes[0] has both document and document_base64",
		`{"publishes": [{"journal": ["j"]}]}`:                                     "publishes[0].journal: is a list (expected a string)",
		`{"fail": "x"}`:                                                           "fail: is a string (expected an object)",
		`{"fail": {"offset": "1"}}`:                                               "fail.offset: is a string (expected a whole number)",
		`{"fail": {"offset": 1.5}}`:                                               "fail.offset: 1.5 isn't a whole number, or is too large",
		`{"fail": {"offset": 9223372036854775808}}`:                               "fail.offset: 9223372036854775808 isn't a whole number, or is too large",
		`{"fail": {}, "puts": {}}`:                                                "fail: can't be with puts, deletes and publishes",
	} {
		_, err := decodeCommit([]byte(body))
		require.EqualError(t, err, want, "%s", body)
	}
}
