// Package handbook parses the Markdown pages for tests: headings, links and commands. The tests of
// docs check the pages. The tests of cmd/quilt-rotate run the commands of each page in a sandbox
// and compare the output, so that the pages stay correct.
//
// Only tests import it.
package handbook

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// Page is one Markdown file.
type Page struct {
	Path     string // with slashes, from the root of the checkout
	Text     string
	Headings []Heading
	Links    []string // targets of links and pictures
	Blocks   []Block
}

// Heading is a heading with its anchor on GitHub.
type Heading struct {
	Level        int
	Text, Anchor string
}

// Block is a fenced code block.
type Block struct {
	Language string
	Text     string
	Line     int // of its first line of code
}

// Command is a command in a console block, with the output that the block shows.
type Command struct {
	Line   string   // for a shell; continued lines are joined
	Output []string // in order; "…" matches any text
	At     int      // line of the page
}

// skipped folders have pages of dependencies, or built files.
var skipped = map[string]bool{"node_modules": true, "build": true, ".git": true, "cdk.out": true}

// All reads every page below the root, in the order of their paths.
func All(root string) ([]Page, error) {
	var pages []Page
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped[entry.Name()]:
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		page, err := Read(root, filepath.ToSlash(relative))
		pages = append(pages, page)
		return err
	})
	return pages, err
}

// Read reads the page at a path with slashes, relative to the root.
func Read(root, path string) (Page, error) {
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		return Page{}, fmt.Errorf("read the handbook: %w", err)
	}
	return parse(path, source), nil
}

func parse(path string, source []byte) Page {
	p := Page{Path: path, Text: string(source)}
	anchors := map[string]int{}
	document := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	_ = ast.Walk(document, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := node.(type) {
		case *ast.Heading:
			h := Heading{n.Level, plain(n, source), ""}
			h.Anchor = anchor(h.Text, anchors)
			p.Headings = append(p.Headings, h)
		case *ast.Link:
			p.Links = append(p.Links, string(n.Destination))
		case *ast.Image:
			p.Links = append(p.Links, string(n.Destination))
		case *ast.FencedCodeBlock:
			p.Blocks = append(p.Blocks, block(n, source))
		}
		return ast.WalkContinue, nil
	})
	return p
}

func block(n *ast.FencedCodeBlock, source []byte) Block {
	b := Block{Language: string(n.Language(source))}
	var code strings.Builder
	for i := range n.Lines().Len() {
		line := n.Lines().At(i)
		if i == 0 {
			b.Line = 1 + strings.Count(string(source[:line.Start]), "\n")
		}
		code.Write(line.Value(source))
	}
	b.Text = code.String()
	return b
}

// plain returns the text of a node without formatting.
func plain(node ast.Node, source []byte) string {
	var all strings.Builder
	_ = ast.Walk(node, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			all.Write(t.Segment.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return all.String()
}

// anchor returns the anchor that GitHub generates for a heading: lower-case letters, digits,
// hyphens and underscores. Spaces become hyphens, and a repeated anchor gets a number.
func anchor(heading string, seen map[string]int) string {
	var a strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case r == ' ':
			a.WriteRune('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			a.WriteRune(r)
		}
	}
	name := a.String()
	n := seen[name]
	seen[name]++
	if n > 0 {
		return fmt.Sprintf("%s-%d", name, n)
	}
	return name
}

// Commands returns the commands in the page's console blocks, from top to bottom.
func (p Page) Commands() []Command {
	var all []Command
	for _, b := range p.Blocks {
		if b.Language == "console" {
			all = append(all, b.commands()...)
		}
	}
	return all
}

func (b Block) commands() []Command {
	var all []Command
	continued := false
	for i, line := range strings.Split(strings.TrimSuffix(b.Text, "\n"), "\n") {
		typed, begins := strings.CutPrefix(line, "$ ")
		switch {
		case continued:
			last := &all[len(all)-1]
			last.Line += " " + strings.TrimSpace(strings.TrimSuffix(line, "\\"))
			continued = strings.HasSuffix(line, "\\")
		case begins:
			continued = strings.HasSuffix(typed, "\\")
			all = append(all, Command{Line: strings.TrimSpace(strings.TrimSuffix(typed, "\\")), At: b.Line + i})
		case len(all) > 0 && strings.TrimSpace(line) != "":
			last := &all[len(all)-1]
			last.Output = append(last.Output, strings.TrimSpace(line))
		}
	}
	return all
}
