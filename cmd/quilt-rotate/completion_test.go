package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"quilt-rotate/internal/terminal/commandline"
)

func TestCompletionHasEveryCommandAndOption(t *testing.T) {
	// The completion scripts must offer every option of the help.
	parser, err := kong.New(&commands{}, kong.Name("quilt-rotate"))
	if err != nil {
		t.Fatal(err)
	}
	for shell, form := range map[string]string{"bash": `'PATH'\) words='.*--OPTION[ ']`,
		"zsh": `'PATH'\) words='.*--OPTION[ ']`, "fish": `at PATH' -l OPTION\b`} {
		status, script, _ := inProcess(t.Context(), "completion", shell)
		if status != commandline.OK {
			t.Fatalf("completion %s: exit status %d", shell, status)
		}
		options := 0
		for _, command := range parser.Model.Leaves(true) {
			_, help, _ := inProcess(t.Context(), append(strings.Fields(command.Path()), "--help")...)
			_, help, _ = strings.Cut(help, "\nFlags:")
			for _, listed := range regexp.MustCompile(
				`(?m)^ {2,6}(?:-., )?--(\[?[a-z-]*\]?[a-z-]+)`).FindAllStringSubmatch(help, -1) {
				options++
				option := strings.NewReplacer("[", "", "]", "").Replace(listed[1])
				if !regexp.MustCompile(strings.NewReplacer("PATH", command.FullPath(), "OPTION",
					option).Replace(form)).MatchString(script) {
					t.Fatalf("%s does not complete %s --%s: run go test ./cmd/quilt-rotate -run Completion -golden",
						shell, command.FullPath(), option)
				}
			}
		}
		if options < 100 {
			t.Errorf("the help lists only %d options, want 100 or more", options)
		}
	}
}

func TestCompletionScriptsAreCurrent(t *testing.T) {
	// A completion script must not offer a command or an option that no longer exists.
	parser, err := kong.New(&commands{}, kong.Name("quilt-rotate"))
	if err != nil {
		t.Fatal(err)
	}
	places := placesOf(parser.Model.Node)
	for shell, write := range map[string]func(io.Writer, []place){"bash": writeBash, "fish": writeFish} {
		var script strings.Builder
		write(&script, places)
		file := "completion/quilt-rotate." + shell
		if *golden {
			if err := os.WriteFile(file, []byte(script.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if has, err := os.ReadFile(file); err != nil || string(has) != script.String() {
			t.Errorf("%s is out of date (%v): run go test ./cmd/quilt-rotate -run Completion -golden, and "+
				"build again", file, err)
		}
	}
}

// place is the program or one of its commands, with what may follow it on the command line.
type place struct {
	path    string   // "quilt-rotate keys list"
	words   []string // commands, and the values of arguments
	options []completedOption
}

type completedOption struct {
	name, short string
	hasValue    bool
	values      []string // if they are listed
}

// placesOf returns the places of the node and of the commands below it.
func placesOf(node *kong.Node) []place {
	at := place{path: node.FullPath()}
	for n := node; n != nil; n = n.Parent {
		for _, flag := range n.Flags {
			option := completedOption{name: flag.Name, hasValue: !flag.IsBool() && !flag.IsCounter(),
				values: valuesOf(flag.Value)}
			if flag.Short != 0 {
				option.short = string(flag.Short)
			}
			at.options = append(at.options, option)
		}
	}
	for _, argument := range node.Positional {
		at.words = append(at.words, valuesOf(argument)...)
	}
	var below []place
	for _, child := range node.Children {
		at.words = append(at.words, child.Name)
		below = append(below, placesOf(child)...)
	}
	return append([]place{at}, below...)
}

// valuesOf returns the accepted values, if they are listed. It removes the empty value that the
// parser has for an optional option.
func valuesOf(value *kong.Value) []string {
	return slices.DeleteFunc(value.EnumSlice(), func(text string) bool { return text == "" })
}

// writeBash writes a function that finds the command on the line and offers what may follow it. If
// nothing matches, bash offers files.
func writeBash(w io.Writer, places []place) {
	fmt.Fprint(w, "_quilt_rotate() {\n  local at=quilt-rotate previous=${COMP_WORDS[COMP_CWORD-1]} words= index\n")
	fmt.Fprint(w, "  for ((index = 1; index < COMP_CWORD; index++)); do\n    case \"$at ${COMP_WORDS[index]}\" in\n")
	fmt.Fprintf(w, "    *' --') return ;;\n    %s) at=\"$at ${COMP_WORDS[index]}\" ;;\n    esac\n  done\n  case $at "+
		"in\n", strings.Join(commandPaths(places), " | \\\n    "))
	for _, p := range places {
		words := slices.Clone(p.words)
		for _, option := range p.options {
			words = append(words, "--"+option.name)
		}
		fmt.Fprintf(w, "  '%s') words='%s' ;;\n", p.path, strings.Join(words, " "))
	}
	fmt.Fprint(w, "  esac\n  case \"$at $previous\" in\n")
	var unknown []string
	for _, p := range places {
		for _, option := range p.options {
			if len(option.values) > 0 {
				fmt.Fprintf(w, "  '%s --%s') words='%s' ;;\n", p.path, option.name, strings.Join(option.values, " "))
			} else if option.hasValue {
				unknown = append(unknown, "'"+p.path+" --"+option.name+"'")
			}
		}
	}
	fmt.Fprintf(w, "  %s) words= ;;\n", strings.Join(unknown, " | \\\n  "))
	fmt.Fprint(w, "  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\n"+
		"complete -o default -F _quilt_rotate quilt-rotate\n")
}

// writeFish writes a function that compares the commands on the line with a place, and a line for
// each word and option that may follow the place.
func writeFish(w io.Writer, places []place) {
	fmt.Fprint(w, "function __quilt_rotate_at\n  set -l at quilt-rotate\n  for word in (commandline "+
		"-opc)[2..]\n    switch \"$at $word\"\n")
	fmt.Fprintf(w, "      case %s\n        set at \"$at $word\"\n    end\n  end\n  test \"$at\" = \"$argv\"\nend\n",
		strings.Join(commandPaths(places), " \\\n        "))
	for _, p := range places {
		line := fmt.Sprintf("complete -c quilt-rotate -n '__quilt_rotate_at %s'", p.path)
		if len(p.words) > 0 {
			fmt.Fprintf(w, "%s -f -a '%s'\n", line, strings.Join(p.words, " "))
		}
		for _, option := range p.options {
			fmt.Fprintf(w, "%s -l %s", line, option.name)
			if option.short != "" {
				fmt.Fprintf(w, " -s %s", option.short)
			}
			if len(option.values) > 0 {
				fmt.Fprintf(w, " -x -a '%s'", strings.Join(option.values, " "))
			} else if option.hasValue {
				fmt.Fprint(w, " -r")
			}
			fmt.Fprintln(w)
		}
	}
}

// commandPaths returns the paths of the commands, quoted for a shell.
func commandPaths(places []place) []string {
	var paths []string
	for _, p := range places[1:] {
		paths = append(paths, "'"+p.path+"'")
	}
	return paths
}
