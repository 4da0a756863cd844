package start

import (
	"math"
	"runtime/debug"
	"strconv"

	"quilt-rotate/internal/settings"
)

// heapShare is the share of the function's memory that Go may use before it collects garbage more
// often. The rest is for the program itself.
const heapShare = 0.75

// limitMemory sets Go's memory limit from the function's memory, which Go does not detect. Without
// the limit, the list of a user with a hundred thousand keys needs 50% more memory. If GOMEMLIMIT
// is set, limitMemory does nothing.
func limitMemory(lookup settings.Lookup) {
	if _, set := lookup("GOMEMLIMIT"); set {
		return
	}
	if limit := memoryLimit(lookup); limit < math.MaxInt64 {
		debug.SetMemoryLimit(limit)
	}
}

// memoryLimit returns the limit in bytes, or [math.MaxInt64] if the function's memory is not known.
func memoryLimit(lookup settings.Lookup) int64 {
	text, _ := lookup("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") // in MB
	megabytes, err := strconv.Atoi(text)
	if err != nil || megabytes <= 0 {
		return math.MaxInt64
	}
	return int64(heapShare * float64(megabytes<<20))
}
