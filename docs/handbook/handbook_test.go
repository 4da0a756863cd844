package handbook

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadParsesAPage(t *testing.T) {
	// The other tests of the pages rely on links in tables, GitHub's anchors, continued commands
	// and their output.
	got := parse("docs/x.md", []byte("# The `key`: what, now?\n\n## Again\n\n## Again\n\n| a |\n|---|\n| [b](c.md#d) "+
		"![p](p.svg) |\n\n"+
		"```console\n$ one --two \\\n "+
		"   three\nsaid …\n\n$ four | five   # comment\n```\n\n```text\n$ no command\n```\n"))
	want := Page{
		Path: "docs/x.md", Text: got.Text,
		Headings: []Heading{{1, "The key: what, now?", "the-key-what-now"}, {2, "Again", "again"},
			{2, "Again", "again-1"}},
		Links: []string{"c.md#d", "p.svg"},
		Blocks: []Block{
			{"console", "$ one --two \\\n    three\nsaid …\n\n$ four | five   # comment\n", 12},
			{"text", "$ no command\n", 20},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wrong (-want +got):\n%s", diff)
	}
	commands := []Command{{"one --two three", []string{"said …"}, 12}, {"four | five   # comment", nil, 16}}
	if diff := cmp.Diff(commands, got.Commands()); diff != "" {
		t.Errorf("wrong commands (-want +got):\n%s", diff)
	}
}
