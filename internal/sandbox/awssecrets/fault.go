package awssecrets

import "quilt-rotate/internal/sandbox/awsjson"

func invalidParameter(format string, args ...any) error {
	return awsjson.Faultf("InvalidParameterException", format, args...)
}

func invalidRequest(format string, args ...any) error {
	return awsjson.Faultf("InvalidRequestException", format, args...)
}

func notFound(format string, args ...any) error {
	return awsjson.Faultf("ResourceNotFoundException", format, args...)
}

var (
	errNoSecret = notFound("Secrets Manager can't find the specified secret.")
	errMarked   = invalidRequest("You can't perform this operation on the secret because it was marked for deletion.")
	errReplica  = invalidRequest("Operation not permitted on a replica secret. Call must be made in primary " +
		"secret's region.")
	errIncomplete = invalidRequest("A previous rotation isn't complete. That rotation will be reattempted.")
)
