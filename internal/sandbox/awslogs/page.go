package awslogs

import (
	"encoding/base64"
	"encoding/json"
)

// limit returns the size of a page: the value in the request, or the maximum.
func limit(requested *int, maximum int) (int, error) {
	if requested == nil {
		return maximum, nil
	}
	if *requested < 1 || *requested > maximum {
		return 0, invalidParameter("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: "+
			"Member must have value between 1 and %d", *requested, maximum)
	}
	return *requested, nil
}

// A pageStart is the content of a token. A token is refused in a request with other parameters.
type pageStart struct {
	Query string
	From  int
}

func token(query string, from int) string {
	text, err := json.Marshal(pageStart{query, from})
	if err != nil {
		panic(err) // a string and a number can always be encoded
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// position returns the position at which the page of a token begins, which is at most end. Without
// a token, it returns 0.
func position(token, query string, end int) (int, error) {
	if token == "" {
		return 0, nil
	}
	var p pageStart
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || json.Unmarshal(text, &p) != nil || p.Query != query || p.From < 0 || p.From > end {
		return 0, invalidParameter("The specified nextToken is invalid.")
	}
	return p.From, nil
}
