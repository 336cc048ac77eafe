// Package stampede_test keeps the walls of the house: which package may import which, and how long a file and a function may be.
// It reads the source as `go list` and go/parser see it, so that the walls need no tool that is not part of Go.
package stampede_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stampede/stomp"
)

const (
	modulePath       = "stampede"
	fileLinesMax     = 500 // a longer file is two rooms
	functionLinesMax = 70  // a longer function is two thoughts
	anyStd           = "std"
	anyOurs          = "ours" // any package of the module on the same floor or below; helpers and the roof only
)

// room is one package: the floor it stands on and all that its code may import. Tests may import more, and look up as well as down.
type room struct {
	floor  int
	path   string
	allow  []string
	helper bool // serves tests: only tests and other helpers may import it
}

var floorNames = []string{"ground", "1st", "2nd", "3rd", "roof"}

// testLibraries are what a helper may use beyond the standard library and the house.
var testLibraries = []string{
	"github.com/cockroachdb/datadriven", "github.com/google/go-cmp/cmp", "go.uber.org/goleak",
	"pgregory.net/rapid", "github.com/gorilla/websocket", "github.com/hashicorp/raft", "github.com/hashicorp/go-hclog",
}

// rooms is the house, from the ground up. A row lists what a package imports and nothing that it might want one day.
var rooms = []room{
	{floor: 0, path: "stomp", allow: []string{anyStd}},
	{floor: 0, path: "stomp/stomptest", allow: helperAllow, helper: true},
	{floor: 0, path: "broker", allow: []string{
		"bytes", "cmp", "encoding/binary", "errors", "fmt", "hash", "iter", "maps", "math/bits", "slices", "strconv",
		"strings", "unicode/utf8",
	}},
	{floor: 0, path: "broker/brokertest", allow: helperAllow, helper: true},

	{floor: 0, path: "internal/loopback", allow: []string{anyStd}},

	{floor: 1, path: "stomp/auth", allow: []string{
		anyStd, "stampede/stomp",
		"github.com/fsnotify/fsnotify", "golang.org/x/crypto/argon2", "golang.org/x/crypto/bcrypt", "golang.org/x/sync/errgroup",
	}},
	{floor: 1, path: "storage", allow: []string{
		anyStd,
		"github.com/hashicorp/go-hclog", "github.com/hashicorp/raft", "github.com/hashicorp/raft-wal",
		"github.com/hashicorp/raft-wal/fs", "github.com/hashicorp/raft-wal/metadb", "github.com/hashicorp/raft-wal/segment",
		"go.etcd.io/bbolt", "golang.org/x/sync/errgroup",
	}},
	{floor: 1, path: "storage/storagetest", allow: helperAllow, helper: true},

	{floor: 2, path: "stomp/server", allow: []string{
		anyStd, "stampede/stomp", "stampede/stomp/auth",
		"github.com/gorilla/websocket", "golang.org/x/sync/errgroup",
	}},
	{floor: 2, path: "cluster", allow: []string{
		anyStd, "stampede/broker", "stampede/storage",
		"github.com/cespare/xxhash/v2", "github.com/hashicorp/go-hclog", "github.com/hashicorp/raft",
		"github.com/oklog/ulid/v2", "golang.org/x/sync/errgroup", "golang.org/x/sync/semaphore",
	}},

	{floor: 3, path: "cluster/gateway", allow: []string{
		anyStd, "stampede/broker", "stampede/cluster", "stampede/stomp", "stampede/stomp/auth", "stampede/stomp/server",
		"github.com/prometheus/client_golang/prometheus",
	}},
	{floor: 3, path: "cluster/admin", allow: []string{
		anyStd, "stampede/broker", "stampede/cluster", "stampede/stomp", "stampede/stomp/auth", "stampede/stomp/server",
		"github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_golang/prometheus/collectors",
		"github.com/prometheus/client_golang/prometheus/promhttp", "golang.org/x/sync/errgroup",
	}},

	{floor: 4, path: "cmd/stampede", allow: []string{
		anyStd, anyOurs,
		"github.com/alecthomas/kong", "github.com/gorilla/websocket", "golang.org/x/sync/errgroup", "gopkg.in/yaml.v3",
	}},
	{floor: 4, path: "cluster/sim", allow: helperAllow, helper: true},
	{floor: 4, path: "interop/cluster", allow: []string{anyStd, "stampede/internal/loopback"}},
	{floor: 4, path: "interop/clientstable", allow: []string{anyStd}},
	{floor: 4, path: "interop/gostomp", allow: []string{anyStd}, helper: true},
}

