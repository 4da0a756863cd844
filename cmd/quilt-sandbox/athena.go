//go:build !noathena

package main

import (
	"quilt-rotate/internal/sandbox/awsathena"
	"quilt-rotate/internal/sandbox/demo/scene"
)

// serveAthena adds an Athena that queries the audit trail of the sandbox's registry. It returns the
// variables that `quilt-rotate trail` needs.
func serveAthena(s *scene.Scene) [][2]string {
	s.ServeAthena(awsathena.New(awsathena.Options{Clock: s.Clock, Trail: s.Registry}), awsathena.Operation)
	return [][2]string{{"QUILT_AUDIT_DATABASE", awsathena.DefaultDatabase},
		{"QUILT_AUDIT_WORKGROUP", awsathena.DefaultWorkgroup}}
}
