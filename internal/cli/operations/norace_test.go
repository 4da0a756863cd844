//go:build !race

package operations_test

const raced = false
