package main

// version.go: `stampede version` says what this build is.

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"stampede/broker"
)

// logFormat is the version of the log's entries that this build writes (cluster/FORMAT.md).
const logFormat = 1

// version is set by the linker: -ldflags "-X main.version=v1.2.3". Without it, it is the module's version if it was built as one.
var version string

// VersionCmd prints what this build is, one fact a line.
type VersionCmd struct{}

// Run prints.
func (VersionCmd) Run() error {
	b := readBuild()
	_, err := fmt.Fprintf(os.Stdout, "stampede     %s\ncommit       %s\ngo           %s %s/%s\nfold version %d\nlog format   %d\n",
		b.version, b.commit, runtime.Version(), runtime.GOOS, runtime.GOARCH, broker.FoldVersion, logFormat)
	return err
}

// build is what is known of this binary.
type build struct {
	version string
	commit  string // of the source, with a note if it was changed since
}

func readBuild() build {
	b := build{version: version, commit: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if ok && b.version == "" && info.Main.Version != "(devel)" {
		b.version = info.Main.Version
	}
	if b.version == "" {
		b.version = "dev"
	}
	if !ok {
		return b
	}
	modified := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = " (modified)"
		}
	}
	b.commit += modified
	return b
}
