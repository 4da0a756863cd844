package settings

// Deployed looks settings up in the environment of a deployed function, as Lambda reports it, to be read on another
// machine:
//
//	settings.LoadRevoke(settings.Deployed(environment))
//
// It hides [EnvCABundle], whose file is in the function's package and not on this machine. So CABundle is nil, and the
// caller must trust a private certificate authority of the registry by other means. Everything else is read and
// validated as in the function.
func Deployed(environment map[string]string) Lookup {
	lookup := Tags(environment)
	return func(name string) (string, bool) {
		if name == EnvCABundle {
			return "", false
		}
		return lookup(name)
	}
}
