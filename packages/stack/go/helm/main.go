// Command dockerfile-check judges Dockerfiles by the checks of `docker build --check`, BuildKit's own: it turns
// each into what would be built, of all its stages, without a daemon and without fetching an image.
//
//	dockerfile-check FILE...
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerui"
)

func main() {
	failed := false
	for _, file := range os.Args[1:] {
		text, err := os.ReadFile(file)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		found, err := check(file, text)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", file, err)
			os.Exit(2)
		}
		for _, line := range found {
			fmt.Println(line)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

func check(file string, text []byte) ([]string, error) {
	results, err := dockerfile2llb.DockerfileLint(context.Background(), text, dockerfile2llb.ConvertOpt{
		Config:    dockerui.Config{LinterConfig: &linter.Config{}},
		SourceMap: llb.NewSourceMap(nil, file, "Dockerfile", text),
	})
	if err != nil {
		return nil, err
	}
	var lines []string
	if results.Error != nil {
		lines = append(lines, fmt.Sprintf("%s: error: %s", file, results.Error.Message))
	}
	for _, warning := range results.Warnings {
		line := int32(0)
		if ranges := warning.Location.GetRanges(); len(ranges) > 0 {
			line = ranges[0].Start.Line
		}
		lines = append(lines, fmt.Sprintf("%s:%d: %s: %s", file, line, warning.RuleName, warning.Detail))
	}
	return lines, nil
}
