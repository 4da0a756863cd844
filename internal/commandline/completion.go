package commandline

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"quilt-rotate/internal/terminal"
)

// Completion is the command that prints the completion script of a shell. The script is static: it contains the names of the program's commands and
// options, and runs nothing while somebody types.
type Completion struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help says how to load the script.
func (Completion) Help() string {
	return `Load the script in the current shell, or put the line into the start file of the shell (~/.bashrc, ~/.zshrc, ~/.config/fish/config.fish):

  bash, zsh:  source <(quilt-rotate completion bash)
  fish:       quilt-rotate completion fish | source

After an upgrade, a shell that loaded the script before does not know new options until it loads the script again.`
}

// Run prints the script.
func (o Completion) Run(parsed *kong.Context, c *terminal.Console) error {
	var script strings.Builder
	program := parsed.Model.Name
	function := "_" + strings.ReplaceAll(program, "-", "_")
	places := placesOf(parsed.Model.Node)
	switch o.Shell {
	case "fish":
		writeFish(&script, program, function, places)
	case "zsh": // which runs the script of bash
		script.WriteString("autoload -U +X compinit && compinit -u\nautoload -U +X bashcompinit && bashcompinit\n")
		writeBash(&script, program, function, places)
	default:
		writeBash(&script, program, function, places)
	}
	_, err := io.WriteString(c.Out, script.String())
	return err
}

// A place is the program or one of its commands, with what may follow it on the line.
type place struct {
	path    string // "quilt-rotate keys list"
	words   []word // commands, and the values of arguments
	options []completedOption
}

type word struct{ text, help string }

type completedOption struct {
	name, short, help string
	hasValue          bool
	values            []string // if they are known
}

// placesOf lists the node and the commands below it.
func placesOf(node *kong.Node) []place {
	at := place{path: node.FullPath()}
	for n := node; n != nil; n = n.Parent {
		for _, flag := range n.Flags {
			at.options = append(at.options, optionOf(flag))
		}
	}
	for _, argument := range node.Positional {
		for _, value := range valuesOf(argument) {
			at.words = append(at.words, word{value, ""})
		}
	}
	var below []place
	for _, child := range node.Children {
		at.words = append(at.words, word{child.Name, child.Help})
		below = append(below, placesOf(child)...)
	}
	return append([]place{at}, below...)
}

func optionOf(flag *kong.Flag) completedOption {
	option := completedOption{name: flag.Name, help: flag.Help, hasValue: !flag.IsBool() && !flag.IsCounter(), values: valuesOf(flag.Value)}
	if flag.Short != 0 {
		option.short = string(flag.Short)
	}
	return option
}

// valuesOf are the values that are accepted, if they are listed. The parser has an empty one for an option that may be left out.
func valuesOf(value *kong.Value) []string {
	return slices.DeleteFunc(value.EnumSlice(), func(text string) bool { return text == "" })
}

// writeBash writes a function that follows the commands on the line, and then offers what may come next. If nothing matches, bash offers files.
func writeBash(w io.Writer, program, function string, places []place) {
	fmt.Fprintf(w, "%s() {\n  local at=%s previous=${COMP_WORDS[COMP_CWORD-1]} words= index\n", function, program)
	fmt.Fprintf(w, "  for ((index = 1; index < COMP_CWORD; index++)); do\n    case \"$at ${COMP_WORDS[index]}\" in\n")
	fmt.Fprintf(w, "    *' --') return ;;\n    %s) at=\"$at ${COMP_WORDS[index]}\" ;;\n    esac\n  done\n  case $at in\n", strings.Join(commandPaths(places), " | "))
	for _, p := range places {
		fmt.Fprintf(w, "  %s) words='%s' ;;\n", quoted(p.path), strings.Join(p.offers(), " "))
	}
	fmt.Fprintf(w, "  esac\n  case \"$at $previous\" in\n")
	var unknown []string
	for _, p := range places {
		for _, option := range p.options {
			if len(option.values) > 0 {
				fmt.Fprintf(w, "  %s) words='%s' ;;\n", quoted(p.path+" --"+option.name), strings.Join(option.values, " "))
			} else if option.hasValue {
				unknown = append(unknown, quoted(p.path+" --"+option.name))
			}
		}
	}
	if len(unknown) > 0 {
		fmt.Fprintf(w, "  %s) words= ;;\n", strings.Join(unknown, " | "))
	}
	fmt.Fprintf(w, "  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F %s %s\n", function, program)
}

// writeFish writes a function that compares the commands on the line with a place, and one line for each word and option that may follow there.
func writeFish(w io.Writer, program, function string, places []place) {
	fmt.Fprintf(w, "function _%s_at\n  set -l at %s\n  for word in (commandline -opc)[2..]\n    switch \"$at $word\"\n", function, program)
	fmt.Fprintf(w, "      case %s\n        set at \"$at $word\"\n    end\n  end\n  test \"$at\" = \"$argv\"\nend\n", strings.Join(commandPaths(places), " "))
	for _, p := range places {
		line := fmt.Sprintf("complete -c %s -n '_%s_at %s'", program, function, p.path)
		for _, word := range p.words {
			fmt.Fprintf(w, "%s -f -a %s -d %s\n", line, quoted(word.text), quoted(word.help))
		}
		for _, option := range p.options {
			fmt.Fprintf(w, "%s -l %s -d %s", line, option.name, quoted(option.help))
			if option.short != "" {
				fmt.Fprintf(w, " -s %s", option.short)
			}
			if len(option.values) > 0 {
				fmt.Fprintf(w, " -x -a %s", quoted(strings.Join(option.values, " ")))
			} else if option.hasValue {
				fmt.Fprint(w, " -r")
			}
			fmt.Fprintln(w)
		}
	}
}

// commandPaths are the places below the program, as words of a shell.
func commandPaths(places []place) []string {
	var paths []string
	for _, p := range places[1:] {
		paths = append(paths, quoted(p.path))
	}
	return paths
}

// offers are the commands, values and options that may follow the place.
func (p place) offers() []string {
	var offers []string
	for _, word := range p.words {
		offers = append(offers, word.text)
	}
	for _, option := range p.options {
		offers = append(offers, "--"+option.name)
	}
	return offers
}

// quoted is the text as one word of bash, zsh and fish.
func quoted(text string) string {
	return "'" + strings.NewReplacer(`\`, ``, "'", "’").Replace(text) + "'"
}
