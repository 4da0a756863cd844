package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"quilt-rotate/internal/sandbox"
)

// BenchmarkAudit is the whole command, from its arguments to the last line, against a registry with few and with many keys: beside each other, since
// the clock alone tells of the machine. (With 10,000 keys it is to take less than two seconds.)
func BenchmarkAudit(b *testing.B) {
	for _, keys := range []int{10, 10_000} {
		box, err := sandbox.Start(sandbox.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = box.Close() })
		for _, variable := range box.Exports() {
			b.Setenv(variable[0], variable[1])
		}
		b.Setenv("AWS_CA_BUNDLE", "")
		os.Unsetenv("AWS_CA_BUNDLE")
		_, admin := box.Registry.MintKey(sandbox.AdminEmail, "admin-prod-2026q4", 30)
		b.Setenv(environmentKey, admin)
		for i := range keys {
			box.Registry.MintKey(sandbox.UserEmail, fmt.Sprintf("job%d-prod-2026q3", i), 1+i%365)
		}
		for _, format := range []string{"table", "json", "csv", "html"} {
			b.Run(fmt.Sprintf("keys=%d/format=%s", keys, format), func(b *testing.B) {
				for b.Loop() {
					var stderr strings.Builder
					if status := execute(b.Context(), []string{"audit", "--format", format, "--registry", box.RegistryURL}, strings.NewReader(""), io.Discard, &stderr); status != exitOK {
						b.Fatalf("exit status %d: %s", status, stderr.String())
					}
				}
			})
		}
	}
}
