package awslambda

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// An Error is an error of the service. The function did not run.
type Error struct {
	Status  int    // the HTTP status
	Code    string // the exception, such as ResourceNotFoundException
	Message string
	Reason  string // only in a TooManyRequestsException
}

func (e *Error) Error() string { return fmt.Sprintf("lambda: %s: %s", e.Code, e.Message) }

func invalidParameter(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "InvalidParameterValueException",
		Message: fmt.Sprintf(format, args...)}
}

// A failure is the reason why an invocation has no answer from the function.
type failure struct {
	kind     string // the errorType
	message  string
	report   []byte // the error that the runtime reported, or nil
	timedOut bool
}

// answer returns the failure in the form that the service's caller gets.
func (f *failure) answer(requestID string) []byte {
	if f.report != nil {
		return f.report
	}
	return errorDocument(f.kind, fmt.Sprintf("RequestId: %s Error: %s", requestID, f.message))
}

// status returns the failure in the form of the REPORT line.
func (f *failure) status() string {
	if f.timedOut {
		return "Status: timeout"
	}
	return "Status: error\tError Type: " + f.kind
}

func errorDocument(kind, message string) []byte {
	document, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{kind, message})
	if err != nil {
		panic(err) // two strings can always be encoded
	}
	return document
}
