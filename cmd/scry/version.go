package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set when a release is built (-ldflags "-X main.version=v1.2.3").
var version = ""

// versionCmd prints what this program is.
type versionCmd struct{}

func (*versionCmd) Run(app *app) error {
	if err := app.output.noCSV(); err != nil {
		return err
	}
	if app.output.json() {
		return app.output.writeJSON(map[string]string{
			"version": buildVersion(), "commit": buildSetting("vcs.revision"), "go_version": runtime.Version(),
			"os": runtime.GOOS, "arch": runtime.GOARCH,
		})
	}
	text := "scry " + buildVersion()
	if commit := buildSetting("vcs.revision"); commit != "" {
		text += " (" + commit[:min(12, len(commit))] + ")"
	}
	_, err := fmt.Fprintf(app.output.out, "%s %s %s/%s\n", text, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// buildVersion is the release, the module's version of `go install`, or "devel".
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func buildSetting(key string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == key {
				return s.Value
			}
		}
	}
	return ""
}
