package redact_test

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	texttemplate "text/template"

	"github.com/google/go-cmp/cmp"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
)

// The canaries are secret texts. No eight adjacent bytes of them may be printed, in any encoding.
const (
	canaryKey      = "qk_W7hQx3ZtLmN9pRvK2sYdF8bGcJ4aTe"
	canaryPassword = "5uPo0wEiUyHn1MkXjVzB6CgSqDfA"
	otherKey       = "qk_W7hQx3ZtLmN9pRvK2sYdF8bGcJ4aTf"
)

// sealed returns the three types that must not be printed, each with a canary and with another
// value to compare it with.
func sealed(t testing.TB) []subject {
	t.Helper()
	value := func(key string) apikey.Value {
		v, err := apikey.ParseValue(redact.New(`{"db_password":"`+canaryPassword+`","QUILT_API_KEY":"`+key+`"}`), "")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	key := func(s string) apikey.Key {
		k, err := apikey.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	return []subject{
		{"Text", nestings(redact.New(canaryKey)), nestings(redact.New(otherKey))},
		{"Key", nestings(key(canaryKey)), nestings(key(otherKey))},
		{"Value", nestings(value(canaryKey)), nestings(value(otherKey))},
		{"embedded Text", nestings(withText{redact.New(canaryKey)}), nestings(withText{redact.New(otherKey)})},
		{"embedded Key", nestings(withKey{key(canaryKey)}), nestings(withKey{key(otherKey)})},
		{"Key of letters that need escapes", nestings(key("qk_<\"é" + canaryKey[6:] + "é\\&")),
			nestings(key(otherKey))},
	}
}

type subject struct {
	name          string
	canary, other []nesting
}

type nesting struct {
	name  string
	value any
}

type exported[T any] struct{ Held T }
type unexported[T any] struct{ held T }
type deep[T any] struct {
	Inner  unexported[*unexported[T]]
	hidden map[string][]exported[T]
}
type withText struct{ redact.Text }
type withKey struct{ apikey.Key }
type failure[T any] struct{ held T }

func (failure[T]) Error() string { return "it failed" }

// nestings returns v in several kinds of containers, which fmt and reflection treat differently.
func nestings[T any](v T) []nesting {
	p := &v
	return []nesting{
		{"plain", v},
		{"pointer", p},
		{"pointer to pointer", &p},
		{"slice", []T{v, v}},
		{"slice of pointers", []*T{p}},
		{"array", [1]T{v}},
		{"map", map[string]T{"k": v}},
		{"map of any", map[string]any{"k": v, "p": p}},
		{"exported field", exported[T]{v}},
		{"unexported field", unexported[T]{v}},
		{"unexported pointer", unexported[*T]{p}},
		{"unexported slice", &unexported[[]T]{[]T{v}}},
		{"unexported any", unexported[any]{v}},
		{"deep", deep[T]{unexported[*unexported[T]]{&unexported[T]{v}}, map[string][]exported[T]{"k": {{v}}}}},
		{"error", failure[T]{v}},
		{"wrapped error", fmt.Errorf("wrapped: %w", &failure[T]{v})},
		{"joined error", errors.Join(failure[T]{v}, errors.New("another"))},
	}
}

// A way prints v. other is used by ways that print differences.
type way struct {
	name  string
	print func(v, other any) string
}

func ways() []way {
	ways := []way{
		{"Sprint", func(v, _ any) string { return fmt.Sprint(v) }},
		{"Sprintln", func(v, _ any) string { return fmt.Sprintln("v is", v) }},
		{"Errorf", func(v, _ any) string {
			format := "operation: %w" // not a constant: vet knows that most of these are no errors
			return fmt.Errorf(format, v).Error()
		}},
		{"log", func(v, _ any) string {
			return written(func(b *bytes.Buffer) { log.New(b, "", log.LstdFlags).Print(v) })
		}},
		{"slog text", func(v, _ any) string {
			return logged(v, func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) })
		}},
		{"slog JSON", func(v, _ any) string {
			return logged(v, func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) })
		}},
		{"json", func(v, _ any) string { return encoded(json.Marshal(v)) }},
		{"json indented", func(v, _ any) string { return encoded(json.MarshalIndent(v, "", "  ")) }},
		{"xml", func(v, _ any) string { return encoded(xml.Marshal(v)) }},
		{"gob", func(v, _ any) string {
			return written(func(b *bytes.Buffer) { fmt.Fprint(b, gob.NewEncoder(b).Encode(v)) })
		}},
		{"text/template", func(v, _ any) string {
			return written(func(b *bytes.Buffer) {
				fmt.Fprint(b, texttemplate.Must(texttemplate.New("").Parse("{{.}} {{printf `%q` .}}")).Execute(b, v))
			})
		}},
		{"html/template", func(v, _ any) string {
			return written(func(b *bytes.Buffer) {
				fmt.Fprint(b,
					htmltemplate.Must(htmltemplate.New("").Parse("<b>{{.}}</b><script>{{.}}</script>")).Execute(b, v))
			})
		}},
		{"own methods", func(v, _ any) string { return ownMethods(v) }},
		{"recovered panic", func(v, _ any) (text string) {
			defer func() { text = fmt.Sprint("panic: ", recover()) }()
			panic(v)
		}},
		{"cmp.Diff", func(v, other any) string {
			return cmp.Diff(v, other, cmp.Exporter(func(reflect.Type) bool { return true }))
		}},
	}
	for _, verb := range "vtbcdoOqxXUeEfFgGsp" {
		for _, flags := range []string{"", "+", "#", " ", "# ", "-60", "060", ".60", "+#60"} {
			format := "%" + flags + string(verb)
			ways = append(ways, way{format, func(v, _ any) string { return fmt.Sprintf(format, v) }})
		}
	}
	return ways
}

