package operations

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/managed"
	"quilt-rotate/internal/settings"
	"quilt-rotate/internal/terminal"
	"quilt-rotate/internal/vault"
)

// Limits of a pause. While sweeps are paused, superseded keys stay valid and take staging labels,
// of which a rotation needs five. So a pause lasts no longer than an incident.
const (
	MinPause = time.Minute
	MaxPause = 14 * 24 * time.Hour
)

// Paused is until when the sweeps of a secret are paused.
type Paused struct {
	Secret string     `json:"secret"`
	ARN    string     `json:"arn"`
	Until  *time.Time `json:"pausedUntil"` // nil: sweeps are not paused
	Before *time.Time `json:"pausedUntilBefore,omitempty"`
	Reason string     `json:"reason,omitempty"`
}

// tagText is what AWS allows in a tag's value (AWS: Tagging, "Tag naming limits and requirements").
// The length is checked separately: a pattern with {0,256} needs 10 MB and a third of the command's
// start.
var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// CheckPause checks the length of a pause.
func CheckPause(length time.Duration) error {
	switch {
	case length < MinPause:
		return errors.New("must be given, such as 4h, and be at least 1m")
	case length > MaxPause:
		return fmt.Errorf("must be at most %dh (14 days): until then, superseded keys stay valid and take labels "+
			"that rotations need", int(MaxPause.Hours()))
	}
	return nil
}

// CheckReason refuses a reason that no tag can hold, and a key, which would be shown with the tags.
func CheckReason(reason string) error {
	if apikey.HasKey(reason) {
		return errors.New("must not hold a key, because whoever sees the tags would see it")
	}
	if !tagText.MatchString(reason) || utf8.RuneCountInString(reason) > 256 {
		return errors.New("must fit into a tag: at most 256 letters, digits, spaces and any of _.:/=+-@")
	}
	return nil
}

// Pause stops the sweeps of a secret for a while, counted by Secrets Manager's clock, which the
// sweep reads too. The pause is a staging label on the current version, because other tools remove
// tags; it counts wherever it sits, so a rotation does not end it. The reason is a tag.
//
// The new label comes first, and what paused before comes off last: so there is no moment without a
// pause. A crash in between leaves both, and the later counts until this command or resume runs
// again. A lost answer is looked up in the vault. Of two at once both labels stay, and the later
// counts. A sweep that began before revokes nothing more, because each revocation looks for a
// pause.
func (d *Operator) Pause(ctx context.Context, s *managed.Secret, length time.Duration, reason string) (Paused, error) {
	if err := errors.Join(CheckPause(length), CheckReason(reason)); err != nil {
		return Paused{}, err
	}
	if managed, err := s.Managed(ctx); err != nil {
		return Paused{}, err
	} else if !managed {
		return Paused{}, terminal.WithHint(fmt.Errorf("the secret %s is not managed, so no sweep looks at it", s.Name),
			"see which secrets are: quilt-rotate status")
	}
	current, ok := s.Holder(vault.Current)
	if !ok {
		return Paused{}, terminal.WithHint(fmt.Errorf("the secret %s has no current version, so no sweep does anything",
			s.Name), "store its first key: quilt-rotate bootstrap "+s.Name)
	}
	if s.Labels() >= vault.LabelQuota {
		return Paused{}, terminal.WithHint(fmt.Errorf("all %d staging labels of %s are in use, and a pause needs "+
			"one; nothing was changed", vault.LabelQuota, s.Name),
			"see what holds them: quilt-rotate doctor "+s.Name)
	}
	until := s.Now.Add(length).UTC().Truncate(time.Second)
	p := Paused{Secret: s.Name, ARN: s.ARN, Until: &until, Before: managed.PausedUntil(s.Secret), Reason: reason}
	label := vault.PauseLabel(until)
	err := finish(ctx, func(ctx context.Context) error {
		if _, there := s.Holder(label); !there {
			if err := d.Cloud.Vault.Attach(ctx, s.ARN, label, current.ID); err != nil {
				return err
			}
		}
		off := []string{settings.TagPauseUntil}
		if reason == "" { // the reason of the former pause does not hold for this one
			off = append(off, settings.TagPauseReason)
		} else if err := d.Cloud.Tag(ctx, s.ARN, map[string]string{settings.TagPauseReason: reason}); err != nil {
			return err
		}
		return d.unpause(ctx, s, label, off)
	})
	return p, left(err, "see whether the sweeps are paused: quilt-rotate status "+s.Name)
}

// Resume lets the sweeps of a secret go on: it takes off every pause label and tag. A crash in
// between leaves some of them, and running it again takes those off.
func (d *Operator) Resume(ctx context.Context, s *managed.Secret) (Paused, error) {
	p := Paused{Secret: s.Name, ARN: s.ARN, Before: managed.PausedUntil(s.Secret)}
	err := finish(ctx, func(ctx context.Context) error {
		return d.unpause(ctx, s, "", []string{settings.TagPauseUntil, settings.TagPauseReason})
	})
	return p, left(err, "see whether the sweeps are paused: quilt-rotate status "+s.Name)
}

// unpause takes off all pause labels but one, and those of the tags that are there.
func (d *Operator) unpause(ctx context.Context, s *managed.Secret, but string, tags []string) error {
	for _, v := range s.Sorted() {
		for _, until := range v.Pauses {
			if label := vault.PauseLabel(until); label != but {
				if err := d.Cloud.Vault.Detach(ctx, s.ARN, label, v.ID); err != nil {
					return err
				}
			}
		}
	}
	return d.Cloud.Untag(ctx, s.ARN,
		slices.DeleteFunc(tags, func(name string) bool { _, there := s.Tags[name]; return !there })...)
}
