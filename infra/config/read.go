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
			problem = "there is no such file: copy config.example.yaml there, or name another with -c config=FILE"
		}
		return nil, &Faults{file, []Fault{{Problem: problem}}}
	}
	return Parse(file, text, aws)
}

// Parse checks the text of a file. Paths in it count from where the file is. It fails with [*Faults].
func Parse(file string, text []byte, aws AWS) (*Config, error) {
	g := &gathering{lines: map[string]int{}}
	c := &Config{}
	read(g, text, c)
	if !g.has("") { // or there is nothing to judge
		c.fillIn(g, aws)
		c.readBundle(g, file)
		check(g, c)
	}
	if len(g.faults) > 0 {
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

// read fills the struct from YAML. It goes on after a fault, since each should be told.
func read(g *gathering, text []byte, c *Config) {
	var document, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	err := decoder.Decode(&document)
	if err == nil {
		if err = decoder.Decode(&second); err == nil {
			g.faults = append(g.faults, Fault{Line: second.Line, Problem: "begins a second document, of which nothing would be deployed: put it into a file of its own, or take the --- before it out"})
			return
		}
	}
	if !errors.Is(err, io.EOF) {
		line := 0
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			line, _ = strconv.Atoi(m[1])
		}
		g.faults = append(g.faults, Fault{Line: line, Problem: "is not YAML: " + yamlLine.ReplaceAllString(err.Error(), "") + "; correct this first"})
		return
	}
	if len(document.Content) == 0 {
		g.add("", "is empty: copy config.example.yaml, and fill in registry and keys")
		return
	}
	readInto(g, "", document.Content[0], reflect.ValueOf(c).Elem())
}

const noValue = "has no value: give one, or take the line out"

func readInto(g *gathering, path string, node *yaml.Node, v reflect.Value) {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	g.lines[path] = node.Line
	if _, own := v.Addr().Interface().(yaml.Unmarshaler); !own {
		switch v.Kind() {
		case reflect.Pointer:
			if node.Tag == "!!null" {
				if v.Type().Elem() == reflect.TypeFor[Duration]() {
					g.add(path, noValue)
				}
				return // a heading without anything below it
			}
			v.Set(reflect.New(v.Type().Elem()))
			readInto(g, path, node, v.Elem())
			return
		case reflect.Struct:
			readStruct(g, path, node, v)
			return
		case reflect.Slice:
			readList(g, path, node, v)
			return
		}
	}
	if node.Tag == "!!null" && v.Kind() != reflect.Map {
		g.add(path, noValue)
		return
	}
	if err := node.Decode(v.Addr().Interface()); err != nil {
		g.add(path, "%s", mustBe(v, err))
	} else if v.Kind() == reflect.String && v.String() == "" {
		g.add(path, noValue)
	}
}

func readStruct(g *gathering, path string, node *yaml.Node, v reflect.Value) {
	if node.Tag == "!!null" && path != "" {
		return // a heading without anything below it
	}
	if node.Kind != yaml.MappingNode {
		g.add(path, "must be fields with values (name: value)")
		return
	}
	fields := map[string]int{}
	for i := range v.NumField() {
		if name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ","); name != "" {
			fields[name] = i
		}
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i].Value
		full := strings.TrimPrefix(path+"."+name, ".")
		first, again := seen[name]
		seen[name] = node.Content[i].Line
		index, known := fields[name]
		switch {
		case again:
			g.lines[full] = node.Content[i].Line
			g.add(full, "stands here a second time, after line %d: take one out", first)
		case !known:
			g.lines[full] = node.Content[i].Line
			g.add(full, "is no field%s", didYouMean(name, fields))
		default:
			readInto(g, full, node.Content[i+1], v.Field(index))
		}
	}
}

func readList(g *gathering, path string, node *yaml.Node, v reflect.Value) {
	if node.Tag == "!!null" {
		return
	}
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
	case map[string]string:
		return "must be names with texts (name: text)"
	}
	return err.Error()
}

// didYouMean names the field that was probably meant.
func didYouMean(name string, fields map[string]int) string {
	best, distance := "", 1+len(name)/2
	for field := range fields {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(field)); d < distance || d == distance && field < best {
			best, distance = field, d
		}
	}
	if best == "" {
		return ": take it out (config.schema.json lists the fields)"
	}
	return ": did you mean " + best + "?"
}
