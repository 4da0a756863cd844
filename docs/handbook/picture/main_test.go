package main

import (
	"encoding/xml"
	"strings"
	"testing"
)

func TestThePictureHasTheTextInItsColours(t *testing.T) {
	// The picture in the README has every line and character with its color, weight and column, and
	// is well-formed.
	svg := string(draw("\x1b[1;36mtitle\x1b[m\n\n  \x1b[32m✓\x1b[m made <a> & \"b\"\x1b[2m  beside\x1b[m\n  │ x │\n"))
	for _, want := range []string{
		`<tspan x="16.0" fill="#7dcfff" class="bold">title</tspan>`, `<tspan x="31.6" fill="#9ece6a">✓</tspan>`,
		`> made &lt;a&gt; &amp; &#34;b&#34;</tspan>`, `class="faint">  beside</tspan>`, `>  │ x │</tspan>`,
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("the picture lacks %s:\n%s", want, svg)
		}
	}
	if strings.Contains(svg, "\x1b") || strings.Count(svg, "<text ") != 3 {
		t.Errorf("the picture has wrong lines:\n%s", svg)
	}
	if err := xml.Unmarshal([]byte(svg), new(struct{ XMLName xml.Name })); err != nil {
		t.Error(err)
	}
}
