package settings_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"

	"quilt-rotate/internal/settings"
)

// newCertificate returns a certificate in PEM.
func newCertificate(t *testing.T, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return block("CERTIFICATE", der)
}

func block(kind string, content []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}))
}

const mark = "\ufeff"

func TestParseTrustsEveryCertificate(t *testing.T) {
	// No certificate of a bundle is skipped silently, whatever program wrote the file.
	one, two := newCertificate(t, "one"), newCertificate(t, "two")
	for name, text := range map[string]string{
		"two certificates":                                    one + two,
		"a byte order mark before the first":                  mark + one + two,
		"two files with byte order marks":                     mark + one + mark + two,
		"a byte order mark and no line end between two files": strings.TrimSpace(one) + mark + two,
		"Windows line ends":                                   strings.ReplaceAll(one+two, "\n", "\r\n"),
		"text before, between and after": "# the old authority\n" + one + "\nsubject=CN = two\n" +
			two + "# end",
		"spaces before the second": one + "  " + two,
	} {
		certificates, err := settings.ParseCABundle([]byte(text))
		var names []string
		for _, c := range certificates {
			names = append(names, c.Subject.CommonName)
		}
		if err != nil || !slices.Equal(names, []string{"one", "two"}) {
			t.Errorf("%s: Parse returned %v, %v, want the certificates one and two", name, names, err)
		}
	}
}

func TestParseRefusesWhatIsNotACertificate(t *testing.T) {
	// A bundle with one damaged certificate is refused at once, before a handshake fails; a private
	// key never leaves the machine.
	good := newCertificate(t, "good")
	encoded := strings.Replace(good, "\n", "\n*", 1)
	noEnd, _, _ := strings.Cut(good, "-----END")
	for name, c := range map[string]struct{ text, says string }{
		"empty file":             {"", "is empty"},
		"text alone":             {"certificates of our authority", "has no certificate"},
		"byte order mark alone":  {mark, "has no certificate"},
		"damaged Base64, first":  {encoded + good, "block 1 is damaged"},
		"damaged Base64, second": {good + encoded, "block 2 is damaged"},
		"cut off, first":         {noEnd + "\n" + good, "block 1 is damaged"},
		"cut off, second":        {good + noEnd, "block 2 is damaged"},
		"damaged first line":     {good[1:] + good, "2 END lines and 1 BEGIN lines"},
		"damaged content": {good + block("CERTIFICATE", []byte("no certificate")) + good,
			"block 2 is a damaged certificate"},
		"private key":                {good + block("PRIVATE KEY", []byte("q")), "block 2 is a private key"},
		"private key of an old form": {block("RSA PRIVATE KEY", []byte("q")) + good, "block 1 is a private key"},
		"certificate of OpenSSL's": {good + good + block("TRUSTED CERTIFICATE", []byte("q")),
			"block 3 is not a certificate"},
	} {
		certificates, err := settings.ParseCABundle([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.says) || certificates != nil {
			t.Errorf("%s: Parse returned %d certificates and %v, want an error that says %q", name, len(certificates),
				err, c.says)
		}
	}
}
