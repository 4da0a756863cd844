//go:build !race

package procedure_test

const raced = false
