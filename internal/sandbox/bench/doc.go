// Package bench measures what quilt-rotate costs: `make bench` runs its benchmarks, and
// docs/performance.md holds what they said.
//
// Each figure stands beside another that the same run measured, in turns: the smallest handler that
// Lambda can run, the smallest one that uses the SDK, the time that the services or the way to them
// took, a user with few keys. So a ratio means something on a machine that others use, too; the
// ratios of a run are what the goals are about, and benchstat compares runs. Only the demo, which a
// person waits for, stands alone.
//
// It relies on the functions as they are deployed, built by the flags of the Makefile, in the
// sandbox's Lambda host. It has no tests: clocks are no judges of a change.
// It is a package of its own, of benchmarks only, because it starts the whole sandbox.
package bench
