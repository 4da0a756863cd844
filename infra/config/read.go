package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v3"
)

// Load reads and checks a file. It fails with [*Faults].
func Load(file string, aws AWS) (*Config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		problem := "cannot be read: " + reason(err)
		if errors.Is(err, fs.ErrNotExist) {
			problem = "does not exist: copy config.example.yaml to this name, or name another file with -c config=FILE"
		}
		return nil, &Faults{file, []Fault{{Problem: problem}}}
	}
	return Parse(file, text, aws)
}

// Parse reads and checks the text of a file. Paths in the text are relative to the file. It fails
// with [*Faults].
func Parse(file string, text []byte, aws AWS) (*Config, error) {
	g := &gathering{lines: map[string]int{}}
	c := &Config{}
	read(g, text, c)
	if !g.has("") { // the text is a configuration
		c.setDefaults(g, aws)
		c.readBundle(g, file)
		check(g, c)
	}
	if len(g.faults) > 0 {
		slices.SortStableFunc(g.faults, func(a, b Fault) int { return a.Line - b.Line }) // missing values come first
		return nil, &Faults{file, g.faults}
	}
	return c, nil
}

func reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?`)

// read fills the struct from YAML. It continues after a fault, so that all faults are reported.
func read(g *gathering, text []byte, c *Config) {
	var document, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	err := decoder.Decode(&document)
	if err == nil {
		if err = decoder.Decode(&second); err == nil {
			g.faults = append(g.faults, Fault{Line: second.Line, Problem: "begins a second document, which is not " +
				"supported: move it to another file, or remove the --- before it"})
			return
		}
	}
	if !errors.Is(err, io.EOF) {
		line := 0
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			line, _ = strconv.Atoi(m[1])
		}
		g.faults = append(g.faults, Fault{Line: line,
			Problem: "is not YAML: " + yamlLine.ReplaceAllString(err.Error(), "") + "; correct this first"})
		return
	}
	if len(document.Content) == 0 {
		g.add("", "is empty: copy config.example.yaml, and set stack and registry")
		return
	}
	readInto(g, "", document.Content[0], reflect.ValueOf(c).Elem())
}

const noValue = "has no value: give one, or remove the line"

func readInto(g *gathering, path string, node *yaml.Node, v reflect.Value) {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	g.lines[path] = node.Line
	_, own := v.Addr().Interface().(yaml.Unmarshaler)
	_, ownPointer := v.Interface().(yaml.Unmarshaler)
	heading := !own && !ownPointer && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Struct ||
		v.Kind() == reflect.Slice || v.Kind() == reflect.Map)
	switch null := node.Tag == "!!null"; {
	case null && heading && path != "":
		return // a heading without anything below it
	case null && path != "":
		g.add(path, noValue)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		readInto(g, path, node, v.Elem())
	case !own && v.Kind() == reflect.Struct:
		readStruct(g, path, node, v)
	case !own && v.Kind() == reflect.Slice:
		readList(g, path, node, v)
	case !own && v.Kind() == reflect.Map:
		readMap(g, path, node, v)
	default:
		if err := node.Decode(v.Addr().Interface()); err != nil {
			g.add(path, "%s", mustBe(v, err))
		} else if v.Kind() == reflect.String && v.String() == "" {
			g.add(path, noValue)
		}
	}
}

func readStruct(g *gathering, path string, node *yaml.Node, v reflect.Value) {
	fields := map[string]int{}
	for i := range v.NumField() {
		if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ","); name != "" {
			fields[name] = i
		}
	}
	readEntries(g, path, node, "must be fields with values (name: value)", func(full, name string, value *yaml.Node) {
		if index, known := fields[name]; known {
			readInto(g, full, value, v.Field(index))
		} else {
			g.add(full, "is not a field%s", didYouMean(name, fields))
		}
	})
}

// readMap reads names with texts. A text may be empty.
func readMap(g *gathering, path string, node *yaml.Node, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	readEntries(g, path, node, "must be names with texts (name: text)", func(full, name string, value *yaml.Node) {
		var text string
		if value.Tag == "!!null" || value.Decode(&text) != nil {
			g.add(full, "must be a text")
		}
		v.SetMapIndex(reflect.ValueOf(name), reflect.ValueOf(text))
	})
}

// readEntries calls each for every entry of a YAML mapping, with its path. It reports entries with
// the same name.
func readEntries(g *gathering, path string, node *yaml.Node, must string,
	each func(full, name string, value *yaml.Node)) {
	if node.Kind != yaml.MappingNode {
		g.add(path, "%s", must)
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, line := node.Content[i].Value, node.Content[i].Line
		full := strings.TrimPrefix(path+"."+name, ".")
		first, again := seen[name]
		seen[name], g.lines[full] = line, line
		if again {
			g.add(full, "is already in line %d: remove one", first)
		} else {
			each(full, name, node.Content[i+1])
		}
	}
}

func readList(g *gathering, path string, node *yaml.Node, v reflect.Value) {
	if node.Kind != yaml.SequenceNode {
		g.add(path, "must be a list (each entry on a line that begins with -)")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content)))
	for i, entry := range node.Content {
		readInto(g, fmt.Sprintf("%s[%d]", path, i), entry, v.Index(i))
	}
}

func mustBe(v reflect.Value, err error) string {
	switch v.Interface().(type) {
	case Duration:
		return errNotDuration.Error()
	case string:
		return "must be a text"
	case int:
		return "must be a whole number"
	case bool:
		return "must be true or false"
	}
	return err.Error()
}

// formerFields are fields of earlier releases that no longer exist.
var formerFields = []string{"previousKmsKeys", "secretKmsKey", "issuerKmsKey"}

// didYouMean returns the end of the message about an unknown field: the field with the most similar
// name, or what to do.
func didYouMean(name string, fields map[string]int) string {
	if slices.Contains(formerFields, name) {
		return " and is no longer needed: remove it (the functions can use any KMS key of the account, through " +
			"Secrets Manager)"
	}
	best, distance := "", 1+len(name)/2
	for field := range fields {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(field)); d < distance ||
			d == distance && field < best {
			best, distance = field, d
		}
	}
	if best == "" {
		return ": remove it (config.schema.json lists the fields)"
	}
	return ": did you mean " + best + "?"
}
