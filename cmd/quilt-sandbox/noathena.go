//go:build noathena

package main

import "quilt-rotate/internal/sandbox/demo/scene"

// serveAthena adds nothing: a program built with the tag noathena, for demo and invoke, compiles
// without a database.
func serveAthena(*scene.Scene) [][2]string { return nil }
