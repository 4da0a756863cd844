package start

import (
	"math"
	"runtime/debug"
	"testing"

	"quilt-rotate/internal/settings"
)

func TestTheMemoryLimitIsPartOfTheFunctionsMemory(t *testing.T) {
	// The limit leaves memory for the rest of the program. It is not set if the function's memory
	// is unknown or if GOMEMLIMIT is set.
	former := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(former)
	for _, test := range []struct {
		memory, own string
		want        int64
	}{
		{memory: "128", want: 96 << 20},
		{memory: "256", want: 192 << 20},
		{memory: "10240", want: 7680 << 20},
		{memory: "256", own: "64MiB", want: math.MaxInt64},
		{memory: "", want: math.MaxInt64},
		{memory: "0", want: math.MaxInt64},
		{memory: "-1", want: math.MaxInt64},
		{memory: "lots", want: math.MaxInt64},
	} {
		debug.SetMemoryLimit(math.MaxInt64)
		environment := map[string]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": test.memory}
		if test.own != "" {
			environment["GOMEMLIMIT"] = test.own
		}
		limitMemory(settings.Tags(environment))
		if got := debug.SetMemoryLimit(-1); got != test.want {
			t.Errorf("memory %q, own limit %q: the limit is %d, want %d", test.memory, test.own, got, test.want)
		}
	}
}
