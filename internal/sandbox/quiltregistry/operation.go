package quiltregistry

import (
	"net/http"

	"github.com/tidwall/gjson"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

const graphQLPath = "/graphql"

// Operation names a request: a GraphQL request's operationName or else its first root field, otherwise "POST /api/login".
func Operation(request *http.Request, body []byte) string {
	if request.URL.Path == graphQLPath {
		named := gjson.GetManyBytes(body, "operationName", "query")
		if name := named[0].String(); name != "" {
			return name
		}
		if fields := rootFields(named[1].String(), ""); len(fields) > 0 {
			return fields[0]
		}
	}
	return request.Method + " " + request.URL.Path
}

// rootFields are the fields that an operation asks of Query or Mutation; none when the document cannot be read.
func rootFields(query, operation string) []string {
	document, err := parser.ParseQuery(&ast.Source{Input: query})
	if err != nil || len(document.Operations) == 0 {
		return nil
	}
	chosen := document.Operations[0]
	if operation != "" {
		if chosen = document.Operations.ForName(operation); chosen == nil {
			return nil
		}
	}
	return fieldsOf(chosen.SelectionSet, document, map[string]bool{})
}

func fieldsOf(selections ast.SelectionSet, document *ast.QueryDocument, seen map[string]bool) []string {
	var names []string
	for _, selection := range selections {
		switch s := selection.(type) {
		case *ast.Field:
			names = append(names, s.Name)
		case *ast.InlineFragment:
			names = append(names, fieldsOf(s.SelectionSet, document, seen)...)
		case *ast.FragmentSpread:
			fragment := document.Fragments.ForName(s.Name)
			if fragment == nil || seen[s.Name] { // a fragment that spreads itself is refused later, by validation
				continue
			}
			seen[s.Name] = true
			names = append(names, fieldsOf(fragment.SelectionSet, document, seen)...)
		}
	}
	return names
}
