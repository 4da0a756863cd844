package awssecrets

import (
	"encoding/base64"
	"strconv"
	"strings"

	"quilt-rotate/internal/sandbox/awsjson"
)

// These functions check the limits of the API model. The documentation does not give the error for
// each limit. Here it is always InvalidParameterException, which every operation lists.

func checkSecretID(id string) error {
	if len(id) < 1 || len(id) > 2048 {
		return invalidParameter("SecretId must be 1-2048 characters long.")
	}
	return nil
}

func checkName(name string) error {
	valid := len(name) >= 1 && len(name) <= 512
	for _, c := range name {
		valid = valid && (isAlphanumeric(c) || strings.ContainsRune("/_+=.@-", c))
	}
	if !valid {
		return invalidParameter("Invalid name. Must be 1-512 alphanumeric characters, or any of the following: /_+=.@-")
	}
	return nil
}

func isAlphanumeric(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func checkDescription(text *string) error {
	if text != nil && len(*text) > 2048 {
		return invalidParameter("Description must be at most 2048 characters long.")
	}
	return nil
}

// checkToken checks a ClientRequestToken. The SDKs and the CLI fill it in if the caller omits it.
// The service refuses a request without one.
func checkToken(token string) error {
	if token == "" {
		return invalidRequest("You must provide a ClientRequestToken value. We recommend a UUID-type value.")
	}
	return checkVersionID("ClientRequestToken", token)
}

func checkVersionID(parameter, id string) error {
	if len(id) < 32 || len(id) > 64 {
		return invalidParameter("%s must be 32-64 characters long.", parameter)
	}
	return nil
}

func checkLabel(label string) error {
	if len(label) < 1 || len(label) > 256 {
		return invalidParameter("A staging label must be 1-256 characters long.")
	}
	return nil
}

// checkLabels checks VersionStages. It is nil if the caller omits it.
func checkLabels(labels []string) error {
	if labels != nil && (len(labels) < 1 || len(labels) > 20) {
		return invalidParameter("VersionStages must have 1-20 elements.")
	}
	for _, label := range labels {
		if err := checkLabel(label); err != nil {
			return err
		}
	}
	return nil
}

func checkRotationToken(token *string) error {
	if token == nil {
		return nil
	}
	valid := len(*token) >= 36 && len(*token) <= 256
	for _, c := range *token {
		valid = valid && (isAlphanumeric(c) || c == '-')
	}
	if !valid {
		return invalidParameter("RotationToken must be 36-256 alphanumeric characters or hyphens.")
	}
	return nil
}

const maxValue = 65536 // bytes, for text and for binary values

// valueOf returns the value of a request, or nil if the request has none.
func valueOf(text *string, binary []byte) (*value, error) {
	switch {
	case text != nil && binary != nil:
		return nil, invalidParameter("You can't specify both a binary secret value and a string secret value in the " +
			"same secret.")
	case text != nil:
		if len(*text) < 1 || len(*text) > maxValue {
			return nil, invalidParameter("SecretString must be 1-%d bytes long.", maxValue)
		}
		return &value{text: *text}, nil
	case binary != nil:
		if len(binary) < 1 || len(binary) > maxValue {
			return nil, invalidParameter("SecretBinary must be 1-%d bytes long.", maxValue)
		}
		return &value{binary: binary}, nil
	}
	return nil, nil
}

// page returns the bounds of one page of n elements, and the token of the next page, which is nil
// after the last page.
func page(n int, maxResults *int, nextToken *string) (from, to int, next *string, err error) {
	size := 100
	if maxResults != nil {
		if *maxResults < 1 || *maxResults > 100 {
			return 0, 0, nil, invalidParameter("MaxResults must be 1-100.")
		}
		size = *maxResults
	}
	if nextToken != nil {
		decoded, broken := base64.URLEncoding.DecodeString(*nextToken)
		if broken == nil {
			from, broken = strconv.Atoi(string(decoded))
		}
		if broken != nil || from < 0 || from > n {
			return 0, 0, nil, awsjson.Faultf("InvalidNextTokenException", "The NextToken value is invalid.")
		}
	}
	if to = from + size; to >= n {
		return from, n, nil, nil
	}
	token := base64.URLEncoding.EncodeToString([]byte(strconv.Itoa(to)))
	return from, to, &token, nil
}
