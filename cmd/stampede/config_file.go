package main

// config_file.go: where a setting comes from. Flag beats environment beats file beats default; kong asks sources, a kong.Resolver,
// for what the command line did not say.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"gopkg.in/yaml.v3"
)

const (
	configFileBytesMax = 1 << 20 // a larger file is a fault: it is no configuration
	envPrefix          = "STAMPEDE_"
)

// kubernetesEnv are the variables that Kubernetes sets in every pod beside a service called stampede: nobody's settings.
var kubernetesEnv = regexp.MustCompile(`^STAMPEDE_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// fault is one thing wrong with the configuration.
type fault struct {
	flag  string // without dashes; "" if it is nobody's
	where string // environment variable, or file and line; "" for the command line and defaults
	text  string
}

func (f fault) String() string {
	switch {
	case f.flag == "" && f.where == "":
		return f.text
	case f.flag == "":
		return f.where + ": " + f.text
	case f.where == "":
		return "--" + f.flag + ": " + f.text
	}
	return "--" + f.flag + " (" + f.where + "): " + f.text
}

// sources knows where each setting of a node came from, and what is wrong with file and environment as such.
type sources struct {
	environ []string
	asked   bool              // kong asked for a setting of a node: the file was read and the environment looked through
	values  map[string]string // of the file, by name
	lines   map[string]string // file:line of each of them
	places  map[string]string // of the settings that the environment or the file gave
	given   map[string]bool   // flags of the command line
	faults  []fault
}

var _ kong.Resolver = (*sources)(nil)

func newSources(environ []string) *sources {
	return &sources{
		environ: environ, values: map[string]string{}, lines: map[string]string{}, places: map[string]string{}, given: map[string]bool{},
	}
}

// place says where a setting came from: a variable, a line of the file, or "" for the command line and defaults.
func (s *sources) place(flag string) string { return s.places[flag] }

// origin is place for people.
func (s *sources) origin(flag string) string {
	switch place := s.places[flag]; {
	case place != "":
		return place
	case s.given[flag]:
		return "--" + flag
	}
	return "default"
}

// Validate implements kong.Resolver: faults are told later, all at once.
func (s *sources) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver. kong calls it for each flag that the command line did not give, after it has taken the
// environment itself; what it returns beats that, so it returns nothing for what the environment gave.
func (s *sources) Resolve(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	if !isNodeSetting(flag) {
		return nil, nil //nolint:nilnil // kong's way to say: no value
	}
	if !s.asked {
		s.asked = true
		s.checkEnvironment(ctx.Model)
		s.readFile(ctx, parent.Flags)
	}
	if _, ok := s.lookupEnv(flag.Envs[0]); ok {
		s.places[flag.Name] = flag.Envs[0]
		return nil, nil //nolint:nilnil // kong has taken it
	}
	value, ok := s.values[flag.Name]
	if !ok {
		return nil, nil //nolint:nilnil // the default holds
	}
	s.places[flag.Name] = s.lines[flag.Name]
	return value, nil
}

// isNodeSetting tells a setting of a node, which has a variable, from other commands' flags.
func isNodeSetting(flag *kong.Flag) bool {
	return len(flag.Envs) == 1 && flag.Envs[0] == envName(flag.Name)
}

// envName is the variable of a setting: STAMPEDE_DATA_DIR of data-dir.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func (s *sources) lookupEnv(name string) (string, bool) {
	for _, pair := range s.environ {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// checkEnvironment finds the variables that no flag of any command knows: a slip there must not go unheard.
func (s *sources) checkEnvironment(app *kong.Application) {
	known := map[string]bool{}
	collectEnv(app.Node, known)
	for _, pair := range slices.Sorted(slices.Values(s.environ)) {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, envPrefix) && !known[name] && !kubernetesEnv.MatchString(name) {
			s.faults = append(s.faults, fault{where: name, text: "unknown variable of the environment"})
		}
	}
}

func collectEnv(node *kong.Node, known map[string]bool) {
	for _, flag := range node.Flags {
		for _, name := range flag.Envs {
			known[name] = true
		}
	}
	for _, child := range node.Children {
		collectEnv(child, known)
	}
}

// readFile reads the file of --config, if there is one, into values and lines.
func (s *sources) readFile(ctx *kong.Context, flags []*kong.Flag) {
	names := map[string]bool{}
	path := ""
	for _, flag := range flags {
		if !isNodeSetting(flag) {
			continue
		}
		if flag.Name != "config" {
			names[flag.Name] = true
			continue
		}
		if value, ok := s.lookupEnv(flag.Envs[0]); ok {
			path = value
		}
		for _, element := range ctx.Path {
			if element.Flag == flag {
				path, _ = ctx.FlagValue(flag).(string)
			}
		}
	}
	if path == "" {
		return
	}
	text, err := readSmallFile(path, configFileBytesMax)
	if err != nil {
		s.faults = append(s.faults, fault{flag: "config", text: err.Error()})
		return
	}
	s.parseFile(path, text, names)
}

func (s *sources) parseFile(path string, text []byte, names map[string]bool) {
	report := func(line int, format string, args ...any) {
		where := path
		if line > 0 {
			where = fmt.Sprintf("%s:%d", path, line)
		}
		s.faults = append(s.faults, fault{where: where, text: fmt.Sprintf(format, args...)})
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		report(0, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return
	}
	if len(document.Content) == 0 {
		return // an empty file sets nothing
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return
	}
	if root.Kind != yaml.MappingNode {
		report(root.Line, "want `name: value` lines")
		return
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		name := key.Value
		switch {
		case !names[name]:
			report(key.Line, "unknown key %q", name)
		case s.lines[name] != "":
			report(key.Line, "%q is at %s already", name, s.lines[name])
		default:
			s.lines[name] = fmt.Sprintf("%s:%d", path, key.Line)
			if text, ok := settingText(value); ok {
				s.values[name] = text
			} else {
				report(value.Line, "%q: want a value or, where a flag takes several, a list of values", name)
			}
		}
	}
}

// settingText is a value of the file as the text of a flag; a list is joined as on the command line.
func settingText(node *yaml.Node) (text string, ok bool) {
	switch node.Kind {
	case yaml.ScalarNode:
		return node.Value, node.Tag != "!!null"
	case yaml.SequenceNode:
		var list []string
		for _, element := range node.Content {
			if element.Kind != yaml.ScalarNode || element.Tag == "!!null" {
				return "", false
			}
			list = append(list, strings.ReplaceAll(element.Value, ",", `\,`))
		}
		return strings.Join(list, ","), true
	}
	return "", false
}

// readSmallFile reads a file of at most bytesMax; a larger one is an error.
func readSmallFile(path string, bytesMax int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err // names the file
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, bytesMax+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(text)) > bytesMax:
		return nil, fileError(path, fmt.Sprintf("larger than %d bytes", bytesMax))
	}
	return text, nil
}

func fileError(path, text string) error { return errors.New(path + ": " + text) }

// takeCommandLine notes which flags the command line gave.
func (s *sources) takeCommandLine(ctx *kong.Context) {
	for _, element := range ctx.Path {
		if element.Flag != nil && !element.Resolved {
			s.given[element.Flag.Name] = true
		}
	}
}
