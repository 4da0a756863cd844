package settings

// Deployed looks settings up in the environment of a deployed function, as Lambda tells it, to be read on another machine:
//
//	settings.LoadRevoke(settings.Deployed(environment))
//
// It hides [EnvCABundle], whose file lies in the function's package and not here: so CABundle is nil, and it is for the caller to
// trust the registry's authority, where it is a private one. All else is read, checked and refused as in the function.
func Deployed(environment map[string]string) Lookup {
	lookup := Tags(environment)
	return func(name string) (string, bool) {
		if name == EnvCABundle {
			return "", false
		}
		return lookup(name)
	}
}
