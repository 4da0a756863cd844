package function

import (
	"math"
	"runtime/debug"
	"strconv"

	"quilt-rotate/internal/settings"
)

// heapShare is how much of the function's memory Go may use before it collects garbage more often; the rest is for the program's own pages.
const heapShare = 0.75

// limitMemory lets Go's garbage collector know how much memory the function has, which it does not find out by itself: a user with a hundred
// thousand keys has a list for which it would else take half as much again. GOMEMLIMIT, where it is set, holds in its place.
func limitMemory(lookup settings.Lookup) {
	if _, set := lookup("GOMEMLIMIT"); set {
		return
	}
	if limit := memoryLimit(lookup); limit < math.MaxInt64 {
		debug.SetMemoryLimit(limit)
	}
}

// memoryLimit is in bytes; none where Lambda does not tell the function's memory.
func memoryLimit(lookup settings.Lookup) int64 {
	text, _ := lookup("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") // in MB
	megabytes, err := strconv.Atoi(text)
	if err != nil || megabytes <= 0 {
		return math.MaxInt64
	}
	return int64(heapShare * float64(megabytes<<20))
}