func written(write func(*bytes.Buffer)) string {
	var b bytes.Buffer
	write(&b)
	return b.String()
}

func logged(v any, handler func(*bytes.Buffer) slog.Handler) string {
	return written(func(b *bytes.Buffer) {
		slog.New(handler(b)).With("with", v).WithGroup("g").Error(fmt.Sprint(v), "any", v, slog.Group("group", "v", v))
	})
}

// encoded returns the encoding, or the text of the error, which may quote the value too.
func encoded(text []byte, err error) string { return fmt.Sprintf("%s %v", text, err) }

func ownMethods(v any) string {
	var all []string
	if m, ok := v.(encoding.TextMarshaler); ok {
		all = append(all, encoded(m.MarshalText()))
	}
	if m, ok := v.(json.Marshaler); ok {
		all = append(all, encoded(m.MarshalJSON()))
	}
	if m, ok := v.(fmt.Stringer); ok {
		all = append(all, m.String())
	}
	if m, ok := v.(fmt.GoStringer); ok {
		all = append(all, m.GoString())
	}
	if m, ok := v.(slog.LogValuer); ok {
		all = append(all, m.LogValue().String())
	}
	if m, ok := v.(string); ok { // for the control, which has no methods
		all = append(all, m)
	}
	return strings.Join(all, " ")
}

// spellings returns the encodings of each eight adjacent bytes (of nine bytes in Base64, which
// encodes groups of three).
func spellings(canaries ...string) []string {
	var all []string
	for _, c := range canaries {
		body := strings.TrimPrefix(c, "qk_")
		for i := 0; i+8 <= len(body); i++ {
			piece := []byte(body[i : i+8])
			all = append(all, string(piece), hex.EncodeToString(piece), fmt.Sprintf("%X", piece),
				fmt.Sprintf("% x", piece), fmt.Sprintf("% X", piece),
				fmt.Sprintf("%# x", piece), fmt.Sprintf("%# X", piece), join("%d", " ", piece), join("%d", ",", piece),
				join("%d", ", ", piece),
				join("%#x", ", ", piece), join("%o", " ", piece), join("%b", " ", piece), join("%c", " ", piece),
				join("%U", " ", piece), join("%q", " ", piece))
		}
		for i := 0; i+9 <= len(body); i++ {
			all = append(all, base64.StdEncoding.EncodeToString([]byte(body[i:i+9])),
				base64.URLEncoding.EncodeToString([]byte(body[i:i+9])))
		}
	}
	return all
}

