package awssecrets

import "fmt"

// A fault is an error of the service: a code that programs act on and a text that people read.
type fault struct {
	code    string
	message string
}

func (f *fault) Error() string { return f.code + ": " + f.message }

func faultf(code, format string, args ...any) error {
	return &fault{code: code, message: fmt.Sprintf(format, args...)}
}

func invalidParameter(format string, args ...any) error {
	return faultf("InvalidParameterException", format, args...)
}

func invalidRequest(format string, args ...any) error {
	return faultf("InvalidRequestException", format, args...)
}

func notFound(format string, args ...any) error {
	return faultf("ResourceNotFoundException", format, args...)
}

var (
	errNoSecret   = notFound("Secrets Manager can't find the specified secret.")
	errMarked     = invalidRequest("You can't perform this operation on the secret because it was marked for deletion.")
	errIncomplete = invalidRequest("A previous rotation isn't complete. That rotation will be reattempted.")
)
