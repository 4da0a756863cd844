package quilt

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/Khan/genqlient/graphql"
)

// AccountKeys tells in one request who the credential belongs to and which of the keys with these ids that user has.
// Its cost does not depend on how many keys the user has. A key that the answer lacks is one that the registry does not
// know among this user's keys.
//
// Its document has one alias for each id, which generated code cannot have.
func (s *Session) AccountKeys(ctx context.Context, ids []string) (Account, error) {
	if len(ids) == 0 {
		who, err := s.Me(ctx)
		return Account{Identity: who}, err
	}
	c, err := s.start(ctx, "accountKeys", reads)
	if err != nil {
		return Account{}, err
	}
	var declared, asked strings.Builder
	variables := map[string]string{}
	for i, id := range ids {
		fmt.Fprintf(&declared, "$id%d: ID! ", i)
		fmt.Fprintf(&asked, " key%d: apiKey(id: $id%d) { ...keyFields }", i, i)
		variables[fmt.Sprintf("id%d", i)] = id
	}
	_, fields, _ := strings.Cut(login_Operation, "fragment keyFields") // the same as in the generated operations
	var got struct {
		Me map[string]json.RawMessage `json:"me"`
	}
	err = c.MakeRequest(ctx, &graphql.Request{
		OpName: c.operation, Variables: variables,
		Query: "query accountKeys(" + declared.String() + ") { me { name email isAdmin" + asked.String() + " } }\nfragment keyFields" + fields,
	}, &graphql.Response{Data: &got})
	if err != nil {
		return Account{}, err
	}
	if got.Me == nil {
		return Account{}, c.nobody()
	}
	return c.accountKeys(got.Me, ids)
}

// accountKeys reads the answer: null for an id says that the registry knows no such key, and a missing field is an
// error.
func (c *call) accountKeys(me map[string]json.RawMessage, ids []string) (account Account, err error) {
	var name, email string
	var isAdmin bool
	for field, into := range map[string]any{"name": &name, "email": &email, "isAdmin": &isAdmin} {
		if raw := me[field]; raw != nil && json.Unmarshal(raw, into) != nil {
			return Account{}, c.garbled("the field me." + field + " has the wrong type")
		}
	}
	if account.Identity, err = c.identity(name, email, isAdmin); err != nil {
		return Account{}, err
	}
	for i, id := range ids {
		alias := fmt.Sprintf("key%d", i)
		var found *keyFields
		if raw := me[alias]; raw != nil && json.Unmarshal(raw, &found) != nil {
			return Account{}, c.garbled("the answer is not what the schema promises: a key has the wrong form")
		}
		k, err := c.keyByID(id, found, "data", "me", alias)
		if err != nil {
			return Account{}, err
		}
		if k != nil {
			account.Keys = append(account.Keys, *k)
		}
	}
	return account, nil
}
