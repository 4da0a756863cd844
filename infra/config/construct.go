package config

// CheckKey applies the rules of an entry of keys to the options of a construct. The account, region
// and KMS key of c may be empty if they are not known yet. names has the secrets of the other keys;
// CheckKey adds the secret of this key. It fails with [*Faults], whose lines begin with where.
func CheckKey(where string, key Key, c Config, names map[string]string) error {
	const path = "RotateOptions"
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

// CheckShared applies the rules of a file to the props of a construct. The account and region of c
// may be empty if they are not known yet. It fails with [*Faults], whose lines begin with where.
func CheckShared(where string, c Config) error {
	g := &gathering{lines: map[string]int{}}
	checkShared(g, &c)
	if len(g.faults) == 0 {
		return nil
	}
	for i := range g.faults {
		g.faults[i].Path = "KeyRotationProps." + g.faults[i].Path
	}
	return &Faults{where, g.faults}
}
