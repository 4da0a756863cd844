//go:build race

package main

// raced reports whether the race detector is on. It makes every program of a script slow, so most
// pages are tested only without it.
const raced = true
