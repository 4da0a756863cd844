package awslogs

import (
	"encoding/base64"
	"encoding/json"
)

// limit is the size of a page.
func limit(given *int, most int) (int, error) {
	if given == nil {
		return most, nil
	}
	if *given < 1 || *given > most {
		return 0, invalidParameter("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: "+
			"Member must have value between 1 and %d", *given, most)
	}
	return *given, nil
}

// A place is where the next page begins. It belongs to one question: with other parameters the
// token is refused.
type place struct {
	Question string
	From     int
}

func token(question string, from int) string {
	text, err := json.Marshal(place{question, from})
	if err != nil {
		panic(err) // a string and a number always encode
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// position is where the page of a token begins, among so many; without a token, at the first.
func position(token, question string, end int) (int, error) {
	if token == "" {
		return 0, nil
	}
	var p place
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || json.Unmarshal(text, &p) != nil || p.Question != question || p.From < 0 || p.From > end {
		return 0, invalidParameter("The specified nextToken is invalid.")
	}
	return p.From, nil
}
