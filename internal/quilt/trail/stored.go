package trail

import "fmt"

// StoredDays is how far back the stored queries look.
const StoredDays = 30

// A StoredQuery is a query that the deployment stores in Athena.
type StoredQuery struct {
	ID          string // part of the resource's logical id: never change one
	Name        string
	Description string
	SQL         string // its first day moves with the day it is run on
}

// Stored are the queries for the console.
func Stored() []StoredQuery {
	return []StoredQuery{
		{"KeyUsage", "key usage", within("Which keys were used in the last %d days, from where, how often, and when " +
			"last"), rolling(Summary)},
		{
			"FailedKeyLogins", "failed key logins",
			within("Which logins with a key failed in the last %d days, and why: a consumer with an old key, or an " +
				"attacker"), rolling(Failed),
		},
		{"KeysMadeAndRevoked", "keys created and revoked",
			within("Which keys were created and revoked in the last %d days, and by whom"), rolling(Changes)},
	}
}

func within(description string) string { return fmt.Sprintf(description, StoredDays) }

func rolling(kind Kind) string {
	return Query{Kind: kind}.statement(fmt.Sprintf("date_format(date_add('day', -%d, now()), '%%Y/%%m/%%d')",
		StoredDays))
}
