package awslogs

import (
	"encoding/json"
	"slices"
	"strings"
	"text/scanner"
	"unicode"
)

// A pattern tells whether a line matches.
type pattern func(line string) bool

const maxPattern = 1024

// parsePattern reads a filter pattern, or refuses it.
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
		return nil, invalidParameter("Invalid filter pattern: the sandbox reads terms such as \"a b\" \"c\", and { " +
			"$.a.b = \"x\" && $.c = 1 }, and { ($.a = 1) || ($.b = 2) }, and no others.")
	}
	return matches, nil
}

// A parser stands at a token. After a token that it cannot use it has failed, and says nothing of
// value any more.
type parser struct {
	scanner scanner.Scanner
	token   rune
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

// take goes past a token that must be here.
func (p *parser) take(token rune) (text string) {
	if p.token != token {
		p.failed = true
	}
	text = p.scanner.TokenText()
	p.next()
	return text
}

// terms are words and quoted phrases, all of which a line must contain.
func (p *parser) terms() pattern {
	var terms []string
	for !p.failed && p.token != scanner.EOF {
		if p.token == scanner.String {
			terms = append(terms, p.text())
			continue
		}
		// A word with a hyphen is quoted, says the User Guide, as is every character that is no
		// letter, digit or underscore.
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

// contains finds a term as words of its own: not error in errors. The User Guide does not say
// whether part of a word would do; a caller that is content with whole words is right either way.
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

// inWord tells whether a word goes on across a place in the text.
func inWord(text string, at int) bool {
	return at > 0 && at < len(text) && isAlphanumeric(text[at-1]) && isAlphanumeric(text[at])
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// A condition is that a field of a JSON line has a value: a string, or a number.
type condition struct {
	path  []string
	value any
}

// fields are the conditions in braces, all of which a JSON line must meet.
func (p *parser) fields() pattern {
	p.take('{')
	closed := p.token == '('
	alternatives := [][]condition{p.conjunction()}
	for !p.failed && p.token == '|' {
		p.take('|')
		p.take('|')
		alternatives = append(alternatives, p.conjunction())
	}
	p.failed = p.failed || closed != (len(alternatives) > 1)
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

// conjunction is conditions that must all hold. Only beside || it stands in parentheses, so that
// nobody needs to know which of the two binds more.
func (p *parser) conjunction() []condition {
	closed := p.token == '('
	if closed {
		p.next()
	}
	conditions := []condition{p.condition()}
	for !p.failed && p.token == '&' {
		p.take('&')
		p.take('&')
		conditions = append(conditions, p.condition())
	}
	if closed {
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
	case scanner.Ident: // a string needs no quotes without special characters
		c.value = p.take(scanner.Ident)
	default:
		c.value = p.number()
	}
	return c
}

// text is a quoted string. An asterisk in it would stand for anything, which the sandbox does not
// read.
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

// decode reads a value as JSON has it, since the scanner takes all that Go has.
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
	return false // a list or an object equals nothing
}
