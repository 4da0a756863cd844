package awslambda

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// An Error is a refusal by the service: the function did not run.
type Error struct {
	Status  int    // of HTTP
	Code    string // the exception, such as ResourceNotFoundException
	Message string
	Reason  string // of a TooManyRequestsException
}

func (e *Error) Error() string { return fmt.Sprintf("lambda: %s: %s", e.Code, e.Message) }

func invalidParameter(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "InvalidParameterValueException",
		Message: fmt.Sprintf(format, args...)}
}

// A failure is why an invocation has no answer of the function's own making.
type failure struct {
	kind     string // the errorType
	message  string
	posted   []byte // what the runtime itself reported, if it did
	timedOut bool
}

// answer is the failure as the service's caller sees it.
func (f *failure) answer(requestID string) []byte {
	if f.posted != nil {
		return f.posted
	}
	return errorDocument(f.kind, fmt.Sprintf("RequestId: %s Error: %s", requestID, f.message))
}

// status is the failure as the REPORT line tells it.
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
		panic(err) // two strings always encode
	}
	return document
}
