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

// Limits of a pause. While sweeps are paused, superseded keys stay valid and use staging labels,
// and a rotation needs five free labels. So a pause must not last longer than an incident.
const (
	MinPause = time.Minute
	MaxPause = 14 * 24 * time.Hour
)

// Paused is the result of [Operator.Pause] and [Operator.Resume].
type Paused struct {
	Secret string     `json:"secret"`
	ARN    string     `json:"arn"`
	Until  *time.Time `json:"pausedUntil"` // nil: sweeps are not paused
	Before *time.Time `json:"pausedUntilBefore,omitempty"`
	Reason string     `json:"reason,omitempty"`
}

// tagText matches the characters that AWS allows in the value of a tag (AWS: Tagging, "Tag naming
// limits and requirements"). The length is checked separately, because a pattern with {0,256} needs
// 10 MB of memory and a third of the start time of the command.
var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// CheckPause checks the length of a pause.
func CheckPause(length time.Duration) error {
	switch {
	case length < MinPause:
		return errors.New("is required and must be at least 1m, such as 4h")
	case length > MaxPause:
		return fmt.Errorf("must be at most %dh (14 days): during a pause, superseded keys stay valid and use labels "+
			"that rotations need", int(MaxPause.Hours()))
	}
	return nil
}

// CheckReason refuses a reason that is not a valid tag value, and a reason with a key, because tags
// are visible.
func CheckReason(reason string) error {
	if apikey.HasKey(reason) {
		return errors.New("must not hold a key, because whoever sees the tags would see it")
	}
	if !tagText.MatchString(reason) || utf8.RuneCountInString(reason) > 256 {
		return errors.New("must be a valid tag value: at most 256 letters, digits, spaces and characters of _.:/=+-@")
	}
	return nil
}

// Pause pauses the sweeps of a secret for a limited time, by Secrets Manager's clock, which sweeps
// use too. The pause is a staging label, because other tools may remove tags. The label is attached
// to the current version but counts on any version, so a rotation does not end the pause. The
// reason is a tag.
//
// The new label is attached before the labels and tags of an earlier pause are removed, so that the
// sweeps are paused at all times. A crash in between leaves both, and the later time counts until
// this command or resume runs again. If two commands run at the same time, both labels stay, and
// the later time counts. A sweep that is running revokes no more keys, because it checks for a
// pause before each revocation.
func (d *Operator) Pause(ctx context.Context, s *managed.Secret, length time.Duration, reason string) (Paused, error) {
	if err := errors.Join(CheckPause(length), CheckReason(reason)); err != nil {
		return Paused{}, err
	}
	if managed, err := s.Managed(ctx); err != nil {
		return Paused{}, err
	} else if !managed {
		return Paused{}, terminal.WithHint(fmt.Errorf("the secret %s is not managed, so it has no sweeps", s.Name),
			"to list the managed secrets: quilt-rotate status")
	}
	current, ok := s.Holder(vault.Current)
	if !ok {
		return Paused{}, terminal.WithHint(fmt.Errorf("the secret %s has no current version, so sweeps do nothing",
			s.Name), "to store its first key: quilt-rotate bootstrap "+s.Name)
	}
	if s.Labels() >= vault.LabelQuota {
		return Paused{}, terminal.WithHint(fmt.Errorf("all %d staging labels of %s are in use, and a pause needs "+
			"one; nothing was changed", vault.LabelQuota, s.Name),
			"to see what uses them: quilt-rotate doctor "+s.Name)
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
		if reason == "" { // the reason of an earlier pause does not apply to this pause
			off = append(off, settings.TagPauseReason)
		} else if err := d.Cloud.Tag(ctx, s.ARN, map[string]string{settings.TagPauseReason: reason}); err != nil {
			return err
		}
		return d.unpause(ctx, s, label, off)
	})
	return p, left(err, "to see whether the sweeps are paused: quilt-rotate status "+s.Name)
}

// Resume ends the pause of a secret: it removes all pause labels and tags. After a crash, some of
// them may be left, and another run removes them.
func (d *Operator) Resume(ctx context.Context, s *managed.Secret) (Paused, error) {
	p := Paused{Secret: s.Name, ARN: s.ARN, Before: managed.PausedUntil(s.Secret)}
	err := finish(ctx, func(ctx context.Context) error {
		return d.unpause(ctx, s, "", []string{settings.TagPauseUntil, settings.TagPauseReason})
	})
	return p, left(err, "to see whether the sweeps are paused: quilt-rotate status "+s.Name)
}

// unpause removes all pause labels except one, and those of the tags that exist.
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
