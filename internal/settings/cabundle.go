package settings

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

var (
	begin         = []byte("-----BEGIN ")
	byteOrderMark = []byte("\ufeff")
)

// ParseCABundle parses a CA bundle in PEM. The functions, the command and the deployment use it, so
// they accept the same files. It skips byte order marks and text between the blocks. It refuses a
// block that is not a valid certificate: [x509.CertPool.AppendCertsFromPEM] would skip the block,
// and its authority would not be trusted. The error contains nothing of the file, which may have a
// private key.
func ParseCABundle(text []byte) ([]*x509.Certificate, error) {
	if len(text) == 0 {
		return nil, errors.New("it is empty")
	}
	var certificates []*x509.Certificate
	for i, part := range bytes.Split(bytes.ReplaceAll(text, byteOrderMark, nil), begin)[1:] {
		block, _ := pem.Decode(slices.Concat(begin, part))
		if block == nil {
			return nil, fmt.Errorf("block %d is damaged: export the certificate again as PEM", i+1)
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return nil, fmt.Errorf("block %d is a private key: remove it, because this file may have "+
				"certificates only", i+1)
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d is not a certificate: "+
				"only blocks with -----BEGIN CERTIFICATE----- belong in this file", i+1)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("block %d is a damaged certificate: export it again as PEM", i+1)
		}
		certificates = append(certificates, certificate)
	}
	if ends := bytes.Count(text, []byte("-----END ")); ends > len(certificates) {
		return nil, fmt.Errorf("it has %d END lines and %d BEGIN lines, so it is damaged: "+
			"export the certificates again as PEM", ends, len(certificates))
	}
	if len(certificates) == 0 {
		return nil, errors.New("it has no certificate in PEM (-----BEGIN CERTIFICATE-----)")
	}
	return certificates, nil
}
