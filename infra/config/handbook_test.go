package config_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"quilt-rotate/infra/config"
)

func TestConfigurationsOnPagesAreValid(t *testing.T) {
	// Users copy these keys into a file with a stack and a registry.
	block := regexp.MustCompile("(?ms)^```yaml\n(keys:.*?)^```")
	found := 0
	err := filepath.WalkDir("../../docs", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		page, err := os.ReadFile(path)
		for _, match := range block.FindAllSubmatch(page, -1) {
			found++
			text := append([]byte(head), match[1]...)
			if _, err := config.Parse(path, text, config.AWS{Account: "123456789012",
				Region: "us-east-1"}); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		return err
	})
	if err != nil || found == 0 {
		t.Fatalf("found %d configurations, %v", found, err)
	}
}
