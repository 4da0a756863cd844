package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/cli/status"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/terminal"
)

type keysListCommand struct {
	keyLogin
	everybody
	jsonOption
	Email       string `placeholder:"ADDRESS" help:"Only keys of this user. Requires --admin."`
	Name        string `help:"Only keys with this name."`
	Fingerprint string `placeholder:"QK_ABC...XYZ" help:"Only keys with this fingerprint."`
	Status      string `enum:",ACTIVE,EXPIRED" default:"" placeholder:"STATUS" help:"Only keys with this status: ACTIVE or EXPIRED."`
}

// Help is the long help.
func (keysListCommand) Help() string {
	return `The newest key is first. The secret texts of the keys are not shown, because the registry does not store them.

  quilt-rotate keys list --secret prod/pipeline
  quilt-rotate keys list --admin --email svc-pipeline@example.com --status ACTIVE

With --json: an array [{keyId, keyName, fingerprint, owner, status, createdAt, expiresAt, lastUsedAt}]. lastUsedAt is
null if no use is recorded.`
}

func (o *keysListCommand) Run(ctx context.Context, c *terminal.Console) error {
	if o.Email != "" && !o.Admin {
		return &usageError{errors.New("--email: requires --admin: a user sees only their own keys")}
	}
	if _, err := apikey.Parse(o.Fingerprint); err == nil && !strings.Contains(o.Fingerprint, "...") {
		return &usageError{errors.New("--fingerprint: is a whole key, and shells keep a history of arguments: treat " +
			"the key as leaked (quilt-rotate emergency)")}
	}
	session, me, err := o.logIn(ctx, c)
	if err != nil {
		return err
	}
	if err := o.allow(me); err != nil {
		return err
	}
	keys, err := o.list(ctx, session)
	if err != nil {
		return err
	}
	slices.SortStableFunc(keys, func(a, b quilt.APIKey) int { return b.CreatedAt.Compare(a.CreatedAt) })
	if o.JSON {
		list := make([]shownKey, len(keys))
		for i, k := range keys {
			list[i] = shownKeyOf(k)
		}
		return c.JSON(list)
	}
	if len(keys) == 0 {
		_, err := fmt.Fprintln(c.Out, "no keys found")
		return err
	}
	if c.Watched() {
		_, err = fmt.Fprint(c.Out, o.forPeople(keys))
		return err
	}
	return c.Table(o.table(keys))
}

func (o *keysListCommand) list(ctx context.Context, s *quilt.Session) ([]quilt.APIKey, error) {
	if o.Admin {
		return s.AdminListKeys(ctx, quilt.AdminKeyFilter{Email: o.Email, Name: o.Name, Fingerprint: o.Fingerprint,
			Status: quilt.Status(o.Status)})
	}
	return s.ListKeys(ctx, quilt.KeyFilter{Name: o.Name, Fingerprint: o.Fingerprint, Status: quilt.Status(o.Status)})
}

// table returns one line for each key, for programs.
func (o *keysListCommand) table(keys []quilt.APIKey) terminal.Table {
	t := terminal.Table{Headers: []string{"id", "name", "fingerprint", "status", "created", "expires", "last used"}}
	if o.Admin {
		t.Headers = append(t.Headers, "owner")
	}
	for _, k := range keys {
		used := "never"
		if k.LastUsedAt != nil {
			used = k.LastUsedAt.UTC().Format(time.RFC3339)
		}
		row := []string{k.ID, k.Name, k.Fingerprint, strings.ToLower(string(k.Status)),
			k.CreatedAt.UTC().Format(time.RFC3339), k.ExpiresAt.UTC().Format(time.RFC3339), used, k.UserEmail}
		t.Rows = append(t.Rows, row[:len(t.Headers)])
	}
	return t
}

// forPeople returns two lines for each key, so that a narrow terminal does not break the id. Other
// commands need the id.
func (o *keysListCommand) forPeople(keys []quilt.APIKey) string {
	var lines strings.Builder
	for _, k := range keys {
		owner := ""
		if o.Admin {
			owner = "  " + k.UserEmail
		}
		expires := "expires " + keyExpires(k)
		if k.Status != quilt.Active {
			expires = "expired " + keyExpires(k)
		}
		fmt.Fprintf(&lines, "%s  %s\n  %s  %s\n", terminal.Strong.Render(terminal.Legible(k.Name)),
			terminal.Faint.Render(terminal.Legible(k.Fingerprint+owner)), terminal.Legible(k.ID),
			urgency(k).Render(expires)+", used "+keyUsed(k))
	}
	return lines.String()
}

// soon is how long before its expiry a key is shown in yellow.
const soon = 14 * 24 * time.Hour

func urgency(k quilt.APIKey) lipgloss.Style {
	switch {
	case k.Status != quilt.Active:
		return terminal.Bad
	case k.ExpiresAt.Sub(k.RegistryTime) < soon:
		return terminal.Warn
	}
	return lipgloss.NewStyle()
}

type keysGetCommand struct {
	ID keyID `arg:"" help:"Id of the key, as quilt-rotate keys list shows it."`
	keyLogin
	everybody
	jsonOption
}

// Help is the long help.
func (keysGetCommand) Help() string {
	return `Shows the name, owner, status and dates of a key, but not its secret text.

  quilt-rotate keys get 5f0c9a4e-6f0e-4a55-9d5f-0d9b7a8f5a11

With --json: an object {keyId, keyName, fingerprint, owner, status, createdAt, expiresAt, lastUsedAt}. lastUsedAt is
null if no use is recorded.`
}

func (o *keysGetCommand) Run(ctx context.Context, c *terminal.Console) error {
	session, me, err := o.logIn(ctx, c)
	if err != nil {
		return err
	}
	if err := o.allow(me); err != nil {
		return err
	}
	key, err := o.get(ctx, session, string(o.ID))
	if err != nil {
		return err
	}
	if key == nil {
		return o.unknownKey(string(o.ID), me)
	}
	if o.JSON {
		return c.JSON(shownKeyOf(*key))
	}
	return describeKey(c, *key)
}

// describeKey prints a key, with one property on each line.
func describeKey(c *terminal.Console, k quilt.APIKey) error {
	moment := func(t time.Time, relative string) string { return status.Clock(t) + "  " + relative }
	lastUsed := "no use is recorded"
	if k.LastUsedAt != nil {
		lastUsed = moment(*k.LastUsedAt, keyUsed(k))
	}
	var lines strings.Builder
	for _, line := range [][2]string{
		{"id", k.ID}, {"name", k.Name}, {"fingerprint", k.Fingerprint}, {"owner", k.UserEmail},
		{"status", strings.ToLower(string(k.Status))},
		{"created", moment(k.CreatedAt, terminal.Ago(k.RegistryTime.Sub(k.CreatedAt)))},
		{"expires", moment(k.ExpiresAt, keyExpires(k))},
		{"last used", lastUsed},
	} {
		fmt.Fprintf(&lines, "  %s %s\n", terminal.Faint.Render(fmt.Sprintf("%-12s", line[0])),
			terminal.Legible(line[1]))
	}
	_, err := fmt.Fprint(c.Out, lines.String())
	return err
}
