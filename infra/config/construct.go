package config

// CheckKey judges a key that comes from no file, as if it stood in one of this account, region and KMS key; what of these is not known yet is "". The secrets that others have are in
// names, to which it adds its own. It fails with [*Faults], whose lines begin with where.
func CheckKey(where string, key Key, c Config, names map[string]string) error {
	const path = "Key"
	g := &gathering{lines: map[string]int{}}
	if key.Window != 0 {
		g.lines[path+".window"] = 0
	}
	checkKey(g, &c, path, &key, names)
	if len(g.faults) > 0 {
		return &Faults{where, g.faults}
	}
	names[key.SecretName()] = where
	return nil
}
