package managed_test

import (
	"testing"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/quilt"
)

func TestALabelHidesNoHeldKey(t *testing.T) {
	// Protects a key that a value holds from a label that names another: whoever stores a value by hand moves no label.
	key, err := apikey.Parse("qk_abcdefghijklmnopqrstuvwxyz0123456789")
	if err != nil {
		t.Fatal(err)
	}
	held := managed.Holding{KeyID: "labelled", Key: key}
	for _, c := range []struct {
		row  quilt.APIKey
		want bool
	}{
		{quilt.APIKey{ID: "held", Fingerprint: key.Fingerprint()}, true},
		{quilt.APIKey{ID: "labelled", Fingerprint: "qk_xyz...abc"}, true},
		{quilt.APIKey{ID: "other", Fingerprint: "qk_xyz...abc"}, false},
	} {
		if got := held.Is(c.row); got != c.want {
			t.Errorf("%s: %v", c.row.ID, got)
		}
	}
	if (managed.Holding{Key: key}).Is(quilt.APIKey{Fingerprint: "qk_xyz...abc"}) {
		t.Error("two unknown ids are taken for one key")
	}
}