func join(format, between string, piece []byte) string {
	parts := make([]string, len(piece))
	for i, b := range piece {
		parts[i] = fmt.Sprintf(format, b)
	}
	return strings.Join(parts, between)
}

func leaks(text string, spelled []string) bool {
	for _, s := range spelled {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

func TestNoWayOfPrintingShowsASecret(t *testing.T) {
	// Promise 4: no way of printing shows a part of a key, a text or a value, at any place in a
	// struct.
	spelled := spellings(canaryKey, canaryPassword, otherKey)
	all := ways()
	for _, s := range sealed(t) {
		for i, n := range s.canary {
			for _, w := range all {
				if text := w.print(n.value, s.other[i].value); leaks(text, spelled) {
					t.Errorf("%s as %s is printed by %s: %s", s.name, n.name, w.name, text)
				}
			}
		}
	}
}

func TestEveryWayOfPrintingShowsAPlainString(t *testing.T) {
	// The test above would be useless if its ways of printing showed nothing: each prints a plain
	// string, and the search finds it.
	spelled := spellings(canaryKey)
	for _, w := range ways() {
		if text := w.print(canaryKey, otherKey); !leaks(text, spelled) {
			t.Errorf("%s does not show a plain string, or the search misses it: %s", w.name, text)
		}
	}
}

func TestPrintedFormsOfSecrets(t *testing.T) {
	// A text is printed as redacted and a key as its fingerprint, in JSON as a valid string.
	key, err := apikey.Parse(canaryKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(w, redact.New(canaryKey)); got != "[redacted]" {
			t.Errorf("a Text prints as %q with %s", got, w)
		}
		if got := fmt.Sprintf(w, key); got != "qk_W7h...aTe" {
			t.Errorf("a Key prints as %q with %s", got, w)
		}
	}
	strange, err := apikey.Parse("qk_<é\"" + canaryKey[6:] + "\\é&")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		marshaled any
		want      string
	}{{redact.New(canaryKey), "[redacted]"}, {key, "qk_W7h...aTe"}, {strange, "qk_<é\"...\\é&"}} {
		text, err := json.Marshal(v.marshaled)
		var got string
		if err != nil || json.Unmarshal(text, &got) != nil || got != v.want {
			t.Errorf("as JSON: %s, %v; want %q", text, err, v.want)
		}
	}
}

const panicWith = "REDACT_TEST_PANIC_WITH"

func TestPanicDoesNotShowASecret(t *testing.T) {
	// The runtime prints the value of a panic and the stack into the function's log.
	subjects := sealed(t)
	if wanted := os.Getenv(panicWith); wanted != "" {
		for _, s := range subjects {
			for _, n := range s.canary {
				if s.name+" as "+n.name == wanted {
					panic(n.value)
				}
			}
		}
		t.Fatal("nothing is named", wanted)
	}
	spelled := spellings(canaryKey, canaryPassword)
	for _, wanted := range []string{"Text as plain", "Key as plain", "Value as plain", "Key as pointer",
		"Key as unexported field", "Text as wrapped error", "Value as deep"} {
		crash := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		crash.Env = append(os.Environ(), panicWith+"="+wanted, "GOTRACEBACK=all")
		out, err := crash.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("panic: ")) || bytes.Contains(out, []byte("nothing is named")) {
			t.Fatalf("%s: the process did not panic as it should: %v\n%s", wanted, err, out)
		}
		if leaks(string(out), spelled) {
			t.Errorf("%s is printed by a crash:\n%s", wanted, out)
		}
	}
}
