// Command kubernetes is what serves Kubernetes' API on a machine without containers, and the nodes that kwok plays:
// four programs in one, since most of what takes long to build they share.
//
//	kubernetes (kube-apiserver | kube-controller-manager | kube-scheduler | kwok) FLAG...
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	_ "time/tzdata" // CronJobs have time zones

	"github.com/spf13/pflag"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	nodes "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	heartbeats "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	pods "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"
)

func main() {
	if len(os.Args) < 2 {
		fail("which program?")
	}
	program := os.Args[1]
	os.Args = append([]string{program}, os.Args[2:]...)
	switch program {
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllers.NewControllerManagerCommand()))
	case "kube-scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	case "kwok":
		playNodes()
	default:
		fail("no program is called " + program)
	}
}

// playNodes does what kwok's own main does, which is no package, with the stages of nodes and pods that kwok has.
// KWOK_WORKDIR names the folder that they are put into.
func playNodes() {
	stages, err := writeStages(os.Getenv("KWOK_WORKDIR"))
	if err != nil {
		fail(err.Error())
	}
	os.Args = append(os.Args, "--config="+stages)
	// Where Kubernetes' packages have registered a flag for versions that is not kwok's.
	pflag.CommandLine = pflag.NewFlagSet("kwok", pflag.ContinueOnError)
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsWhitelist.UnknownFlags = true
	ctx, _ := log.InitFlags(signals.SetupSignalContext(), flags)
	ctx, err = config.InitFlags(ctx, flags)
	if err != nil {
		fail(err.Error())
	}
	command := kwok.NewCommand(ctx)
	command.PersistentFlags().AddFlagSet(flags)
	if err := command.ExecuteContext(ctx); err != nil {
		fail(err.Error())
	}
}

func writeStages(folder string) (string, error) {
	file := filepath.Join(folder, "stages.yaml")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	stages := []string{
		nodes.DefaultNodeInit, heartbeats.DefaultNodeHeartbeatWithLease,
		pods.DefaultPodReady, pods.DefaultPodComplete, pods.DefaultPodDelete,
	}
	return file, os.WriteFile(file, []byte(strings.Join(stages, "\n---\n")), 0o600)
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "kubernetes:", why)
	os.Exit(2)
}