var helperAllow = append([]string{anyStd, anyOurs}, testLibraries...)

// emptyNames are package names that say where code was put and not what it is about.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "types", "manager", "misc", "shared", "base"}

// leftOpen are the words of work that was put off. They are looked for in comments.
var leftOpen = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)

// listed is what the house reads of `go list -json`.
type listed struct {
	ImportPath string
	Name       string
	GoFiles    []string
	Imports    []string
	Error      *struct{ Err string }
}

// short is the path inside the module: "stomp/auth" of "stampede/stomp/auth", "." of "stampede".
func (p listed) short() string {
	if p.ImportPath == modulePath {
		return "."
	}
	return strings.TrimPrefix(p.ImportPath, modulePath+"/")
}

// TestFloors prints the house by floor (go test -v) and checks that every import goes down, and only where the row of its room says.
func TestFloors(t *testing.T) {
	packages := listPackages(t)
	printFloors(t.Output(), packages)
	for _, p := range packages {
		if len(p.GoFiles) == 0 {
			continue // tests alone: they may look where they like
		}
		r, ok := findRoom(p.short())
		if !ok {
			t.Errorf("%s is not in the table `rooms` of house_test.go.\n"+
				"A package needs a dependency or an audience of its own. If it has one, add its row (floor and imports) and say why in\n"+
				"docs/architecture.md; if not, make it a file of the package that uses it.", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if fault := r.fault(imported); fault != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, fault)
			}
		}
	}
}

// fault says why r must not import the package and what to do, or "" when it may.
func (r room) fault(imported string) string {
	if imported == "C" {
		return "the binary is static; write it in Go"
	}
	if imported != modulePath && !strings.HasPrefix(imported, modulePath+"/") {
		if slices.Contains(r.allow, imported) || isStd(imported) && slices.Contains(r.allow, anyStd) {
			return ""
		}
		return fmt.Sprintf("not in the row of %q in house_test.go. Do without it, or move the code to a floor that may use it; "+
			"only if the package cannot be without it, add it to the row and say why in an ADR (docs/adr)", r.path)
	}
	other, ok := findRoom(strings.TrimPrefix(imported, modulePath+"/"))
	switch {
	case !ok:
		return "it has no row in the table `rooms` of house_test.go"
	case other.helper && !r.helper:
		return "it is there for tests; only _test.go files and other test helpers may import it"
	case other.floor > r.floor:
		return fmt.Sprintf("it stands above (%s over %s). Imports go down: declare the interface that %s needs in %s and let the floor above hand it in",
			floorNames[other.floor], floorNames[r.floor], r.path, r.path)
	case slices.Contains(r.allow, imported) || slices.Contains(r.allow, anyOurs):
		return ""
	}
	return fmt.Sprintf("not in the row of %q in house_test.go. Neighbours are introduced by the floor above: declare an interface in %s instead", r.path, r.path)
}

// TestRooms checks each package as a whole: a doc.go with a package comment, and a name that says something.
func TestRooms(t *testing.T) {
	for _, p := range listPackages(t) {
		if slices.Contains(emptyNames, p.Name) || slices.Contains(emptyNames, path.Base(p.ImportPath)) {
			t.Errorf("package %s: the name %q says nothing. Name it after what it holds, or put each part beside its only user", p.ImportPath, p.Name)
		}
		if len(p.GoFiles) == 0 {
			continue
		}
		file := filepath.Join(filepath.FromSlash(p.short()), "doc.go")
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.PackageClauseOnly)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			t.Errorf("%s is missing: say what the package does and refuses, its goroutines, and its invariants by number", file)
		case err != nil:
			t.Errorf("%s: %v", file, err)
		case parsed.Doc == nil:
			t.Errorf("%s has no package comment: say what the package does and refuses, its goroutines, and its invariants by number", file)
		}
	}
}

// TestFiles checks each source file alone: lengths, init functions, work put off, clocks and sleeps.
func TestFiles(t *testing.T) {
	for _, name := range sourceFiles(t) {
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s := source{name: filepath.ToSlash(name), set: set, file: parsed, report: t.Errorf}
		s.checkComments()
		s.checkFunctions()
		s.checkClocks()
	}
}

