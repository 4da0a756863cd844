package awssecrets

import (
	"math/rand/v2"
	"strings"
)

type getRandomPasswordInput struct {
	PasswordLength          *int
	ExcludeCharacters       string
	ExcludeNumbers          bool
	ExcludePunctuation      bool
	ExcludeUppercase        bool
	ExcludeLowercase        bool
	IncludeSpace            bool
	RequireEachIncludedType *bool
}

type getRandomPasswordOutput struct{ RandomPassword string }

// kinds are the character types that the caller allows, each with what is left of it.
func (in getRandomPasswordInput) kinds() []string {
	var kinds []string
	for _, kind := range []struct {
		excluded   bool
		characters string
	}{
		{in.ExcludeLowercase, "abcdefghijklmnopqrstuvwxyz"},
		{in.ExcludeUppercase, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
		{in.ExcludeNumbers, "0123456789"},
		{in.ExcludePunctuation, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"},
		{!in.IncludeSpace, " "},
	} {
		left := strings.Map(func(c rune) rune {
			if strings.ContainsRune(in.ExcludeCharacters, c) {
				return -1
			}
			return c
		}, kind.characters)
		if !kind.excluded && left != "" {
			kinds = append(kinds, left)
		}
	}
	return kinds
}

func (s *Server) getRandomPassword(in getRandomPasswordInput) (getRandomPasswordOutput, error) {
	length := 32
	if in.PasswordLength != nil {
		length = *in.PasswordLength
	}
	kinds := in.kinds()
	each := in.RequireEachIncludedType == nil || *in.RequireEachIncludedType
	switch {
	case length < 1 || length > 4096:
		return getRandomPasswordOutput{}, invalidParameter("PasswordLength must be 1-4096.")
	case len(kinds) == 0:
		return getRandomPasswordOutput{}, invalidParameter("You must include at least one character type.")
	case each && length < len(kinds):
		return getRandomPasswordOutput{}, invalidParameter("Password length is too short based on the required types.")
	}
	password := make([]byte, 0, length)
	if each {
		for _, kind := range kinds {
			password = append(password, kind[rand.IntN(len(kind))])
		}
	}
	for all := strings.Join(kinds, ""); len(password) < length; {
		password = append(password, all[rand.IntN(len(all))])
	}
	rand.Shuffle(len(password), func(i, j int) { // the required ones must not all stand in front
		password[i], password[j] = password[j], password[i]
	})
	return getRandomPasswordOutput{RandomPassword: string(password)}, nil
}
