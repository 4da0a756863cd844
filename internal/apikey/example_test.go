package apikey_test

import (
	"fmt"
	"time"

	"quilt-rotate/internal/apikey"
	"quilt-rotate/internal/redact"
)

// Only the key changes. The indentation, the order and the zeros of a number are kept.
func ExampleValue_WithKey() {
	value, err := apikey.ParseValue(redact.New(`{ "QUILT_URI": "https://quilt.example.com",
  "QUILT_API_KEY": "qk_old0000000000000000",
  "version": 1.0 }`), "")
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := apikey.Parse("qk_new1111111111111111")
	if err != nil {
		fmt.Println(err)
		return
	}
	changed, err := value.WithKey(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(value.Field(), "was", value.Key())
	fmt.Println("printed:", changed)
	fmt.Println(changed.Reveal())
	// Output:
	// QUILT_API_KEY was qk_old...000
	// printed: [redacted]
	// { "QUILT_URI": "https://quilt.example.com",
	//   "QUILT_API_KEY": "qk_new1111111111111111",
	//   "version": 1.0 }
}

// A key's name has a label, the date, and the mark of its secret.
func ExampleName() {
	const arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:prod/pipeline-a1b2c3"
	name := apikey.Name("Prod/Pipeline", time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC), arn)
	mark, ours := apikey.MarkOf(name)
	fmt.Println(name)
	fmt.Println(ours, mark == apikey.SecretMark(arn))
	// Output:
	// prod-pipeline-20261122-72e4a2926f52a510
	// true true
}
