package main

import (
	"context"
	"os"
	"os/exec"
)

// Exit statuses of the program below.
const (
	notInstalled  = 3
	notConfigured = 4
)

// listKeys is a consumer in Python. Older releases of quilt3 read the registry only from the user's
// configuration, which this run does not change.
const listKeys = `
import os, sys
try:
    import quilt3
except ImportError:
    sys.exit(3)
key, registry = os.environ["QUILT_API_KEY"], os.environ["QUILT_API_KEY_REGISTRY"]
try:
    quilt3.login_with_api_key(key, registry_url=registry)
except TypeError:
    sys.exit(4)
sys.exit(0 if quilt3.api_keys.list() else "it lists no key")
`

// runQuilt3 lists the keys with quilt3, if it is installed.
func (l *life) runQuilt3(ctx context.Context) error {
	p := &program{}
	l.seen.Quilt3 = p
	if _, err := exec.LookPath("python3"); err != nil {
		p.Missing = "python3 is not installed on this machine"
		return errSkipped{p.Missing}
	}
	home, err := os.MkdirTemp("", "acceptance-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(home) }()
	// Only quilt3 gets another home folder, because the command reads its AWS credentials from the
	// user's.
	err = l.run.rotate(ctx, nil, "", "exec", l.service(), "--", "env", "HOME="+home, "XDG_DATA_HOME="+home,
		"XDG_CONFIG_HOME="+home, "python3", "-c", listKeys)
	switch errExit(err) {
	case notInstalled:
		p.Missing = "quilt3 is not installed on this machine: pip install quilt3"
		return errSkipped{p.Missing}
	case notConfigured:
		p.Missing = "this quilt3 does not take the registry of a key: pip install 'quilt3>=8.1'"
		return errSkipped{p.Missing}
	}
	if err != nil {
		p.Failed = err.Error()
	}
	return nil
}
