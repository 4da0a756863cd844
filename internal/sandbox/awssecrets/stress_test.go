package awssecrets_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"quilt-rotate/internal/sandbox/awssecrets"
)

// Every label is on exactly one version and one version is always current, whatever callers do at
// the same time.
func TestLabelsAreConsistentUnderConcurrency(t *testing.T) {
	s, r := startWithRotator(t, awssecrets.Options{RotationTries: 2})
	r.before = func(event) error {
		if rand.IntN(4) == 0 {
			return errStep
		}
		return nil
	}
	var callers sync.WaitGroup
	for caller := range 8 {
		callers.Go(func() {
			for i := range 40 {
				n := caller*100 + i + 2
				switch rand.IntN(8) { // errors are expected; checkLabels checks the result
				case 0:
					_ = s.put(n, fmt.Sprint("v", n))
				case 1:
					_ = s.put(n, fmt.Sprint("v", n), "AWSPENDING", "mine")
				case 2, 3:
					_ = s.rotate(n, nil)
				case 4:
					_ = s.Retry(name)
				case 5:
					if shot, err := s.Snapshot(name); err == nil {
						if v, held := shot.Holder("AWSPENDING"); held {
							_ = s.moveID("AWSPENDING", v.ID, "")
						}
					}
				case 6:
					if shot, err := s.Snapshot(name); err == nil {
						was, _ := shot.Holder("AWSCURRENT")
						_ = s.moveID("AWSCURRENT", was.ID, shot.Versions[0].ID)
					}
				case 7:
					s.SetReadLag(1)
				}
				checkLabels(t, s)
			}
		})
	}
	callers.Wait()
	_ = s.wait()
	checkLabels(t, s)
}

// checkLabels checks the conditions that hold between any two requests.
func checkLabels(t *testing.T, s *service) {
	shot, err := s.Snapshot(name)
	if err != nil {
		t.Error(err)
		return
	}
	holders := map[string]string{}
	for _, v := range shot.Versions {
		for _, stage := range v.Stages {
			if other, twice := holders[stage]; twice {
				t.Errorf("%s is on %s and %s", stage, other, v.ID)
			}
			holders[stage] = v.ID
		}
	}
	if current, held := shot.Holder("AWSCURRENT"); !held {
		t.Error("no version is current")
	} else if holders["AWSPREVIOUS"] == current.ID {
		t.Errorf("%s is current and previous", current.ID)
	}
}
