//go:build !unix

package main

import "os"

func echoes(*os.File) bool { return false }
