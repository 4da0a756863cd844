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

// characterTypes returns the characters of each type that the caller allows, without the excluded
// characters.
func (in getRandomPasswordInput) characterTypes() []string {
	var types []string
	for _, t := range []struct {
		excluded   bool
		characters string
	}{
		{in.ExcludeLowercase, "abcdefghijklmnopqrstuvwxyz"},
		{in.ExcludeUppercase, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"},
		{in.ExcludeNumbers, "0123456789"},
		{in.ExcludePunctuation, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"},
		{!in.IncludeSpace, " "},
	} {
		allowed := strings.Map(func(c rune) rune {
			if strings.ContainsRune(in.ExcludeCharacters, c) {
				return -1
			}
			return c
		}, t.characters)
		if !t.excluded && allowed != "" {
			types = append(types, allowed)
		}
	}
	return types
}

func (s *Server) getRandomPassword(in getRandomPasswordInput) (getRandomPasswordOutput, error) {
	length := 32
	if in.PasswordLength != nil {
		length = *in.PasswordLength
	}
	types := in.characterTypes()
	each := in.RequireEachIncludedType == nil || *in.RequireEachIncludedType
	switch {
	case length < 1 || length > 4096:
		return getRandomPasswordOutput{}, invalidParameter("PasswordLength must be 1-4096.")
	case len(types) == 0:
		return getRandomPasswordOutput{}, invalidParameter("You must include at least one character type.")
	case each && length < len(types):
		return getRandomPasswordOutput{}, invalidParameter("Password length is too short based on the required types.")
	}
	password := make([]byte, 0, length)
	if each {
		for _, characters := range types {
			password = append(password, characters[rand.IntN(len(characters))])
		}
	}
	for all := strings.Join(types, ""); len(password) < length; {
		password = append(password, all[rand.IntN(len(all))])
	}
	rand.Shuffle(len(password), func(i, j int) { // so that the required characters are not all at the start
		password[i], password[j] = password[j], password[i]
	})
	return getRandomPasswordOutput{RandomPassword: string(password)}, nil
}
