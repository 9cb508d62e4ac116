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
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
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
	source := llb.NewSourceMap(nil, file, "Dockerfile", text)
	// It is of no build, so there is nothing that it came from.
	source.Definition = &llb.Definition{}
	results, err := dockerfile2llb.DockerfileLint(context.Background(), text, dockerfile2llb.ConvertOpt{
		Config:       dockerui.Config{LinterConfig: &linter.Config{}},
		SourceMap:    source,
		MetaResolver: anyImage{},
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

// anyImage takes every image for there, without asking a registry.
type anyImage struct{}

var config = []byte(`{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/usr/bin:/bin"]}}`)

func (anyImage) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, digest.FromString(ref), config, nil
}

func (anyImage) ResolveSourceMetadata(_ context.Context, op *pb.SourceOp, _ sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	image := &sourceresolver.ResolveImageResponse{Digest: digest.FromString(op.Identifier), Config: config}
	return &sourceresolver.MetaResponse{Op: op, Image: image}, nil
}
