package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/quilt"
)

// ask sends the requests of a rotation to the registry, with the current key of a secret. It
// creates one key that is valid for a day, and revokes it. If the program dies in between, the next
// sweep and the removal find the key by its name. ask fails if the registry does not answer.
func ask(ctx context.Context, client *quilt.Client, current apikey.Key, label, secretARN string,
	patience time.Duration) (*registryAnswers, error) {
	session, a := client.WithKey(current), &registryAnswers{}
	a.AskedName = apikey.Name(label+strings.Repeat("-longest", 4), time.Now(), secretARN)
	key, err := session.CreateKey(ctx, a.AskedName, 1)
	if unanswered(err) {
		return nil, err
	}
	if err != nil {
		a.Create = err.Error()
		return a, nil
	}
	a.GotName = key.Name
	a.logIn(ctx, client.WithKey(key.Secret), patience)
	if a.NotAccepted == "" {
		a.use(ctx, session, client.WithKey(key.Secret), key.ID, patience)
	}
	keys, err := session.ListKeys(ctx, quilt.KeyFilter{})
	if unanswered(err) {
		return nil, errors.Join(err, session.RevokeKey(ctx, key.ID))
	}
	if err != nil {
		a.List = err.Error()
	} else if !listed(keys, key.ID) {
		a.List = "the list does not have the key that it created"
	}
	return a, a.revoke(ctx, session, client.WithKey(key.Secret), key)
}

// unanswered reports whether the error says nothing about the registry, such as a network error.
func unanswered(err error) bool {
	_, down := errors.AsType[*quilt.UnavailableError](err)
	_, lost := errors.AsType[*quilt.AnswerLostError](err)
	return down || lost
}

func listed(keys []quilt.APIKey, id string) bool {
	for _, k := range keys {
		if k.ID == id {
			return true
		}
	}
	return false
}

// logIn logs in with a new key until it is accepted.
func (a *registryAnswers) logIn(ctx context.Context, session *quilt.Session, patience time.Duration) {
	began := time.Now()
	err := await(ctx, patience, func() (bool, error) {
		me, err := session.Me(ctx)
		a.Used, a.Accepted = me.RegistryTime, time.Since(began)
		return err == nil, err
	})
	if err != nil {
		a.NotAccepted = err.Error()
	}
}

// use reads the recorded use of a key after a login and after another login. One time at a whole
// minute can be a coincidence.
func (a *registryAnswers) use(ctx context.Context, session, used *quilt.Session, id string, patience time.Duration) {
	recorded := func(after *time.Time) (last *time.Time) {
		_ = await(ctx, patience, func() (bool, error) {
			key, err := session.GetKey(ctx, id)
			if err == nil && key != nil {
				last = key.LastUsedAt
			}
			return last != nil && (after == nil || !last.Before(*after)), err
		})
		return last
	}
	if a.LastUsed = recorded(nil); a.LastUsed == nil {
		return
	}
	if !whole(*a.LastUsed, time.Minute) {
		a.LastUsed2 = a.LastUsed
		return
	}
	pause(ctx, 1100*time.Millisecond)
	if _, err := used.Me(ctx); err == nil {
		a.LastUsed2 = recorded(a.LastUsed)
	}
}

// revoke revokes a key by its text, and then again by its id, which no longer exists.
func (a *registryAnswers) revoke(ctx context.Context, session, revoked *quilt.Session, key quilt.CreatedKey) error {
	err := session.RevokeKeyBySecret(ctx, key.Secret)
	if unanswered(err) {
		return err
	}
	if err != nil {
		a.ByText = err.Error()
		if err := session.RevokeKey(ctx, key.ID); err != nil {
			a.Revoke = err.Error()
			return nil
		}
	}
	_, err = revoked.Me(ctx)
	a.StillValid = err == nil
	a.Absent = "Ok"
	if err := session.RevokeKey(ctx, key.ID); err != nil {
		a.Absent = err.Error()
		if _, ok := errors.AsType[*quilt.InvalidInputError](err); ok {
			a.Absent = "InvalidInput"
		}
	}
	return nil
}

// await calls done until it returns true, or until the time is over. It returns the error of the
// last call, or errPatience.
func await(ctx context.Context, patience time.Duration, done func() (bool, error)) error {
	for began, wait := time.Now(), 100*time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		ok, err := done()
		switch {
		case ok:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Since(began) >= patience && err != nil:
			return err
		case time.Since(began) >= patience:
			return errPatience
		}
		pause(ctx, wait)
	}
}

var errPatience = errors.New("it did not happen within the time that -patience allows")

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