// source is one parsed file under inspection.
type source struct {
	name   string
	set    *token.FileSet
	file   *ast.File
	report func(format string, args ...any)
}

func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

func (s source) at(pos token.Pos) string {
	return s.name + ":" + strconv.Itoa(s.set.Position(pos).Line)
}

func (s source) checkComments() {
	for _, group := range s.file.Comments {
		for _, comment := range group.List {
			if word := leftOpen.FindString(comment.Text); word != "" {
				s.report("%s: %s. Do it now, or take the sentence out; what is known to be missing belongs in the docs (\"Not yet\")", s.at(comment.Pos()), word)
			}
		}
	}
}

func (s source) checkFunctions() {
	if lines := s.set.File(s.file.FileStart).LineCount(); lines > fileLinesMax && !s.isTest() {
		s.report("%s has %d lines, %d at most: it holds two things; give the second its own file", s.name, lines, fileLinesMax)
	}
	for _, declaration := range s.file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if function.Name.Name == "init" && function.Recv == nil {
			s.report("%s: init function. Make it an immutable table or a constructor that the caller calls", s.at(function.Pos()))
		}
		lines := s.set.Position(function.End()).Line - s.set.Position(function.Pos()).Line
		if lines > functionLinesMax && !s.isTest() {
			s.report("%s: %s has %d lines, %d at most: keep the decisions here and move the work to named parts",
				s.at(function.Pos()), function.Name.Name, lines, functionLinesMax)
		}
	}
}

// checkClocks refuses sleeps in tests, but for fake time inside testing/synctest, and any clock in the fold and its helpers.
func (s source) checkClocks() {
	inFold := strings.HasPrefix(s.name, "broker/") && !s.isTest()
	sleepsAllowed := !s.isTest() || s.importName("testing/synctest") != ""
	clock := s.importName("time")
	if clock == "" || !inFold && sleepsAllowed {
		return
	}
	ast.Inspect(s.file, func(node ast.Node) bool {
		selector, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if base, ok := selector.X.(*ast.Ident); !ok || base.Name != clock {
			return true
		}
		switch selector.Sel.Name {
		case "Sleep":
			if !sleepsAllowed {
				s.report("%s: time.Sleep in a test. Wait for what you wait for (a channel, a receipt), or use testing/synctest", s.at(node.Pos()))
				return true
			}
			fallthrough
		case "Now", "After", "Tick", "Since", "Until", "NewTimer", "NewTicker", "AfterFunc":
			if inFold {
				s.report("%s: time.%s in the fold. Time comes in with the event (Event.At)", s.at(node.Pos()), selector.Sel.Name)
			}
		}
		return true
	})
}

