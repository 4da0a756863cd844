package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"quilt-rotate/internal/commandline"
)

func TestTheCompletionOfEachShellHasEveryCommandAndOption(t *testing.T) {
	// Protects people who learn a command from its completions: nothing that the help lists is missing.
	parser, err := kong.New(&commands{}, kong.Name("quilt-rotate"))
	if err != nil {
		t.Fatal(err)
	}
	for shell, form := range map[string]string{"bash": `'PATH'\) words='.*--OPTION[ ']`, "zsh": `'PATH'\) words='.*--OPTION[ ']`, "fish": `at PATH' -l OPTION `} {
		status, script, _ := inProcess(t.Context(), "completion", shell)
		if status != commandline.OK {
			t.Fatalf("completion %s: exit status %d", shell, status)
		}
		options := 0
		for _, command := range parser.Model.Leaves(true) {
			_, help, _ := inProcess(t.Context(), append(strings.Fields(command.Path()), "--help")...)
			_, help, _ = strings.Cut(help, "\nFlags:")
			for _, listed := range regexp.MustCompile(`(?m)^ {2,6}(?:-., )?--(\[?[a-z-]*\]?[a-z-]+)`).FindAllStringSubmatch(help, -1) {
				options++
				option := strings.NewReplacer("[", "", "]", "").Replace(listed[1])
				if !regexp.MustCompile(strings.NewReplacer("PATH", command.FullPath(), "OPTION", option).Replace(form)).MatchString(script) {
					t.Errorf("%s does not complete %s --%s", shell, command.FullPath(), option)
				}
			}
		}
		if options < 100 {
			t.Errorf("the help lists only %d options", options)
		}
	}
}
