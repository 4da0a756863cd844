package sandboxtest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
)

// leakLength is the number of consecutive characters that count as a leak. A fingerprint shows
// three at each end of a key.
const leakLength = 10

// Canaries are texts that must never be printed.
type Canaries struct {
	texts map[string]bool
	parts map[string]string // of every form of every text: what it is a part of
}

// NewCanaries returns canaries for texts. They are found whole or in part, plain, as hex, as base64
// at any alignment, and escaped for URLs or JSON.
func NewCanaries() *Canaries { return &Canaries{map[string]bool{}, map[string]string{}} }

// Add adds a text. kind is its name in failures. Texts that are too short to be distinguished are
// skipped.
func (c *Canaries) Add(kind, text string) {
	text = strings.TrimPrefix(text, "qk_")
	if len(text) < leakLength || c.texts[text] {
		return
	}
	c.texts[text] = true
	for form, as := range forms(text) {
		for i := 0; i+leakLength <= len(form); i++ {
			c.parts[form[i:i+leakLength]] = kind + ", " + as
		}
	}
}

func forms(text string) map[string]string {
	quoted, _ := json.Marshal(text)
	list := map[string]string{
		text: "plain", string(quoted[1 : len(quoted)-1]): "as JSON", url.QueryEscape(text): "as a query",
		url.PathEscape(text):             "as a path",
		hex.EncodeToString([]byte(text)): "in hex", strings.ToUpper(hex.EncodeToString([]byte(text))): "in hex",
	}
	for shift := range 3 { // where base64 cuts depends on what stands before
		padded := []byte(strings.Repeat("-", shift) + text)
		padded = padded[:len(padded)/3*3]
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			form := encoding.EncodeToString(padded)
			list[form[4:]] = "in base64"
		}
	}
	delete(list, "")
	return list
}

var keyOnTheWire = regexp.MustCompile(`qk_[A-Za-z0-9]+`)

// AddFrom adds every secret in the requests: keys, passwords, and tokens of logins and rotations.
func (c *Canaries) AddFrom(requests []Request) {
	for _, q := range requests {
		for _, key := range keyOnTheWire.FindAllString(q.Sent+"\n"+q.Answer, -1) {
			c.Add("a key", key)
		}
		bearer, rest, _ := strings.Cut(q.Sent, "\n")
		if token, ok := strings.CutPrefix(bearer, "Bearer "); ok {
			c.Add("a bearer token", token)
		}
		_, body, _ := strings.Cut(rest, "\n")
		c.addFields(body)
		c.addFields(q.Answer)
	}
}

func (c *Canaries) addFields(body string) {
	var fields struct {
		RotationToken string
		Password      string `json:"password"`
		RefreshToken  string `json:"refresh_token"`
		AccessToken   string `json:"access_token"`
	}
	if json.Unmarshal([]byte(body), &fields) != nil {
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		fields.RefreshToken = form.Get("refresh_token")
	}
	c.Add("the RotationToken", fields.RotationToken)
	c.Add("a password", fields.Password)
	c.Add("a refresh token", fields.RefreshToken)
	c.Add("an access token", fields.AccessToken)
}

// Find describes which text is in the output, and in which form, or returns "". It never quotes the
// text.
func (c *Canaries) Find(output string) string {
	for i := 0; i+leakLength <= len(output); i++ {
		if what, found := c.parts[output[i:i+leakLength]]; found {
			return what
		}
	}
	return ""
}
