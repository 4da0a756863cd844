package trail

import "fmt"

// StoredDays is the number of days of the stored queries.
const StoredDays = 30

// A StoredQuery is a query that the deployment stores in Athena.
type StoredQuery struct {
	ID          string // part of the resource's logical id, so it must never change
	Name        string
	Description string
	SQL         string // the first day is relative to the day on which the query runs
}

// Stored returns the queries that the deployment stores in Athena.
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
