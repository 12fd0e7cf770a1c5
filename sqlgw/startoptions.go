package sqlgw

import (
	"maps"
	"strings"
)

// commandLine are the settings of the startup packet's options: -c name=value and --name=value, in words as PostgreSQL parts them.
func commandLine(options string) (map[string]string, error) {
	out := map[string]string{}
	words := optionWords(options)
	for i := 0; i < len(words); i++ {
		assignment, ok := strings.CutPrefix(words[i], "--")
		if !ok {
			if assignment, ok = strings.CutPrefix(words[i], "-c"); ok && assignment == "" && i+1 < len(words) {
				i++
				assignment = words[i]
			}
		}
		name, value, assigned := strings.Cut(assignment, "=")
		if !ok || !assigned || name == "" {
			return nil, hinted(sqlError("42601", "invalid command-line argument for server process: %.100s", words[i]), "Options are -c name=value and --name=value.")
		}
		out[strings.ReplaceAll(name, "-", "_")] = value
	}
	return out, nil
}

// optionWords parts a text at blanks. A backslash takes the next character as it is.
func optionWords(text string) []string {
	var words []string
	var word strings.Builder
	inside := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case strings.IndexByte(" \t\n\r\v\f", c) >= 0:
			if inside {
				words = append(words, word.String())
				word.Reset()
			}
			inside = false
			continue
		case c == '\\' && i+1 < len(text):
			i++
		}
		word.WriteByte(text[i])
		inside = true
	}
	if inside {
		words = append(words, word.String())
	}
	return words
}

// startParameters are those of a startup packet, where what is said by name counts more than what options say.
func startParameters(params map[string]string) (map[string]string, error) {
	options, given := params["options"]
	if !given {
		return params, nil
	}
	all, err := commandLine(options)
	if err != nil {
		return nil, err
	}
	maps.Copy(all, params)
	delete(all, "options")
	return all, nil
}
