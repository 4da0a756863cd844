package handbook

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Mention is a command of a program in the text of a page or of a message.
type Mention struct {
	Path    string
	Text    string   // the matched text
	Command []string // "keys", "list"
	Options []string // "--admin"
}

// Mentions returns each mention of the program's commands in the pages and in the string literals
// of Go files that are not tests. Groups are the commands that have subcommands.
func Mentions(root, program string, groups ...string) ([]Mention, error) {
	group := ""
	if len(groups) > 0 {
		group = "(?:(?:" + strings.Join(groups, "|") + ") )?"
	}
	mention := regexp.MustCompile(program + ` (` + group + `[a-z]+)((?:[^` + "`" + `"\n;()]| \()*)`)
	var all []Mention
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if skipped[entry.Name()] || entry.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		texts, err := textsOf(path)
		for _, text := range texts {
			for _, match := range mention.FindAllStringSubmatch(text, -1) {
				if !prose.MatchString(match[2]) {
					options, _, _ := strings.Cut(match[2], " -- ") // the rest belongs to another program
					all = append(all, Mention{path, match[0], strings.Fields(match[1]),
						option.FindAllString(options, -1)})
				}
			}
		}
		return err
	})
	return all, err
}

var (
	prose  = regexp.MustCompile(`^ [a-z]+( |$)`) // "quilt-rotate has no such tag"
	option = regexp.MustCompile(`--[a-z-]+`)
	code   = regexp.MustCompile("`[^`\n]+`|(?m)^ *\\$ .*$")
)

// textsOf returns the code in a page, or the string literals of a Go file.
func textsOf(path string) ([]string, error) {
	page := strings.HasSuffix(path, ".md")
	if !page && (!strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go")) {
		return nil, nil
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if page {
		return code.FindAllString(string(source), -1), nil
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, source, 0)
	if err != nil {
		return nil, err
	}
	var literals []string
	ast.Inspect(file, func(node ast.Node) bool {
		if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, _ := strconv.Unquote(literal.Value)
			literals = append(literals, text)
		}
		return true
	})
	return literals, nil
}
