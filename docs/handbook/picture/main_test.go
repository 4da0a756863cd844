package main

import (
	"encoding/xml"
	"strings"
	"testing"
)

func TestThePictureHasTheTextInItsColours(t *testing.T) {
	// Protects the README's picture: no line and no sign is lost, colours and weights are kept,
	// columns stand where they stood, and it is well-formed.
	svg := string(draw("\x1b[1;36mtitle\x1b[m\n\n  \x1b[32m✓\x1b[m made <a> & \"b\"\x1b[2m  beside\x1b[m\n  │ x │\n"))
	for _, want := range []string{
		`<tspan x="16.0" fill="#7dcfff" class="bold">title</tspan>`, `<tspan x="31.6" fill="#9ece6a">✓</tspan>`,
		`> made &lt;a&gt; &amp; &#34;b&#34;</tspan>`, `class="faint">  beside</tspan>`, `>  │ x │</tspan>`,
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("it lacks %s:\n%s", want, svg)
		}
	}
	if strings.Contains(svg, "\x1b") || strings.Count(svg, "<text ") != 3 {
		t.Errorf("wrong lines:\n%s", svg)
	}
	if err := xml.Unmarshal([]byte(svg), new(struct{ XMLName xml.Name })); err != nil {
		t.Error(err)
	}
}
