package operations_test

import (
	"context"
	"testing"

	"quilt-rotate/internal/sandbox/sandboxtest"
	"quilt-rotate/internal/vault"
)

func TestRetryOfARotationDoesNotUndoARollback(t *testing.T) {
	// The retry would make the rolled-back key current again.
	r := sandboxtest.New(t)
	s := r.Secret("prod/rolled")
	before := s.Holder(vault.Current).ID
	rotateWithoutEnd(s)
	if _, err := newOperator(t, r).rollback(s.Name, ""); err != nil {
		t.Fatal(err)
	}
	if err := r.Secrets.Retry(s.ARN); err != nil {
		t.Fatal(err)
	}
	if err := r.Secrets.WaitRotation(context.Background(), s.ARN); err == nil {
		t.Error("the retry succeeded")
	}
	if now := s.Holder(vault.Current).ID; now != before {
		t.Errorf("the retry made %s current", now)
	}
	if err := s.Rotate(); err != nil {
		t.Errorf("the next rotation fails: %v", err)
	}
}
