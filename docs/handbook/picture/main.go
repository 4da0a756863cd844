// Command picture draws the coloured output of a program as an SVG picture. It reads the output
// from standard input and writes the picture to standard output. `make picture` uses it to draw the
// demo for the README.
package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/color"
	"io"
	"os"
	"strings"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
)

func main() {
	printed, err := io.ReadAll(os.Stdin)
	if err == nil {
		_, err = os.Stdout.Write(draw(string(printed)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

// Sizes in pixels, of a cell of the terminal and of the margin around the text.
const (
	cellWidth, cellHeight = 7.8, 17
	margin                = 16
	columns               = 80
)

// colours are the terminal colours that the command uses, for a dark background.
var colours = map[color.Color]string{
	ansi.Red: "#f7768e", ansi.Green: "#9ece6a", ansi.Yellow: "#e0af68", ansi.Cyan: "#7dcfff",
}

const head = `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" viewBox="0 0 %.0f %d" role="img" aria-label="the output of make demo">
<style>text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #c0caf5; white-space: pre; } .bold { font-weight: bold; } .faint { opacity: .65; }</style>
<rect width="100%%" height="100%%" rx="8" fill="#1a1b26"/>
`

func draw(printed string) []byte {
	text := uv.NewStyledString(strings.Trim(printed, "\n"))
	screen := uv.NewScreenBuffer(columns, text.Height())
	text.Draw(screen, screen.Bounds())
	lines := screen.Lines
	width, height := columns*cellWidth+2*margin, len(lines)*cellHeight+2*margin
	var svg bytes.Buffer
	fmt.Fprintf(&svg, head, width, height, width, height)
	for row, line := range lines {
		drawLine(&svg, line, margin+(row+1)*cellHeight-4)
	}
	svg.WriteString("</svg>\n")
	return svg.Bytes()
}

// drawLine draws adjacent cells of the same style together. Each group has its own position, so
// that columns stay aligned if a font has wide characters.
func drawLine(svg *bytes.Buffer, line uv.Line, y int) {
	var runs []string
	for start := 0; start < len(line); {
		end := start + 1
		for end < len(line) && line[end].Style.Equal(&line[start].Style) {
			end++
		}
		var content strings.Builder
		for _, cell := range line[start:end] {
			content.WriteString(cell.Content)
		}
		if text := strings.TrimRight(content.String(), " "); text != "" {
			runs = append(runs, fmt.Sprintf(`<tspan x="%.1f"%s>%s</tspan>`, margin+float64(start)*cellWidth,
				look(line[start].Style), escaped(text)))
		}
		start = end
	}
	if len(runs) > 0 {
		fmt.Fprintf(svg, `<text y="%d">%s</text>`+"\n", y, strings.Join(runs, ""))
	}
}

func look(s uv.Style) string {
	var attributes string
	var classes []string
	if name, ok := colours[s.Fg]; ok {
		attributes += fmt.Sprintf(` fill="%s"`, name)
	}
	if s.Attrs&uv.AttrBold != 0 {
		classes = append(classes, "bold")
	}
	if s.Attrs&uv.AttrFaint != 0 {
		classes = append(classes, "faint")
	}
	if len(classes) > 0 {
		attributes += fmt.Sprintf(` class="%s"`, strings.Join(classes, " "))
	}
	return attributes
}

func escaped(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // into memory
	return b.String()
}
