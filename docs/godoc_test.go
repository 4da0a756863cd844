package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// packages returns all packages of both modules by folder, without tests and generated files.
func packages(t *testing.T) map[string][]*ast.File {
	t.Helper()
	all := map[string][]*ast.File{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{"node_modules", "build", ".git", "testdata", "cdk.out"},
			entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		if !ast.IsGenerated(file) {
			all[filepath.Dir(path)] = append(all[filepath.Dir(path)], file)
		}
		return nil
	})
	if err != nil || len(all) < 30 {
		t.Fatalf("found %d packages, %v", len(all), err)
	}
	return all
}

func TestEveryPackageHasAComment(t *testing.T) {
	// Each package has one package comment of more than one line, in the form that godoc expects.
	form := regexp.MustCompile(`^(Package|Command|Function) [\w-]+ `)
	for folder, files := range packages(t) {
		var comments []string
		for _, file := range files {
			if text := file.Doc.Text(); text != "" {
				comments = append(comments, text)
			}
		}
		switch {
		case len(comments) != 1:
			t.Errorf("%s has %d package comments, want 1", folder, len(comments))
		case !form.MatchString(comments[0]) && !strings.Contains(folder, "functions/"):
			t.Errorf("%s: the package comment begins with %q", folder, strings.SplitN(comments[0], "\n", 2)[0])
		case len(strings.Fields(comments[0])) < 12:
			t.Errorf("%s: the package comment is too short: %q", folder, comments[0])
		}
	}
}

// plain are methods of well-known interfaces, which need no comment.
var plain = []string{"String", "GoString", "Error", "Unwrap", "Format", "LogValue", "MarshalJSON", "MarshalText",
	"UnmarshalJSON", "UnmarshalText", "Close", "Run", "Help",
	"ServeHTTP", "Write", "Parallel", "Len", "Less", "Swap"}

func TestEveryExportedNameHasAComment(t *testing.T) {
	// Each exported name, or its group, has a doc comment.
	for folder, files := range packages(t) {
		for _, file := range files {
			for _, declaration := range file.Decls {
				for _, name := range unexplained(declaration) {
					t.Errorf("%s: %s has no comment", folder, name)
				}
			}
		}
	}
}

func unexplained(declaration ast.Decl) []string {
	var names []string
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && !slices.Contains(plain, d.Name.Name) && receiverIsExported(d) {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					names = append(names, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

func receiverIsExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	kind := d.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	if generic, ok := kind.(*ast.IndexExpr); ok {
		kind = generic.X
	}
	name, ok := kind.(*ast.Ident)
	return ok && name.IsExported()
}