// importName is the name by which the file knows the package, "" if it does not import it.
func (s source) importName(importPath string) string {
	for _, spec := range s.file.Imports {
		if spec.Path.Value != strconv.Quote(importPath) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

func findRoom(short string) (room, bool) {
	i := slices.IndexFunc(rooms, func(r room) bool { return r.path == short })
	if i < 0 {
		return room{}, false
	}
	return rooms[i], true
}

// isStd tells the standard library from modules: the first element of its paths has no dot.
func isStd(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// listPackages gives every package of the module in the order of its path.
func listPackages(t *testing.T) []listed {
	t.Helper()
	var stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Name,GoFiles,Imports,Error", "./...")
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []listed
	decoder := json.NewDecoder(bytes.NewReader(output))
	for {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list printed what is not JSON: %v", err)
		}
		if p.Error != nil && len(p.GoFiles) > 0 {
			t.Errorf("go list %s: %s", p.ImportPath, p.Error.Err)
		}
		packages = append(packages, p)
	}
	if len(packages) == 0 {
		t.Fatal("go list found no package: run the test in the root of the module")
	}
	return packages
}

// sourceFiles gives every Go file of the module but those of testdata and of other languages' packages.
func sourceFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			base := entry.Name()
			if base == "testdata" || base == "node_modules" || base == "vendor" || base != "." && strings.HasPrefix(base, ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ".go") {
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("walk the source: %v", err)
	}
	return files
}

// printFloors writes the import graph from the roof down, one package a line.
func printFloors(w io.Writer, packages []listed) {
	for floor := len(floorNames) - 1; floor >= 0; floor-- {
		for _, p := range packages {
			r, ok := findRoom(p.short())
			if !ok || r.floor != floor || len(p.GoFiles) == 0 {
				continue
			}
			var ours, others []string
			for _, imported := range p.Imports {
				if rest, ok := strings.CutPrefix(imported, modulePath+"/"); ok {
					ours = append(ours, rest)
				} else if !isStd(imported) {
					others = append(others, imported)
				}
			}
			line := fmt.Sprintf("%-6s  %-20s -> %s", floorNames[floor], r.path, strings.Join(ours, ", "))
			if len(others) > 0 {
				line += "  [" + strings.Join(others, ", ") + "]"
			}
			fmt.Fprintln(w, strings.TrimRight(line, " "))
		}
	}
}

// TestWallsHold checks the checks: each forbidden import and each forbidden line is found.
func TestWallsHold(t *testing.T) {
	imports := []struct {
		from, to string
		allowed  bool
	}{
		{"broker", "slices", true}, {"broker", "time", false}, {"broker", "sync", false}, {"broker", "stampede/stomp", false},
		{"stomp", "net", true}, {"stomp", "golang.org/x/sync/errgroup", false}, {"stomp", "C", false},
		{"storage", "go.etcd.io/bbolt", true}, {"storage", "stampede/broker", false}, {"storage", "stampede/cluster", false},
		{"cluster", "stampede/storage", true}, {"cluster", "stampede/stomp", false}, {"cluster", "stampede/storage/storagetest", false},
		{"stomp/server", "stampede/broker", false}, {"cluster/gateway", "stampede/stomp/server", true},
		{"cluster/gateway", "stampede/cluster/admin", false}, {"cmd/stampede", "stampede/cluster/admin", true},
		{"storage/storagetest", "stampede/storage", true}, {"cmd/stampede", "stampede/unknown", false},
	}
	for _, c := range imports {
		from, ok := findRoom(c.from)
		if !ok {
			t.Fatalf("no row for %s", c.from)
		}
		if fault := from.fault(c.to); (fault == "") != c.allowed {
			t.Errorf("%s imports %s: got fault %q, want allowed = %v", c.from, c.to, fault, c.allowed)
		}
	}

	lines := []struct{ name, code, want string }{
		{"broker/x.go", "package broker\nimport \"time\"\nvar now = time.Now()", "in the fold"},
		{"cluster/x.go", "package cluster\nimport \"time\"\nvar now = time.Now()", ""},
		{"cluster/x_test.go", "package cluster\nimport \"time\"\nfunc f() { time.Sleep(1) }", "time.Sleep in a test"},
		{"cluster/y_test.go", "package cluster\nimport (\n\"time\"\n_ \"testing/synctest\"\n)\nfunc f() { time.Sleep(1) }", ""},
		{"cluster/x.go", "package cluster\nfunc init() {}", "init function"},
		{"cluster/x.go", "package cluster\n// " + "TO" + "DO: later\n", "Do it now"},
		{"cluster/x.go", "package cluster\nfunc f() {" + strings.Repeat("\n", functionLinesMax+1) + "}", "71 lines"},
		{"cluster/x.go", "package cluster\n" + strings.Repeat("\n", fileLinesMax), "501 lines"},
	}
	for _, c := range lines {
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, c.name, c.code, parser.ParseComments)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var got []string
		s := source{name: c.name, set: set, file: parsed, report: func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) }}
		s.checkComments()
		s.checkFunctions()
		s.checkClocks()
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s %.60q: reports = %q, want one with %q", c.name, c.code, got, c.want)
		}
	}
}

// TestDocs checks that every relative link in the documents leads somewhere, and that docs/protocol.md lists every error code.
func TestDocs(t *testing.T) {
	documents, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	decisions, err := filepath.Glob("docs/adr/*.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`) // relative ones: no colon
	for _, name := range append(append([]string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}, documents...), decisions...) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), match[1])); err != nil {
				t.Errorf("%s links to %s, which is not there: mend the link or write the document", name, match[1])
			}
		}
	}
	protocol, err := os.ReadFile("docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range stomp.Codes() {
		if row := "| `" + c.Code + "` |"; !bytes.Contains(protocol, []byte(row)) {
			t.Errorf("docs/protocol.md has no row %q in its table of errors: add it with its severity and summary (stomp/codes.go)", row)
		}
	}
}
