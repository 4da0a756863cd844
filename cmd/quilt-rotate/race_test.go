//go:build race

package main

// raced tells whether the race detector is on, under which every program that a script starts takes
// its time: then most pages are left to the run without it.
const raced = true
