package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"broadsheet.dev/broadsheet/examples/exampletest"
	"broadsheet.dev/broadsheet/message"
	"broadsheet.dev/broadsheet/protocol"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

// text of which a line each is appended.
var text = []string{
	"The quick brown fox jumps over the lazy dog.", "Der Fuchs, der braune, springt \u00fcber den Hund!", "", "the the THE dog", "a",
}

// ask a host how often a word was there. It is -1 if the host can't tell now.
func ask(t *testing.T, host *exampletest.Member, word string) int {
	t.Helper()
	r, err := http.Get(host.URL + "/count?word=" + url.QueryEscape(word))
	if err != nil {
		return -1
	}
	said, err := io.ReadAll(r.Body)
	require.NoError(t, r.Body.Close())
	if err != nil || r.StatusCode != http.StatusOK {
		return -1
	}
	var out struct {
		Word  string
		Count int
	}
	require.NoError(t, json.Unmarshal(said, &out))
	require.Equal(t, strings.ToLower(word), out.Word)
	return out.Count
}

// TestWordCount: processes that split and count are killed meanwhile; each word is counted once, and any process knows.
func TestWordCount(t *testing.T) {
	f := exampletest.New(t)
	f.Journal("text/lines", message.JSONLines, protocol.LabelMessageType, lines)
	hosts := []*exampletest.Member{f.Host(), f.Host()}
	const parts, rounds, times = 3, 4, 50
	for n := range parts {
		f.Journal(fmt.Sprintf("words/part-%03d", n), message.JSONLines, protocol.LabelMessageType, words)
	}
	for n := range parts {
		f.Shard(hosts[0], fmt.Sprintf("part-%03d", n), []string{fmt.Sprintf("words/part-%03d", n)})
	}
	f.Shard(hosts[0], "split", []string{"text/lines"})

	want := map[string]int{"the": 5, "dog": 2, "der": 2, "\u00fcber": 1, "fox": 1, "a": 1, "HUND": 1, "none": 0}
	for round := range rounds {
		for range times {
			var in strings.Builder
			for _, line := range text {
				require.NoError(t, json.NewEncoder(&in).Encode(map[string]string{"text": line}))
			}
			f.Append("text/lines", in.String())
		}
		exampletest.Until(t, "some of them are counted", func() bool { return ask(t, hosts[0], "the") > round*times*want["the"] })
		dies := hosts[round%2]
		dies.Again()
		dies.Ready()
	}
	for _, h := range hosts {
		for word, n := range want {
			got := -1
			exampletest.Until(t, word, func() bool { got = ask(t, h, word); return got >= n*rounds*times })
			require.Equal(t, n*rounds*times, got, word)
		}
	}
	for _, h := range hosts {
		h.Stop()
	}
}

// TestReadme: what README.md says works.
func TestReadme(t *testing.T) {
	require.Contains(t, exampletest.New(t).Readme("word-count"), `"word":"the"`)
}
