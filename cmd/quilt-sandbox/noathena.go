//go:build noathena

package main

import "quilt-rotate/internal/sandbox/demo/scene"

// serveAthena does nothing. With the tag noathena, the program is built without a database, which
// demo and invoke do not need.
func serveAthena(*scene.Scene) [][2]string { return nil }
