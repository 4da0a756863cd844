package sandbox

import (
	"net/http"
	"slices"

	"quilt-rotate/internal/sandbox/awsjson"
	"quilt-rotate/internal/sandbox/awssts"
	"quilt-rotate/internal/sandbox/wire"
)

// ExpiredToken is a hook that refuses every AWS call because the credentials have expired:
//
//	defer s.Hooks.Set(sandbox.ExpiredToken)()
//
// Requests to the registry are not refused. The functions' own calls are also refused. To exclude
// them, call next for requests that are not signed with [AccessKeyID].
func ExpiredToken(c *wire.Call, next func()) {
	code := "ExpiredTokenException"
	if c.Service == sts {
		code = "ExpiredToken"
	}
	refuse(c, next, code, "The security token included in the request is expired")
}

// AccessDenied returns a hook that refuses these IAM actions, such as
// "secretsmanager:RotateSecret", "lambda:InvokeFunction" or "ecs:UpdateService".
func AccessDenied(actions ...string) wire.Hook {
	return func(c *wire.Call, next func()) {
		action := actionOf(c)
		if !slices.Contains(actions, action) {
			next()
			return
		}
		code := "AccessDeniedException"
		if c.Service == sts {
			code = "AccessDenied"
		}
		refuse(c, next, code, "User: "+caller.UserARN()+" is not authorized to perform: "+action+
			" because no identity-based policy allows the "+action+" action")
	}
}

// actionOf returns the IAM action of a call. It has the name of the operation, except for Invoke.
func actionOf(c *wire.Call) string {
	operation := c.Operation
	if c.Service == lambda && operation == "Invoke" {
		operation = "InvokeFunction"
	}
	return c.Service + ":" + operation
}

// refuse answers a call with an error, in the protocol of its AWS service.
func refuse(c *wire.Call, next func(), code, message string) {
	fault := &awsjson.Fault{Code: code, Message: message}
	switch c.Service {
	case secretsManager:
		c.Respond(http.StatusBadRequest, string(awsjson.ErrorDocument("Message", fault)), "Content-Type",
			"application/x-amz-json-1.1")
	case logs, ecs, ssm, kms:
		c.Respond(http.StatusBadRequest, string(awsjson.ErrorDocument("message", fault)), "Content-Type",
			"application/x-amz-json-1.1")
	case lambda, scheduler:
		c.Respond(http.StatusForbidden, string(awsjson.ErrorDocument("Message", fault)), "Content-Type",
			"application/json", "X-Amzn-Errortype", code)
	case sts:
		c.Respond(http.StatusForbidden, string(awssts.ErrorDocument(code, message)), "Content-Type", "text/xml")
	default:
		next() // the registry is not an AWS service
	}
}
