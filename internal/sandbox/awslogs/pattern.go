package awslogs

import (
	"encoding/json"
	"slices"
	"strings"
	"text/scanner"
	"unicode"
)

// A pattern reports whether a line matches.
type pattern func(line string) bool

const maxPattern = 1024

// parsePattern parses a filter pattern. It returns an error if the sandbox does not support it.
func parsePattern(text string) (pattern, error) {
	if len(text) > maxPattern {
		return nil, invalidParameter("1 validation error detected: Value at 'filterPattern' failed to satisfy "+
			"constraint: Member must have length less than or equal to %d", maxPattern)
	}
	p := newParser(text)
	var matches pattern
	switch p.token {
	case scanner.EOF:
		return func(string) bool { return true }, nil
	case '{':
		matches = p.fields()
	default:
		matches = p.terms()
	}
	if p.failed || p.token != scanner.EOF {
		return nil, invalidParameter("Invalid filter pattern: the sandbox supports only terms such as \"a b\" \"c\", " +
			"{ $.a.b = \"x\" && $.c = 1 }, and { ($.a = 1) || ($.b = 2) }.")
	}
	return matches, nil
}

// A parser parses a filter pattern. It sets failed at an unexpected token. Later results are then
// not valid.
type parser struct {
	scanner scanner.Scanner
	token   rune // the current token
	failed  bool
}

func newParser(text string) *parser {
	p := &parser{}
	p.scanner.Init(strings.NewReader(text))
	p.scanner.Mode = scanner.ScanIdents | scanner.ScanFloats | scanner.ScanStrings
	p.scanner.Error = func(*scanner.Scanner, string) { p.failed = true }
	p.scanner.IsIdentRune = func(r rune, i int) bool {
		return r == '_' || unicode.IsLetter(r) || i > 0 && (unicode.IsDigit(r) || r == '-')
	}
	p.next()
	return p
}

func (p *parser) next() { p.token = p.scanner.Scan() }

// take returns the text of the current token, which must be the given one, and goes to the next
// token.
func (p *parser) take(token rune) (text string) {
	if p.token != token {
		p.failed = true
	}
	text = p.scanner.TokenText()
	p.next()
	return text
}

// terms parses words and quoted phrases. A line must contain all of them.
func (p *parser) terms() pattern {
	var terms []string
	for !p.failed && p.token != scanner.EOF {
		if p.token == scanner.String {
			terms = append(terms, p.text())
			continue
		}
		// A word with a character other than a letter, a digit or an underscore must be quoted
		// (User Guide).
		word := p.take(scanner.Ident)
		p.failed = p.failed || strings.Contains(word, "-")
		terms = append(terms, word)
	}
	return func(line string) bool {
		for _, term := range terms {
			if !contains(line, term) {
				return false
			}
		}
		return true
	}
}

// contains reports whether a line contains a term as whole words: "errors" does not contain
// "error". The User Guide does not say whether the service finds a part of a word.
func contains(line, term string) bool {
	for from := 0; from <= len(line); {
		at := strings.Index(line[from:], term)
		if at < 0 {
			return false
		}
		begin := from + at
		end := begin + len(term)
		if !inWord(line, begin) && !inWord(line, end) {
			return true
		}
		from = begin + 1
	}
	return false
}

// inWord reports whether a position is inside a word.
func inWord(text string, at int) bool {
	return at > 0 && at < len(text) && isAlphanumeric(text[at-1]) && isAlphanumeric(text[at])
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// A condition requires that a field of a JSON line has a value, which is a string or a number.
type condition struct {
	path  []string
	value any
}

// fields parses the conditions in braces.
func (p *parser) fields() pattern {
	p.take('{')
	inParentheses := p.token == '('
	alternatives := [][]condition{p.conjunction()}
	for !p.failed && p.token == '|' {
		p.take('|')
		p.take('|')
		alternatives = append(alternatives, p.conjunction())
	}
	p.failed = p.failed || inParentheses != (len(alternatives) > 1)
	p.take('}')
	return func(line string) bool {
		var document map[string]any
		if json.Unmarshal([]byte(line), &document) != nil {
			return false
		}
		return slices.ContainsFunc(alternatives, func(all []condition) bool {
			return !slices.ContainsFunc(all, func(c condition) bool { return !c.holds(document) })
		})
	}
}

// conjunction parses conditions with && between them. With ||, a conjunction must be in
// parentheses, so the precedence of the operators does not matter.
func (p *parser) conjunction() []condition {
	inParentheses := p.token == '('
	if inParentheses {
		p.next()
	}
	conditions := []condition{p.condition()}
	for !p.failed && p.token == '&' {
		p.take('&')
		p.take('&')
		conditions = append(conditions, p.condition())
	}
	if inParentheses {
		p.take(')')
	}
	return conditions
}

func (p *parser) condition() condition {
	var c condition
	p.take('$')
	for {
		p.take('.')
		c.path = append(c.path, p.take(scanner.Ident))
		if p.failed || p.token != '.' {
			break
		}
	}
	p.take('=')
	switch p.token {
	case scanner.String:
		c.value = p.text()
	case scanner.Ident: // a string without special characters needs no quotes
		c.value = p.take(scanner.Ident)
	default:
		c.value = p.number()
	}
	return c
}

// text parses a quoted string. The sandbox does not support the wildcard *.
func (p *parser) text() (text string) {
	p.decode(p.take(scanner.String), &text)
	p.failed = p.failed || text == "" || strings.Contains(text, "*")
	return text
}

func (p *parser) number() (number float64) {
	sign := ""
	if p.token == '-' {
		sign = "-"
		p.next()
	}
	if p.token == scanner.Int {
		p.token = scanner.Float
	}
	p.decode(sign+p.take(scanner.Float), &number)
	return number
}

// decode decodes a value as JSON, because the scanner also accepts Go values that are not JSON.
func (p *parser) decode(token string, value any) {
	if json.Unmarshal([]byte(token), value) != nil {
		p.failed = true
	}
}

func (c condition) holds(document map[string]any) bool {
	var value any = document
	for _, name := range c.path {
		object, ok := value.(map[string]any)
		if !ok {
			return false
		}
		if value, ok = object[name]; !ok {
			return false
		}
	}
	switch value.(type) {
	case string, float64:
		return value == c.value
	}
	return false // a list or an object is never equal
}
