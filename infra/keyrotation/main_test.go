package keyrotation_test

import (
	"os"
	"testing"

	"github.com/aws/jsii-runtime-go"
)

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "keyrotation-")
	if err != nil {
		panic(err)
	}
	_ = os.Setenv("TMPDIR", folder) // the CDK's library leaves files behind
	status := m.Run()
	jsii.Close()
	_ = os.RemoveAll(folder)
	os.Exit(status)
}
