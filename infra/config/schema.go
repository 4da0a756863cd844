package config

import (
	"encoding/json"

	"github.com/invopop/jsonschema"
)

// Schema returns the JSON schema of the file, for editors. It is generated from [Config].
func Schema() ([]byte, error) {
	reflector := jsonschema.Reflector{FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true, DoNotReference: false}
	schema := reflector.Reflect(&Config{})
	schema.ID = ""
	schema.Title = "A stack of quilt-rotate"
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}
