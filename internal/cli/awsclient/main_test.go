package awsclient_test

import (
	"os"
	"testing"

	"quilt-rotate/internal/sandbox/hermetic"
)

func TestMain(m *testing.M) {
	hermetic.Clear()
	os.Exit(m.Run())
}
