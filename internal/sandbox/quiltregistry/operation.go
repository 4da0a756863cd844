package quiltregistry

import (
	"encoding/json"
	"net/http"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

const graphQLPath = "/graphql"

// Operation returns the name of a request. It is the operationName or the first root field of a
// GraphQL request, and the method and path of any other request ("POST /api/login").
func Operation(request *http.Request, body []byte) string {
	if request.URL.Path == graphQLPath {
		var named struct{ OperationName, Query string }
		_ = json.Unmarshal(body, &named) // the registry refuses a body that cannot be parsed
		if named.OperationName != "" {
			return named.OperationName
		}
		if fields := rootFields(named.Query, ""); len(fields) > 0 {
			return fields[0]
		}
	}
	return request.Method + " " + request.URL.Path
}

// rootFields returns the fields of Query or Mutation that an operation selects. It returns none if
// the document cannot be parsed.
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
			if fragment == nil || seen[s.Name] { // a fragment that contains itself is refused later, by the validation
				continue
			}
			seen[s.Name] = true
			names = append(names, fieldsOf(fragment.SelectionSet, document, seen)...)
		}
	}
	return names
}
