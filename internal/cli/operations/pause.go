package operations

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/hint"
	"quilt-rotate/internal/settings"
)

// Limits of a pause. A shorter one is over before anybody has looked. While sweeps are paused, replaced keys live on and take staging labels, of which a
// rotation needs five: so nobody shall forget a pause for longer than an incident lasts.
const (
	MinPause = time.Minute
	MaxPause = 14 * 24 * time.Hour
)

// Paused tells how the sweeps of a secret are paused.
type Paused struct {
	Secret string     `json:"secret"`
	ARN    string     `json:"arn"`
	Until  *time.Time `json:"pausedUntil"` // nil: sweeps go on
	Before *time.Time `json:"pausedUntilBefore,omitempty"`
	Reason string     `json:"reason,omitempty"`
}

// tagText is what AWS takes in a tag's value (AWS: Tagging, "Tag naming limits and requirements").
var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$`)

// CheckPause refuses a length that no pause can have.
func CheckPause(length time.Duration) error {
	switch {
	case length < MinPause:
		return fmt.Errorf("must be at least 1m: a shorter pause is over before anybody has looked")
	case length > MaxPause:
		return fmt.Errorf("must be at most %dh (14 days): keys that should be revoked live on meanwhile, and take labels that rotations need", int(MaxPause.Hours()))
	}
	return nil
}

// CheckReason refuses what no tag can hold, and a key in it, which would be shown wherever tags are.
func CheckReason(reason string) error {
	if apikey.HasKey(reason) {
		return errors.New("must not hold a key: whoever sees the tags would see it")
	}
	if !tagText.MatchString(reason) {
		return errors.New("must fit into a tag: at most 256 letters, digits, spaces and any of _.:/=+-@")
	}
	return nil
}

// CheckTags refuses a key in tags that are to be written. The name of a field may look like one, and is compared with the value's own names.
func CheckTags(tags map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		if name != settings.TagField && apikey.HasKey(tags[name]) {
			return hint.With(fmt.Errorf("the tag %s must not hold a key: whoever sees the tags would see it", name),
				"shells keep a history of arguments: if it was a key, treat it as leaked (quilt-rotate emergency)")
		}
	}
	return nil
}

// Pause stops the sweeps of a secret for a while, counted by Secrets Manager's clock, which the sweep reads too.
//
// It is one write of tags. A crash before it changes nothing; after it, sweeps are paused; a lost answer is sent again by the SDK, to the same end. Of two at
// once the later one counts. A sweep that began before goes on to its end.
func (d *Operator) Pause(ctx context.Context, s *managed.Secret, length time.Duration, reason string) (Paused, error) {
	if err := errors.Join(CheckPause(length), CheckReason(reason), inCare(s)); err != nil {
		return Paused{}, err
	}
	until := s.Now.Add(length).UTC().Truncate(time.Second)
	err := finish(ctx, func(ctx context.Context) error {
		if reason == "" { // that of a former pause would be a lie
			if err := d.Cloud.Untag(ctx, s.ARN, settings.TagPauseReason); err != nil {
				return err
			}
			return d.Cloud.Tag(ctx, s.ARN, map[string]string{settings.TagPauseUntil: until.Format(time.RFC3339)})
		}
		return d.Cloud.Tag(ctx, s.ARN, map[string]string{settings.TagPauseUntil: until.Format(time.RFC3339), settings.TagPauseReason: reason})
	})
	return Paused{Secret: s.Name, ARN: s.ARN, Until: &until, Before: pausedUntil(s), Reason: reason}, left(err, "see whether the sweeps are paused: quilt-rotate status "+s.Name)
}

// Resume lets the sweeps of a secret go on. It is one write, like [Operator.Pause]'s; where nothing is paused there is none.
func (d *Operator) Resume(ctx context.Context, s *managed.Secret) (Paused, error) {
	p := Paused{Secret: s.Name, ARN: s.ARN, Before: pausedUntil(s)}
	_, tagged := s.Tags[settings.TagPauseUntil]
	if _, reasoned := s.Tags[settings.TagPauseReason]; !tagged && !reasoned {
		return p, nil
	}
	err := finish(ctx, func(ctx context.Context) error {
		return d.Cloud.Untag(ctx, s.ARN, settings.TagPauseUntil, settings.TagPauseReason)
	})
	return p, left(err, "see whether the sweeps are paused: quilt-rotate status "+s.Name)
}

// pausedUntil is when a pause that is not over yet ends; nil where there is none. A tag that is no time pauses nothing: the sweep refuses it.
func pausedUntil(s *managed.Secret) *time.Time {
	until, err := time.Parse(time.RFC3339, s.Tags[settings.TagPauseUntil])
	if err != nil || !s.Now.Before(until) {
		return nil
	}
	until = until.UTC()
	return &until
}

// inCare refuses a secret that no sweep looks at: a tag on it would make it look as if one did.
func inCare(s *managed.Secret) error {
	for name := range s.Tags {
		if strings.HasPrefix(name, settings.TagPrefix) {
			return nil
		}
	}
	if s.Rotation.Function != "" {
		return nil
	}
	return hint.With(fmt.Errorf("the secret %s is not in the care of quilt-rotate", s.Name), "see which are: quilt-rotate status")
}
