// Package bench measures the time, memory and traffic that quilt-rotate needs. `make bench` runs
// the benchmarks, and docs/performance.md has the results.
//
// Each figure except the time of the demo is compared with a baseline, which the same run measures
// in turn with it: the smallest handler that Lambda can run, the smallest handler that uses the
// SDK, the time of the services or the network, or a user with few keys. Therefore the ratio of the
// two is also valid on a busy machine. The goals are ratios. Use benchstat to compare runs.
//
// The functions are built with the flags of the Makefile and run by the sandbox's Lambda host. The
// package has no tests, because no test may judge elapsed time.
package bench
