package main

import (
	"fmt"
	"runtime/debug"
)

type versionCommand struct{}

func (versionCommand) Run(c console) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		fmt.Fprintln(c.out, "quilt-rotate, built without module information")
		return nil
	}
	fmt.Fprintf(c.out, "quilt-rotate %s%s, %s\n", info.Main.Version, revision(info), info.GoVersion)
	return nil
}

// revision is what was built, where the build could tell.
func revision(info *debug.BuildInfo) string {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["vcs.revision"] == "" {
		return ""
	}
	text := " (" + settings["vcs.revision"]
	if settings["vcs.modified"] == "true" {
		text += ", modified"
	}
	return text + ")"
}
